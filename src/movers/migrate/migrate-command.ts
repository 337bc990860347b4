/**
 * How MIGRATE is spoken to this source: which of its arguments the version has
 * (https://redis.io/docs/latest/commands/migrate/, "History"), and the nodes' credentials.
 */
import { command, frame } from '../../redis/frames.js';
import type { ErrorReply } from '../../redis/reply.js';
import type { Keys, Node } from '../../types.js';

export interface MigrateArguments {
  readonly node: Node;
  readonly overwrite: boolean;
  readonly copy: boolean;
  /** For each chunk written and each byte read, not for the call. */
  readonly timeoutMs: number;
  readonly username?: string;
  readonly password?: string;
}

/** What stands ahead of the node's own words in MIGRATE's answer. */
export const errorFromTarget = 'ERR Target instance replied with error: ';

/** Whether an error of MIGRATE says that it was not run: else it may have moved some of its keys. */
export function isRefusedUnrun({ code, text }: ErrorReply): boolean {
  return code !== 'IOERR' && !text.startsWith(errorFromTarget);
}

/** One command for all the keys. */
export function migrateMany(args: MigrateArguments, keys: Keys): Buffer {
  const tail = [...options(args), 'KEYS'].map(asFrame);
  return Buffer.concat([
    head(args, tail.length + keys.count, asFrame('')),
    ...ahead(args),
    ...tail,
    keys.bytes,
  ]);
}

/** One command for each key, all in one piece. */
export function migrateEach(args: MigrateArguments, keys: Keys): Buffer {
  const tail = Buffer.concat(options(args).map(asFrame));
  const tailCount = options(args).length;
  const parts: Buffer[] = [];
  for (let index = 0; index < keys.count; index++) {
    const key = keys.bytes.subarray(keys.starts[index], keys.starts[index + 1]);
    parts.push(head(args, tailCount, key), ...ahead(args), tail);
  }
  return Buffer.concat(parts);
}

function head(args: MigrateArguments, tailCount: number, key: Buffer): Buffer {
  const { host, port } = args.node;
  const start = command('MIGRATE', host, port);
  const count = Buffer.from(`*${String(6 + tailCount)}`);
  return Buffer.concat([count, start.subarray(start.indexOf('\r\n')), key]);
}

/** What stands between the key and the options: database 0, the only one a cluster has. */
function ahead(args: MigrateArguments): Buffer[] {
  return [asFrame('0'), asFrame(String(args.timeoutMs))];
}

function options(args: MigrateArguments): string[] {
  const { password, username } = args;
  return [
    ...(args.copy ? ['COPY'] : []),
    ...(args.overwrite ? ['REPLACE'] : []),
    ...(password === undefined
      ? []
      : // Before 6.0 there is only AUTH, which means this user.
        username === undefined || username === 'default'
        ? ['AUTH', password]
        : ['AUTH2', username, password]),
  ];
}

function asFrame(text: string): Buffer {
  return frame(Buffer.from(text));
}

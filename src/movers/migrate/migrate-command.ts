/**
 * How MIGRATE is spoken to this source: which of its arguments the version has
 * (https://redis.io/docs/latest/commands/migrate/, "History"), and the nodes' credentials.
 */
import { chosen, command, commandHead, frame, keyAt } from '../../redis/frames.js';
import { ErrorReply, type Reply, textOf } from '../../redis/reply.js';
import type { Keys, Node } from '../../types.js';
import { nextReply, shaOf } from '../../redis/ask.js';
import type { Connection } from '../../redis/connection.js';
import { isPassing } from '../refused-keys.js';

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
function isRefusedUnrun({ code, text }: ErrorReply): boolean {
  return code !== 'IOERR' && !text.startsWith(errorFromTarget);
}

/** One command for all the keys. */
function migrateMany(args: MigrateArguments, keys: Keys): Buffer {
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

/*
 * One MIGRATE for many keys, in a transaction with the questions that its answer leaves open.
 *
 * `+OK` does not say how many of the keys there were, and an error says nothing of those that were
 * moved before it. Asked afterwards, a key that was moved and has been written anew since would look
 * like one that was not moved, and would overwrite at the node what was moved there.
 */

/** What became of the call. */
export type Together =
  | {
      readonly kind: 'answered';
      /** MIGRATE's own answer; `OK` says that it moved as many keys as there were before. */
      readonly answer: 'OK' | 'NOKEY' | ErrorReply;
      /** How many of the keys there were before. */
      readonly presentBefore: number;
      /** Which keys the source still had right behind it; undefined: it did not tell. */
      left(): Left | undefined;
    }
  /** MIGRATE was not run. */
  | { readonly kind: 'refused'; readonly why: ErrorReply }
  /** It may have been run, and what it did nobody can tell from the answers. */
  | {
      readonly kind: 'unclear';
      /** `refused MULTI: …` */
      readonly what: string;
      /** Whether another time it may be understood. */
      readonly isPassing: boolean;
    };

interface Left {
  readonly present: Keys;
  readonly absent: Keys;
}

/**
 * Which of the keys there are, as a row of 0 and 1; only their count where that says it all. Where
 * scripts may run this takes one command; else each key takes one of its own, queued and answered.
 */
export const presenceScript = `local count = redis.call('EXISTS', unpack(KEYS))
if count == 0 then return count end
local present = {}
for place, key in ipairs(KEYS) do present[place] = redis.call('EXISTS', key) end
return table.concat(present)`;
const presenceSha = shaOf(presenceScript);

const begin = command('MULTI');
const end = command('EXEC');

/** To be called once for a connection on which scripts are used. */
export function preparePresence(source: Connection): void {
  source.call('SCRIPT', 'LOAD', presenceScript).catch(() => undefined);
}

/** @param scripts whether the source lets scripts run. */
export async function migrateTogether(
  source: Connection,
  args: MigrateArguments,
  keys: Keys,
  scripts: boolean,
): Promise<Together> {
  const { out } = source;
  out.append(begin);
  out.append(commandHead(keys.count, 'EXISTS'));
  out.append(keys.bytes);
  out.append(migrateMany(args, keys));
  if (scripts) {
    out.append(commandHead(keys.count, 'EVALSHA', presenceSha, keys.count));
    out.append(keys.bytes);
  } else {
    for (let index = 0; index < keys.count; index++) {
      out.append(command('EXISTS', keyAt(keys, index)));
    }
  }
  out.append(end);
  const queuedCount = 2 + (scripts ? 1 : keys.count);
  const [begun, queued, result] = await Promise.all([
    nextReply(source),
    Promise.all(Array.from({ length: queuedCount }, () => nextReply(source))),
    nextReply(source),
  ]);
  const together = understood(begun, queued, result, keys);
  // It may still hold a transaction open, or be behind with its answers.
  if (together.kind === 'unclear') source.close();
  return together;
}

/**
 * Takes each answer for what it is an answer to: what stands between the source and us may refuse a
 * command of a transaction by itself, which is then run without it.
 * @param begun the answer to MULTI.
 * @param queued the answers to EXISTS, to MIGRATE, and to what asks which keys are left.
 * @param result the answer to EXEC.
 */
function understood(begun: Reply, queued: readonly Reply[], result: Reply, keys: Keys): Together {
  if (begun !== 'OK') {
    // Each command was run by itself, if at all, and those of others between them.
    const alone = queued[1];
    const didNothing = alone instanceof ErrorReply && isRefusedUnrun(alone);
    return didNothing ? { kind: 'refused', why: alone } : unclear('MULTI', begun);
  }
  if (result instanceof ErrorReply) {
    const refusal = queued.find((reply) => reply instanceof ErrorReply);
    if (result.code === 'EXECABORT') return { kind: 'refused', why: refusal ?? result };
    return unclear('EXEC', result);
  }
  const indexes = queued.flatMap((reply, index) => (reply === 'QUEUED' ? [index] : []));
  if (!Array.isArray(result) || result.length !== indexes.length) return unclear('EXEC', result);
  const answers = new Map(indexes.map((index, at) => [index, result[at] as Reply]));
  const answerAt = (index: number): Reply => answers.get(index) ?? queued[index] ?? null;
  const answer = answerAt(1);
  if (!answers.has(1)) {
    const isRefused = answer instanceof ErrorReply;
    return isRefused ? { kind: 'refused', why: answer } : unclear('MIGRATE', answer);
  }
  if (answer !== 'OK' && answer !== 'NOKEY' && !(answer instanceof ErrorReply)) {
    return unclear('MIGRATE', answer);
  }
  const presentBefore = answerAt(0);
  const isCount = typeof presentBefore === 'number' && presentBefore <= keys.count;
  if (answer === 'OK' && !isCount) return unclear('EXISTS', presentBefore);
  const presence = queued.slice(2).map((_, at) => answerAt(at + 2));
  const left = (): Left | undefined => leftOf(keys, presence);
  return { kind: 'answered', answer, presentBefore: isCount ? presentBefore : 0, left };
}

function unclear(command: string, reply: Reply): Together & { kind: 'unclear' } {
  if (!(reply instanceof ErrorReply)) {
    return { kind: 'unclear', what: `sent a malformed reply to ${command}`, isPassing: false };
  }
  const what = `refused ${command}: ${reply.text}`;
  return { kind: 'unclear', what, isPassing: isPassing(reply.text) };
}

/** @param presence a row of 0 and 1, or just 0, by the script; else an answer for each key. */
function leftOf(keys: Keys, presence: readonly Reply[]): Left | undefined {
  const [first] = presence;
  const isNone = first === 0 && presence.length === 1;
  const row = isNone ? '0'.repeat(keys.count) : presence.map(textOf).join('');
  if (row.length !== keys.count || !/^[01]*$/.test(row)) return undefined;
  const indexesOf = (sign: string): number[] =>
    [...Array(keys.count).keys()].filter((index) => row[index] === sign);
  return { present: chosen(keys, indexesOf('1')), absent: chosen(keys, indexesOf('0')) };
}

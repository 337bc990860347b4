/**
 * What stands before a managed server: a proxy that reads each command, answers some by itself as if
 * the server did not have them, and may change what the server answers to others.
 */
import { connect, createServer, type Socket } from 'node:net';

export interface FilterRules {
  /** Commands that are not passed on, and the error that they get: `ERR unknown command`. */
  readonly refuse?: Readonly<Record<string, string>>;
  /** Changes a command on its way to the server. */
  readonly alter?: Readonly<Record<string, (command: string) => string>>;
  /** Changes the server's whole reply to a command. */
  readonly change?: Readonly<Record<string, (reply: string) => string>>;
}

export interface Filter {
  readonly host: string;
  readonly port: number;
  readonly address: string;
  stop(): Promise<void>;
}

/** What a client is owed next: our own words, or what the server answers to this command. */
type Owed = { readonly words: string } | { readonly name: string };

export async function startFilter(
  target: { host: string; port: number },
  { refuse = {}, alter = {}, change = {} }: FilterRules,
): Promise<Filter> {
  const sockets = new Set<Socket>();

  const server = createServer((client) => {
    const upstream = connect(target);
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(one);
      one.setNoDelay(true);
      one.on('error', () => undefined);
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
    }
    const owed: Owed[] = [];
    let commands = '';
    let replies = '';

    function answer(): void {
      for (let next = owed[0]; next; next = owed[0]) {
        if ('words' in next) client.write(next.words, 'latin1');
        else {
          const end = valueEnd(replies, 0);
          if (end === undefined) return;
          const reply = replies.slice(0, end);
          replies = replies.slice(end);
          client.write(change[next.name]?.(reply) ?? reply, 'latin1');
        }
        owed.shift();
      }
    }

    client.on('data', (chunk: Buffer) => {
      commands += chunk.toString('latin1');
      for (let end = valueEnd(commands, 0); end !== undefined; end = valueEnd(commands, 0)) {
        const command = commands.slice(0, end);
        commands = commands.slice(end);
        const name = (command.split('\r\n')[2] ?? '').toUpperCase();
        const refusal = refuse[name];
        if (refusal === undefined) {
          owed.push({ name });
          upstream.write(alter[name]?.(command) ?? command, 'latin1');
        } else owed.push({ words: `-${refusal}\r\n` });
      }
      answer();
    });
    upstream.on('data', (chunk: Buffer) => {
      replies += chunk.toString('latin1');
      answer();
    });
  });

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as { port: number };
  return {
    host: '127.0.0.1',
    port,
    address: `127.0.0.1:${String(port)}`,
    stop: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => {
          resolve();
        });
      }),
  };
}

/** Where the RESP value ends that begins here; undefined: it is not whole yet. */
function valueEnd(text: string, from: number): number | undefined {
  const lineEnd = text.indexOf('\r\n', from);
  if (lineEnd === -1) return undefined;
  const type = text[from];
  const number = Number(text.slice(from + 1, lineEnd));
  let at: number | undefined = lineEnd + 2;
  if (type === '$' && number >= 0) at += number + 2;
  for (let left = type === '*' ? number : 0; left > 0 && at !== undefined; left--) {
    at = valueEnd(text, at);
  }
  return at === undefined || at > text.length ? undefined : at;
}

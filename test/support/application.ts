/** An application at work on a server: clients of every type of key, which stop at the first refusal. */
import { Redis } from 'ioredis';
import type { Random } from './random.js';
import { randomFrom } from './random.js';
import type { Server } from './servers.js';

export interface Application {
  /** Writes that were acknowledged so far. */
  readonly acknowledged: number;
  /** The longest that a client has waited for an answer, in ms. */
  readonly longestWaitMs: number;
  /** Ends when every client has been refused, or after `stop`. @returns what they were refused with. */
  readonly ended: Promise<readonly string[]>;
  stop(): Promise<void>;
}

type Words = readonly (string | number)[];

const scriptOfTwo = `redis.call('INCR', KEYS[1]) redis.call('SADD', 'undeclared:' .. ARGV[1], KEYS[1]) return 1`;

/** One write, or several in one transaction. */
function nextWrite(random: Random): Words[] {
  const n = (): number => random.int(300);
  const token = (): string => `t${String(random.int(2 ** 31))}`;
  return random.pick<() => Words[]>([
    () => [['INCR', `counter:${String(n())}`]],
    () => [['INCRBYFLOAT', `float:${String(n())}`, '0.5']],
    () => [['APPEND', `text:${String(n())}`, token()]],
    () => [['SET', `string:${String(n())}`, token(), 'EX', 1000]],
    () => [['SET', `short:${String(n())}`, token(), 'PX', 1 + random.int(500)]],
    () => [['LPUSH', `list:${String(n())}`, token(), token()]],
    () => [['RPOPLPUSH', `list:${String(n())}`, `list:${String(n())}`]],
    () => [['HSET', `hash:${String(n())}`, String(random.int(5)), token()]],
    () => [['HINCRBY', `hash:${String(n())}`, 'count', 1]],
    () => [['SADD', `set:${String(n())}`, token()]],
    () => [['SPOP', `set:${String(n())}`]],
    () => [['SMOVE', `set:${String(n())}`, `set:${String(n())}`, token()]],
    () => [['ZADD', `zset:${String(n())}`, random.int(1000), token()]],
    () => [['ZUNIONSTORE', `zset:${String(n())}`, 2, `zset:${String(n())}`, `zset:${String(n())}`]],
    () => [['XADD', `stream:${String(n())}`, 'MAXLEN', '~', 100, '*', 'field', token()]],
    () => [['EXPIRE', `hash:${String(n())}`, 100 + random.int(1000)]],
    () => [['PERSIST', `string:${String(n())}`]],
    () => [['DEL', `text:${String(n())}`, `list:${String(n())}`]],
    () => [['UNLINK', `hash:${String(n())}`]],
    () => {
      const name = `string:${String(n())}`;
      return [
        ['SET', name, token()],
        ['RENAME', name, `renamed:${String(n())}`],
      ];
    },
    () => [['COPY', `zset:${String(n())}`, `copy:${String(n())}`, 'REPLACE']],
    () => [['MSET', `a:${String(n())}`, token(), `b:${String(n())}`, token()]],
    () => [
      ['INCR', `counter:${String(n())}`],
      ['RPUSH', `list:${String(n())}`, token()],
      ['SET', `string:${String(n())}`, token()],
    ],
    () => [['EVAL', scriptOfTwo, 1, `counter:${String(n())}`, String(n())]],
  ])();
}

export function startApplication(
  { host, port }: Pick<Server, 'host' | 'port'>,
  { clients = 4, seed = 1 }: { readonly clients?: number; readonly seed?: number } = {},
): Application {
  let isOver = false;
  let acknowledged = 0;
  let longestWaitMs = 0;

  async function work(stream: number): Promise<string> {
    const random = randomFrom(seed, stream);
    const client = new Redis({ host, port, protocol: 2, retryStrategy: () => null });
    client.on('error', () => undefined);
    try {
      while (!isOver) {
        const writes = nextWrite(random);
        const [first] = writes as [Words];
        const startedMs = performance.now();
        if (writes.length === 1) await client.call(...(first as [string]));
        else {
          const transaction = client.multi();
          for (const words of writes) transaction.call(...(words as [string]));
          const answers = await transaction.exec();
          for (const [error] of answers ?? []) if (error) throw error;
        }
        longestWaitMs = Math.max(longestWaitMs, performance.now() - startedMs);
        acknowledged++;
      }
      return '';
    } catch (error) {
      return (error as Error).message;
    } finally {
      client.disconnect();
    }
  }

  const ended = Promise.all(Array.from({ length: clients }, (_, stream) => work(stream)));
  return {
    get acknowledged() {
      return acknowledged;
    },
    get longestWaitMs() {
      return longestWaitMs;
    },
    ended,
    async stop() {
      isOver = true;
      await ended;
    },
  };
}

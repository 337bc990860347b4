/** Random keys of every type and encoding, the same ones for the same seed; so that files hold them all. */
import type { Redis } from 'ioredis';
import type { Random } from '../support/random.js';

type Word = string | number | Buffer;
type Command = readonly [name: string, ...args: Word[]];

/** Few and small, so that data cross them often: from there on a server keeps values in another way. */
const limits: Readonly<Record<string, readonly string[]>> = {
  'hash-max-listpack-entries': ['4', '128'],
  'hash-max-listpack-value': ['16', '64'],
  'zset-max-listpack-entries': ['4', '128'],
  'zset-max-listpack-value': ['16', '64'],
  'set-max-intset-entries': ['4', '512'],
  'list-max-listpack-size': ['-2', '-1', '4', '128'],
  'list-compress-depth': ['0', '1', '2'],
  'stream-node-max-entries': ['3', '100'],
  rdbcompression: ['yes', 'no'],
  'maxmemory-policy': ['noeviction', 'allkeys-lfu'],
};

const scores = [
  'inf',
  '-inf',
  '0',
  '-0.5',
  '3.141592653589793',
  '1e300',
  '5e-324',
  '9007199254740993',
];
const farMs = 4_102_444_800_000;

/** Sets the server's limits, then fills it. */
export async function fillAtRandom(client: Redis, random: Random, count: number): Promise<void> {
  for (const [name, values] of Object.entries(limits)) {
    await client.config('SET', name, random.pick(values));
  }
  const commands = Array.from({ length: count }, (_, nth) => commandsFor(nth, random)).flat();
  for (let at = 0; at < commands.length; at += 500) {
    const some = commands.slice(at, at + 500);
    await Promise.all(some.map(([name, ...args]) => client.call(name, ...args)));
  }
}

function commandsFor(nth: number, random: Random): readonly Command[] {
  const key = nameFor(nth, random);
  const made = random.pick(kinds)(key, random);
  if (!random.oneIn(4)) return made;
  return [...made, ['PEXPIREAT', key, farMs + random.int(1_000_000)]];
}

function nameFor(nth: number, random: Random): Word {
  if (random.oneIn(20)) return String(nth);
  if (random.oneIn(20)) return Buffer.from([nth & 255, nth >> 8, 0, 13, 10, 255]);
  const length = random.oneIn(30) ? 1000 : random.int(20);
  return `key:${String(nth)}:${'n'.repeat(length)}`;
}

function textFor(random: Random): Word {
  switch (random.int(8)) {
    case 0:
      return String(random.int(100) - 50);
    case 1:
      return String(random.int(2 ** 31) * 4096 - 2 ** 40);
    case 2:
      return '';
    case 3:
      return 'again '.repeat(random.int(200));
    case 4:
      return Buffer.from(Array.from({ length: random.int(80) }, () => random.int(256)));
    default:
      return `text ${String(random.int(1_000_000))}`;
  }
}

const many = (random: Random, words: (at: number) => Word[]): Word[] =>
  Array.from({ length: 1 + random.int(random.oneIn(10) ? 300 : 12) }, (_, at) => words(at)).flat();

const kinds: readonly ((key: Word, random: Random) => readonly Command[])[] = [
  (key, random) => [['SET', key, textFor(random)]],
  (key, random) => [['SET', key, 'x'.repeat(random.oneIn(40) ? 300_000 : random.int(3000))]],
  (key, random) => [['RPUSH', key, ...many(random, () => [textFor(random)])]],
  (key, random) => [['RPUSH', key, 'y'.repeat(random.int(20_000)), textFor(random)]],
  (key, random) => [['SADD', key, ...many(random, () => [random.int(2 ** 31) - 2 ** 30])]],
  (key, random) => [['SADD', key, ...many(random, () => [textFor(random)])]],
  (key, random) => [
    ['HSET', key, ...many(random, (at) => [`field ${String(at)}`, textFor(random)])],
  ],
  (key, random) => [
    [
      'ZADD',
      key,
      ...many(random, (at) => [
        random.oneIn(3) ? random.pick(scores) : random.int(1000) / 7,
        `member ${String(at)}`,
      ]),
    ],
  ],
  (key, random) => [
    ['PFADD', key, ...many(random, () => [textFor(random)])],
    // Many make it dense.
    ...(random.oneIn(4)
      ? [['PFADD', key, ...Array.from({ length: 2500 }, (_, at) => at)] as const]
      : []),
  ],
  (key, random) => [['SETBIT', key, random.int(20_000), 1]],
  (key, random) => [['GEOADD', key, random.int(170), random.int(80), 'somewhere']],
  streamCommands,
];

function streamCommands(key: Word, random: Random): readonly Command[] {
  const entries = 1 + random.int(40);
  const added = Array.from({ length: entries }, (_, at): Command => {
    const id = `${String(at + 1)}-${String(random.int(5) + 1)}`;
    return ['XADD', key, id, 'field', textFor(random)];
  });
  const read = (consumer: string): Command => [
    ...(['XREADGROUP', 'GROUP', 'workers', consumer, 'COUNT', 1 + random.int(5)] as const),
    ...(['STREAMS', key, '>'] as const),
  ];
  const groups: Command[] = random.oneIn(2)
    ? []
    : [['XGROUP', 'CREATE', key, 'workers', '0'], read('alice'), read('bob'), read('alice')];
  // Pending entries that were trimmed are lost when a server writes its data as commands (XCLAIM).
  const trimmed: Command[] =
    groups.length === 0 && random.oneIn(3) ? [['XTRIM', key, 'MAXLEN', random.int(entries)]] : [];
  return [...added, ...groups, ...trimmed];
}

/**
 * The least that any import costs its source: SCAN, read, UNLINK, by a client that does nothing
 * else. Nothing arrives anywhere; only the source's CPU counts. The client is two `cat`s on a socket of
 * bash's, one that sends and one that throws the answers away: `redis-cli --pipe` is no slower with
 * small values, but moves its whole input buffer once a reply, so large ones keep it busy for seconds.
 *
 * The order decides much: keys in SCAN's order lie apart in memory, and what was just listed is in
 * the cache. So the script is an import's own: page by page, each page listed, read, deleted. The
 * pages are listed once beforehand; while the table stays as it is, the same cursors list them again.
 */
import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { delimiter, join } from 'node:path';
import { findProgram } from '../../scripts/find-redis.mjs';
import { encode } from '../lab/feed.js';
import type { Dataset, Rival, Scene } from '../types.js';

const pageKeys = '1000';
const batchKeys = 256;

/** The script's last command is QUIT, so the answers end by themselves. */
const client = 'exec 5<>"/dev/tcp/$1/$2" && { cat <&5 >/dev/null & cat >&5; wait; }';

function bash(): string | undefined {
  return findProgram(['bash'], (process.env['PATH'] ?? '').split(delimiter));
}

function floor(name: string, title: string, commands: typeof oneByOne): Rival {
  return {
    name,
    title,
    isSlow: false,
    isQuick: commands === oneByOne,
    keysEnd: 'nowhere',
    missing: () => (bash() === undefined ? 'there is no bash' : undefined),
    async prepare(scene) {
      const stdin = join(scene.directory, 'commands');
      await writeScript(scene, stdin, commands);
      const { host, port } = scene.source;
      return { program: bash() ?? 'bash', args: ['-c', client, 'bash', host, String(port)], stdin };
    },
  };
}

async function writeScript(scene: Scene, file: string, commands: typeof oneByOne): Promise<void> {
  const out = createWriteStream(file);
  let cursor = '0';
  do {
    out.write(encode(['SCAN', cursor, 'COUNT', pageKeys]));
    const [next, keys] = await scene.source.client.scanBuffer(cursor, 'COUNT', pageKeys);
    cursor = String(next);
    if (!out.write(Buffer.concat(commands(keys, scene.dataset)))) await once(out, 'drain');
  } while (cursor !== '0');
  out.end(encode(['QUIT']));
  await once(out, 'close');
}

/** A command a key. */
function oneByOne(keys: readonly Buffer[], { read, expires }: Dataset): Buffer[] {
  return [
    ...(expires ? keys.map((key) => encode(['PTTL', key])) : []),
    ...keys.map((key) => encode([read, key])),
    ...keys.map((key) => encode(['UNLINK', key])),
  ];
}

/** As many keys a command as an import might give; PTTL and DUMP take one. */
function inBatches(keys: readonly Buffer[], dataset: Dataset): Buffer[] {
  const batches: (readonly Buffer[])[] = [];
  for (let at = 0; at < keys.length; at += batchKeys) batches.push(keys.slice(at, at + batchKeys));
  return batches.flatMap((batch) => {
    const [reads, single] = [oneByOne(batch, dataset), batch.length];
    const read = dataset.read === 'GET' ? [encode(['MGET', ...batch])] : reads.slice(0, -single);
    return [...read, encode(['UNLINK', ...batch])];
  });
}

export const floorSingle = floor('floor', 'floor: SCAN, read, UNLINK', oneByOne);
export const floorBatched = floor('floor-batched', 'floor, 256 keys a command', inBatches);

/** A stream that travels element by element is the same afterwards, to the last of its ids and counts. */
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { importKeys } from '../../../src/index.js';
import { type Proxy, startProxy } from '../../support/proxy.js';
import { setStage } from '../../support/stage.js';

const stage = setStage();

type Do = (...words: (string | number)[]) => Promise<unknown>;

/** Adds entries 1-0, 2-0, … up to this one. */
async function add(run: Do, count: number): Promise<void> {
  for (let id = 1; id <= count; id++) await run('XADD', 's', `${String(id)}-0`, 'at', id);
}

/** A group that begins ahead of all entries, and one consumer who reads so many of them. */
async function read(run: Do, count: number, group = 'workers', consumer = 'alice'): Promise<void> {
  await run('XGROUP', 'CREATE', 's', group, 0, 'MKSTREAM').catch(() => undefined);
  await run('XREADGROUP', 'GROUP', group, consumer, 'COUNT', count, 'STREAMS', 's', '>');
}

const streams: Readonly<Record<string, (run: Do) => Promise<unknown>>> = {
  'never had an entry': async (run) => {
    await run('XGROUP', 'CREATE', 's', 'workers', 0, 'MKSTREAM');
    await run('XGROUP', 'DESTROY', 's', 'workers');
  },
  'never had an entry, and has groups': async (run) => {
    await run('XGROUP', 'CREATE', 's', 'workers', 0, 'MKSTREAM');
    await run('XGROUP', 'CREATE', 's', 'late', '9-9');
  },
  'empty, all deleted': async (run) => {
    await add(run, 3);
    await run('XDEL', 's', '1-0', '2-0', '3-0');
  },
  'empty, all trimmed': async (run) => {
    await add(run, 3);
    await run('XTRIM', 's', 'MAXLEN', 0);
  },
  'empty, all trimmed while pending': async (run) => {
    await add(run, 9);
    await read(run, 5);
    await run('XTRIM', 's', 'MAXLEN', 0);
  },
  trimmed: async (run) => {
    await add(run, 9);
    await run('XTRIM', 's', 'MAXLEN', 4);
  },
  'trimmed while pending': async (run) => {
    await add(run, 30);
    await read(run, 20);
    await run('XGROUP', 'CREATE', 's', 'late', '3-0');
    await run('XTRIM', 's', 'MAXLEN', 15);
  },
  'trimmed to behind what is pending': async (run) => {
    await add(run, 9);
    await read(run, 3);
    await run('XTRIM', 's', 'MINID', '6-0');
  },
  'deleted at its front': async (run) => {
    await add(run, 5);
    await run('XDEL', 's', '1-0');
  },
  'deleted within': async (run) => {
    await add(run, 5);
    await run('XDEL', 's', '3-0');
  },
  'deleted at its end': async (run) => {
    await add(run, 5);
    await run('XDEL', 's', '5-0');
  },
  'deleted at its front while pending': async (run) => {
    await add(run, 5);
    await read(run, 5);
    await run('XDEL', 's', '1-0');
  },
  'deleted within while pending': async (run) => {
    await add(run, 5);
    await read(run, 4);
    await run('XDEL', 's', '3-0');
  },
  'deleted at its end while pending': async (run) => {
    await add(run, 5);
    await read(run, 5);
    await run('XDEL', 's', '5-0', '4-0');
  },
  'deleted within, then trimmed while pending': async (run) => {
    await add(run, 9);
    await read(run, 7);
    await run('XDEL', 's', '3-0');
    await run('XTRIM', 's', 'MAXLEN', 3);
  },
  // As a source before 7.0 leaves it, where XDEL raises no id.
  'without an entry within, of which nothing tells but that it is pending': async (run) => {
    await run('XADD', 's', '5-0', 'at', 5);
    await read(run, 1);
    await run('XTRIM', 's', 'MAXLEN', 0);
    await run('XSETID', 's', '0-0');
    await run('XADD', 's', '3-0', 'at', 3);
    await run('XADD', 's', '7-0', 'at', 7);
  },
  'with a last id beyond all entries': async (run) => {
    await add(run, 3);
    await run('XSETID', 's', '18446744073709551615-18446744073709551615');
  },
  'with counts that its owner has set': async (run) => {
    await add(run, 3);
    await run('XSETID', 's', '9-9', 'ENTRIESADDED', 1000, 'MAXDELETEDID', '7-7');
    await run('XGROUP', 'CREATE', 's', 'workers', '2-0', 'ENTRIESREAD', 900);
  },
  'with groups and consumers to whom nothing is pending': async (run) => {
    await add(run, 5);
    await read(run, 3);
    await run('XACK', 's', 'workers', '1-0', '2-0', '3-0');
    await run('XGROUP', 'CREATECONSUMER', 's', 'workers', 'idle');
    await read(run, 5, 'others', 'carol');
    await run('XACK', 's', 'others', '1-0', '2-0', '3-0', '4-0', '5-0');
    await run('XGROUP', 'CREATE', 's', 'nobody', '$');
  },
  'with a lag that is unknown': async (run) => {
    await add(run, 9);
    await run('XGROUP', 'CREATE', 's', 'workers', '4-0');
    await run('XDEL', 's', '6-0');
  },
  'with entries pending in several groups, delivered more than once': async (run) => {
    await add(run, 9);
    await read(run, 4, 'one', 'alice');
    await read(run, 2, 'one', 'bob');
    await read(run, 9, 'other', 'carol');
    await run('XCLAIM', 's', 'one', 'bob', 0, '2-0', 'RETRYCOUNT', 7);
    await run('XDEL', 's', '2-0', '5-0');
    await run('XTRIM', 's', 'MAXLEN', 6);
  },
  'with many entries pending, and most of them trimmed': async (run) => {
    await add(run, 1700);
    await read(run, 1600);
    await read(run, 1200, 'others', 'bob');
    await run('XTRIM', 's', 'MAXLEN', 300);
  },
};

it.each(Object.entries(streams))('a stream %s', async (_, build) => {
  const { client } = stage.source;
  await build((...words) => client.call(...(words as [string, ...string[]])));
  const before = await everyField(client);
  const endpoints = { from: stage.source.address, to: stage.cluster.seed };
  const options = { ...endpoints, byElements: true, verify: true };
  const report = await importKeys(options);
  expect(report.failures).toEqual([]);
  expect(report.keys).toMatchObject({ scanned: 1, moved: 1 });
  expect(await everyField(stage.cluster.clientFor('s'))).toEqual(before);
  expect(await client.exists('s')).toBe(0);
});

it('a stream of a source that counts nothing, as before 7.0, gets the counts that RESTORE gives', async () => {
  const { client } = stage.source;
  const run: Do = (...words) => client.call(...(words as [string, ...string[]]));
  await add(run, 9);
  await read(run, 7);
  await run('XTRIM', 's', 'MAXLEN', 5);
  await run('XDEL', 's', '6-0');
  const before = await everyField(client);
  const proxy = await startProxy(stage.source);
  try {
    hideCounts(proxy);
    const options = { from: proxy.address, to: stage.cluster.seed, byElements: true };
    const report = await importKeys(options);
    expect(report.keys).toMatchObject({ moved: 1, failed: 0 });
  } finally {
    await proxy.stop();
  }
  expect(await everyField(stage.cluster.clientFor('s'))).toEqual({
    ...before,
    'entries-added': 4,
    'max-deleted-entry-id': '0-0',
    groups: (before['groups'] as Fields[]).map((group) => ({
      ...group,
      'entries-read': null,
      lag: null,
    })),
  });
});

/** Names of fields that no server knows take the place of those that are new in 7.0. */
function hideCounts(proxy: Proxy): void {
  const names = /entries-added|max-deleted-entry-id|entries-read/g;
  proxy.faults.corrupt = (chunk, direction) =>
    direction === 'up'
      ? chunk
      : Buffer.from(
          chunk.toString('latin1').replace(names, (name) => '?'.repeat(name.length)),
          'latin1',
        );
}

type Fields = Record<string, unknown>;

/** All that XINFO STREAM FULL tells, but times and how the server lays the stream out in memory. */
async function everyField(client: Redis): Promise<Fields> {
  const reply = await client.call('XINFO', 'STREAM', 's', 'FULL', 'COUNT', 0);
  const told = Object.entries(fields(reply));
  const info = Object.fromEntries(told.filter(([name]) => !name.startsWith('radix-tree')));
  info['groups'] = (info['groups'] as unknown[]).map((group) => {
    const about = fields(group);
    const rows = about['pending'] as unknown[][];
    about['pending'] = rows.map(([id, consumer, , deliveries]) => [id, consumer, deliveries]);
    about['consumers'] = (about['consumers'] as unknown[]).map(fields).map((consumer) => ({
      name: consumer['name'],
      pending: (consumer['pending'] as unknown[][]).map(([id, , deliveries]) => [id, deliveries]),
    }));
    return about;
  });
  return info;
}

function fields(reply: unknown): Fields {
  const list = reply as unknown[];
  return Object.fromEntries(
    list.flatMap((name, at) => (at % 2 === 0 ? [[String(name), list[at + 1]]] : [])),
  );
}

/** The rounds of a followed source, with a pipeline that only asks for pages. */
import { describe, expect, it } from 'vitest';
import { ConnectionError } from '../../../src/errors.js';
import { ChangedKeys } from '../../../src/follow/changed-keys.js';
import { FollowedSource, type Round } from '../../../src/follow/followed-source.js';
import { keyAt } from '../../../src/redis/frames.js';
import type { Page, Source } from '../../../src/types.js';
import { keysOf, slotOf } from '../../support/keys.js';

/** A source that lists these pages, each time anew. */
function listing(...pages: string[][]): Source {
  return {
    name: 'source',
    estimatedKeys: 0,
    progress: 1,
    isReplayable: true,
    async *pages() {
      for (const page of pages) {
        await Promise.resolve();
        yield keysOf(...page);
      }
    },
  };
}

function follow(first: Source, strays: string[] = [], isCopied = false, failures = 0) {
  const held = { any: false, slots: new Set<number>() };
  const changed = new ChangedKeys();
  const rounds: Round[] = [];
  const source = new FollowedSource(first, {
    changed,
    pageKeys: () => 2,
    turn: () => Promise.resolve(() => undefined),
    ownKeys: (page) => page,
    async *strays() {
      await Promise.resolve();
      if (failures-- > 0) throw new ConnectionError('a node is away');
      yield keysOf(...strays);
    },
    isCopied,
    roundBegins: () => undefined,
    roundEnded: (round) => rounds.push(round),
  });
  const heldUp = {
    get any() {
      return held.any;
    },
    has: (slot: number) => held.slots.has(slot),
  };
  const pages = source.pages(heldUp)[Symbol.asyncIterator]();
  const next = async (): Promise<string> => {
    const page = await pages.next();
    return page.done === true ? 'end' : told(page.value);
  };
  return { changed, rounds, source, next, held };
}

/** The same, once its one page has been copied, and the round behind it. */
async function followed(first: Source, strays: string[] = [], failures = 0) {
  const following = follow(first, strays, false, failures);
  const pages = [];
  for (let at = 0; at < 4; at++) pages.push(await following.next());
  expect(pages.slice(1)).toEqual(['|', '~', '~']);
  return following;
}

/** `|` at rest, `~` at a lull, or the keys, with a + ahead of those that are copied again. */
function told(page: Page): string {
  const names = [...Array(page.count).keys()].map((at) => keyAt(page, at).toString());
  const words = `${page.intent === 'again' ? '+' : ''}${names.join(' ')}`;
  if (page.intent === 'lull') return `~${words}`;
  return page.intent === 'rest' ? `|${words}` : words;
}

describe('a followed source', () => {
  it('lists its keys, and then those that are changed, each round between two lulls', async () => {
    const { changed, next, rounds, source } = follow(listing(['a', 'b'], ['c']));
    expect([await next(), await next(), await next()]).toEqual(['a b', 'c', '|']);
    changed.note('b');
    changed.note('x');
    changed.note('y');
    expect(source.isCopied).toBe(false);
    expect(await next()).toBe('~');
    expect(source.isCopied).toBe(true);
    expect([await next(), await next(), await next()]).toEqual(['+b x', '+y', '~']);
    expect(rounds).toEqual([]);
    changed.note('z');
    expect([await next(), await next()]).toEqual(['~', '+z']);
    expect(rounds.map(({ keys }) => keys)).toEqual([3]);
  });

  it('takes keys only once everything is at rest, so that a later change is not forgotten', async () => {
    const { changed, next } = await followed(listing(['a']));
    changed.note('b');
    expect(await next()).toBe('~');
    // Heard while what was under way came to rest.
    changed.note('c');
    expect(await next()).toBe('+b c');
    // Heard while they are read.
    changed.note('b');
    expect([await next(), await next(), await next()]).toEqual(['~', '~', '+b']);
  });

  it('looks at all keys of both sides where changes were missed', async () => {
    const { changed, next } = await followed(listing(['a', 'b']), ['gone']);
    changed.noteEverything('there was a gap');
    const pages = [await next(), await next(), await next(), await next()];
    expect(pages).toEqual(['~', '+a b', '+gone', '~']);
  });

  it('asks once more where the cluster could not be asked for its own', async () => {
    const strays = ['gone'];
    const { changed, next, rounds } = await followed(listing(['a']), strays, 1);
    changed.noteEverything('there was a gap');
    expect([await next(), await next(), await next()]).toEqual(['~', '+a', '~']);
    expect(changed.count).toBe(1);
    // Changed keys are copied meanwhile.
    changed.note('b');
    expect([await next(), await next(), await next()]).toEqual(['~', '+b', '~']);
    expect(rounds.map(({ isWhole }) => isWhole)).toEqual([true, false]);
    let page = '~';
    while (page === '~') page = await next();
    expect(page).toBe('+gone');
  });

  it('goes on with what has changed where an earlier run has copied the rest', async () => {
    const { changed, next } = follow(listing(['a', 'b']), [], true);
    changed.note('b');
    expect([await next(), await next(), await next(), await next()]).toEqual(['|', '~', '+b', '~']);
  });

  it('tells of a round that begins later than it was asked for, even if nothing has changed', async () => {
    const { next, source } = await followed(listing(['a']));
    let isOver = false;
    const round = source.nextRound().then(() => (isOver = true));
    expect([await next(), await next()]).toEqual(['~', '~']);
    expect(isOver).toBe(false);
    const waiting = next();
    await round;
    source.end();
    expect(await waiting).toBe('end');
  });

  it('begins no round while it is frozen, and is frozen only once the round under way is over', async () => {
    const { changed, next, source } = await followed(listing(['a']));
    changed.note('b');
    expect([await next(), await next()]).toEqual(['~', '+b']);
    let isFrozen = false;
    const freezing = source.freeze().then(() => (isFrozen = true));
    expect(await next()).toBe('~');
    expect(isFrozen).toBe(false);
    changed.note('c');
    let isAsked = false;
    const waiting = next().finally(() => (isAsked = true));
    await freezing;
    await new Promise(setImmediate);
    expect(isAsked).toBe(false);
    source.thaw();
    expect([await waiting, await next()]).toEqual(['~', '+c']);
  });

  it('ends with what its feed ended with', async () => {
    const { next, source } = await followed(listing(['a']));
    const waiting = next();
    source.fail(new Error('the feed is lost'));
    await expect(waiting).rejects.toThrow('the feed is lost');
  });

  it('copies what no node holds up, and the rest when it is free again', async () => {
    const { changed, held, next, rounds, source } = await followed(listing(['a']));
    for (const name of ['away', 'b', 'c']) changed.note(name);
    const { sinceMs } = changed;
    expect([await next(), await next()]).toEqual(['~', '+away b']);
    // What the pipeline has found out meanwhile.
    held.any = true;
    held.slots.add(slotOf('away'));
    source.giveBack(keysOf('away'));
    expect(changed.sinceMs).toBe(sinceMs);
    expect([await next(), await next()]).toEqual(['+c', '~']);
    changed.note('d');
    const whole = source.nextRound();
    let isWhole = false;
    void whole.then(() => (isWhole = true));
    expect([await next(), await next(), await next()]).toEqual(['~', '+d', '~']);
    expect(await next()).toBe('~');
    expect(rounds.slice(1)).toMatchObject([
      { keys: 2, isWhole: false },
      { keys: 1, isWhole: false },
    ]);
    expect([isWhole, changed.count]).toEqual([false, 1]);
    held.any = false;
    held.slots.clear();
    expect([await next(), await next()]).toEqual(['+away', '~']);
    const waiting = next();
    await whole;
    expect(rounds.slice(3)).toMatchObject([{ keys: 1, isWhole: true }]);
    expect(rounds[3]?.lagMs).toBeGreaterThan(rounds[2]?.lagMs ?? Infinity);
    source.end();
    expect(await waiting).toBe('end');
  });

  it('waits with what needs all nodes until none holds anything up', async () => {
    const { changed, held, next } = await followed(listing(['a']), ['gone']);
    changed.noteEverything('there was a gap');
    held.any = true;
    changed.note('b');
    expect([await next(), await next(), await next()]).toEqual(['~', '+b', '~']);
    expect(await next()).toBe('~');
    held.any = false;
    expect([await next(), await next(), await next()]).toEqual(['+a', '+gone', '~']);
  });

  it('is frozen only once nothing is under way, and copies for the other nodes until then', async () => {
    const { changed, held, next, source } = await followed(listing(['a']));
    changed.note('away');
    expect([await next(), await next()]).toEqual(['~', '+away']);
    held.any = true;
    held.slots.add(slotOf('away'));
    source.giveBack(keysOf('away'));
    expect(await next()).toBe('~');
    let isFrozen = false;
    const freezing = source.freeze().then(() => (isFrozen = true));
    changed.note('b');
    expect([await next(), await next(), await next()]).toEqual(['~', '+b', '~']);
    expect(isFrozen).toBe(false);
    expect(await next()).toBe('~');
    held.any = false;
    held.slots.clear();
    expect([await next(), await next()]).toEqual(['+away', '~']);
    const waiting = next();
    await freezing;
    source.end();
    expect(await waiting).toBe('end');
  });
});

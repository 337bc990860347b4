/** The rounds of a followed source, with a pipeline that only asks for pages. */
import { describe, expect, it } from 'vitest';
import { ConnectionError } from '../../../src/errors.js';
import { ChangedKeys } from '../../../src/follow/changed-keys.js';
import { FollowedSource, type Round } from '../../../src/follow/followed-source.js';
import { keyAt } from '../../../src/redis/keys.js';
import type { Page, Source } from '../../../src/types.js';
import { keysOf } from '../../support/keys.js';

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
  const pages = source.pages()[Symbol.asyncIterator]();
  const next = async (): Promise<string> => {
    const page = await pages.next();
    return page.done === true ? 'end' : told(page.value);
  };
  return { changed, rounds, source, next };
}

/** The same, once its one page has been copied, and the round behind it. */
async function followed(first: Source, strays: string[] = [], failures = 0) {
  const following = follow(first, strays, false, failures);
  const pages = [];
  for (let at = 0; at < 4; at++) pages.push(await following.next());
  expect(pages.slice(1)).toEqual(['|', '|', '|']);
  return following;
}

/** `| at rest`, or the keys, with a + ahead of those that are copied again. */
function told(page: Page): string {
  const names = [...Array(page.count).keys()].map((at) => keyAt(page, at).toString());
  const words = `${page.intent === 'again' ? '+' : ''}${names.join(' ')}`;
  return page.intent === 'rest' ? `|${words}` : words;
}

describe('a followed source', () => {
  it('lists its keys, and then those that are changed, each round between two rests', async () => {
    const { changed, next, rounds, source } = follow(listing(['a', 'b'], ['c']));
    expect([await next(), await next(), await next()]).toEqual(['a b', 'c', '|']);
    changed.note('b');
    changed.note('x');
    changed.note('y');
    expect(source.isCopied).toBe(false);
    expect(await next()).toBe('|');
    expect(source.isCopied).toBe(true);
    expect([await next(), await next(), await next()]).toEqual(['+b x', '+y', '|']);
    expect(rounds).toEqual([]);
    changed.note('z');
    expect([await next(), await next()]).toEqual(['|', '+z']);
    expect(rounds.map(({ keys }) => keys)).toEqual([3]);
  });

  it('takes keys only once everything is at rest, so that a later change is not forgotten', async () => {
    const { changed, next } = await followed(listing(['a']));
    changed.note('b');
    expect(await next()).toBe('|');
    // Heard while what was under way came to rest.
    changed.note('c');
    expect(await next()).toBe('+b c');
    // Heard while they are read.
    changed.note('b');
    expect([await next(), await next(), await next()]).toEqual(['|', '|', '+b']);
  });

  it('looks at all keys of both sides where changes were missed', async () => {
    const { changed, next } = await followed(listing(['a', 'b']), ['gone']);
    changed.noteEverything('there was a gap');
    const pages = [await next(), await next(), await next(), await next()];
    expect(pages).toEqual(['|', '+a b', '+gone', '|']);
  });

  it('asks once more where the cluster could not be asked for its own', async () => {
    const strays = ['gone'];
    const { changed, next } = await followed(listing(['a']), strays, 1);
    changed.noteEverything('there was a gap');
    expect([await next(), await next(), await next()]).toEqual(['|', '+a', '|']);
    expect(changed.count).toBe(1);
    expect([await next(), await next(), await next()]).toEqual(['|', '+gone', '|']);
  });

  it('goes on with what has changed where an earlier run has copied the rest', async () => {
    const { changed, next } = follow(listing(['a', 'b']), [], true);
    changed.note('b');
    expect([await next(), await next(), await next(), await next()]).toEqual(['|', '|', '+b', '|']);
  });

  it('tells of a round that begins later than it was asked for, even if nothing has changed', async () => {
    const { next, source } = await followed(listing(['a']));
    let isOver = false;
    const round = source.nextRound().then(() => (isOver = true));
    expect([await next(), await next()]).toEqual(['|', '|']);
    expect(isOver).toBe(false);
    const waiting = next();
    await round;
    source.end();
    expect(await waiting).toBe('end');
  });

  it('begins no round while it is frozen, and is frozen only once the round under way is over', async () => {
    const { changed, next, source } = await followed(listing(['a']));
    changed.note('b');
    expect([await next(), await next()]).toEqual(['|', '+b']);
    let isFrozen = false;
    const freezing = source.freeze().then(() => (isFrozen = true));
    expect(await next()).toBe('|');
    expect(isFrozen).toBe(false);
    changed.note('c');
    let isAsked = false;
    const waiting = next().finally(() => (isAsked = true));
    await freezing;
    await new Promise(setImmediate);
    expect(isAsked).toBe(false);
    source.thaw();
    expect([await waiting, await next()]).toEqual(['|', '+c']);
  });

  it('ends with what its feed ended with', async () => {
    const { next, source } = await followed(listing(['a']));
    const waiting = next();
    source.fail(new Error('the feed is lost'));
    await expect(waiting).rejects.toThrow('the feed is lost');
  });
});

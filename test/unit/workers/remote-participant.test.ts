/** A server that another process follows, as the cutover sees it. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ConnectionError, type ImportError } from '../../../src/errors.js';
import type { ParticipantState } from '../../../src/follow/participant.js';
import { type AskedOfJob, Dialogue, type Said } from '../../../src/workers/dialogue.js';
import { type HandOver, RemoteParticipant } from '../../../src/workers/remote-participant.js';

const state: ParticipantState = {
  isCopied: true,
  feed: 'replication',
  fence: 'pause',
  changes: 5,
  gaps: 1,
  waiting: 0,
  lagMs: 0,
};

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function joined() {
  const said: Said[] = [];
  const lost: string[] = [];
  const handOvers: HandOver[] = [];
  const dialogue = new Dialogue<AskedOfJob>((one) => said.push(one));
  const one = new RemoteParticipant(
    '10.0.0.5:6379',
    () => Promise.reject(new ConnectionError('it is away')),
    (handOver) => handOvers.push(handOver),
  );
  one.onLost(({ message }: ImportError) => lost.push(message));
  one.attach(dialogue);
  one.hear(state);
  const asked = () => said.flatMap((words) => ('ask' in words ? [words.ask] : []));
  let answered = 0;
  /** Its process answers what it was asked so far. */
  function answer(): void {
    for (const words of said.slice(answered)) dialogue.hear({ id: words.id, answer: null });
    answered = said.length;
  }
  return { one, lost, handOvers, asked, answer };
}

it('is lost where its process says nothing while its writes are held', async () => {
  const { one, lost, asked, answer } = joined();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(lost).toEqual([]);
  one.prepare().catch(() => undefined);
  one.hold().catch(() => undefined);
  for (let heard = 0; heard < 10; heard++) {
    await vi.advanceTimersByTimeAsync(1000);
    answer();
  }
  expect(lost).toEqual([]);
  // It says how it stands, but hears nothing: it is about to let writes go on.
  for (let heard = 0; heard < 2; heard++) {
    await vi.advanceTimersByTimeAsync(1000);
    one.hear(state);
  }
  expect(lost).toEqual(['the process that follows 10.0.0.5:6379 says nothing']);
  // Its process has been told all the time that we are here.
  expect(asked().filter((step) => step === 'stay').length).toBeGreaterThan(10);
  const letting = one.letGo();
  await vi.advanceTimersByTimeAsync(2000);
  expect(await letting).toContain('they go on within 3 s');
});

it('does not wait long for a process that is found silent only while it is to let go', async () => {
  const { one, lost, answer } = joined();
  one.prepare().catch(() => undefined);
  one.hold().catch(() => undefined);
  await vi.advanceTimersByTimeAsync(300);
  answer();
  // Another one is lost, with the way to both.
  let told: string | null | undefined;
  void one.letGo().then((trouble) => (told = trouble));
  await vi.advanceTimersByTimeAsync(3000);
  expect(lost).toEqual(['the process that follows 10.0.0.5:6379 says nothing']);
  // A second later by the clock, which this wait does not go by.
  vi.useRealTimers();
  await vi.waitFor(
    () => {
      expect(told).toContain('they go on within 3 s');
    },
    { timeout: 6000 },
  );
});

it('is lost where its process dies, and is followed by none until another one joins', async () => {
  const { one, lost } = joined();
  one.detach();
  expect(lost).toEqual(['the process that followed 10.0.0.5:6379 died']);
  expect(one.state).toMatchObject({ isCopied: false, changes: 5, gaps: 1 });
  await expect(one.prepare()).rejects.toThrow('died');
  one.attach(new Dialogue<AskedOfJob>(() => undefined));
  one.hear({ ...state, changes: 2, gaps: 0 });
  expect(one.state).toMatchObject({ isCopied: true, changes: 7, gaps: 1 });
});

it('tells from when on its source may refuse writes for good', async () => {
  const { one, handOvers } = joined();
  one.shut(false).catch(() => undefined);
  expect(handOvers).toEqual(['begins']);
  one.detach();
  expect(await one.letGo()).toBeNull();
  expect(handOvers).toEqual(['begins', 'given up']);
  one.end();
  expect(handOvers.at(-1)).toBe('over');
});

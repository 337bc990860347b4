import { beforeEach, describe, expect, it } from 'vitest';
import { createServerStates, type ServerStates } from '../../../src/engine/server-states.js';

const gone = { why: 'connection refused', sentence: 'lost a:1' };
let said: string[];
let nowMs: number;
let states: ServerStates;

beforeEach(() => {
  said = [];
  nowMs = 1_000_000;
  const keep = (_: object, sentence: string): void => void said.push(sentence);
  states = createServerStates(
    { warn: keep, error: keep },
    (sentence) => void said.push(sentence),
    () => nowMs,
  );
});

/** A second goes by, and somebody looks. */
function second(count = 1): void {
  for (let nth = 0; nth < count; nth++) {
    nowMs += 1000;
    states.look();
  }
}

describe('a server that goes', () => {
  it('is told once, whoever loses it, and so is its return, once it lasts', () => {
    states.went('a:1', gone);
    states.went('a:1', { why: 'it refuses', sentence: 'lost a:1 again' });
    expect(states.of('a:1')).toEqual({ state: 'away', sinceMs: 1_000_000, why: 'it refuses' });
    second(12);
    states.isBack('a:1');
    expect(states.of('a:1').state).toBe('ok');
    expect(said).toEqual(['lost a:1']);
    second(2);
    expect(said).toEqual(['lost a:1', 'a:1 is back after 12.0 s.']);
  });

  it('and comes and goes, makes few lines', () => {
    for (let nth = 0; nth < 1000; nth++) {
      states.went('a:1', gone);
      second(1);
      states.isBack('a:1');
      nowMs += 500;
      states.look();
    }
    expect(said).toEqual(['lost a:1']);
    // Longer absences and returns are told, and each time they have to last longer.
    said.length = 0;
    for (let nth = 0; nth < 1000; nth++) {
      states.went('a:1', gone);
      second(2);
      states.isBack('a:1');
      second(2);
    }
    expect(said.length).toBeLessThan(10);
  });

  it('was away all the time if its return does not last', () => {
    states.went('a:1', gone);
    second(5);
    states.isBack('a:1');
    nowMs += 200;
    states.went('a:1', gone);
    expect(states.of('a:1')).toMatchObject({ state: 'away', sinceMs: 1_000_000 });
  });

  it('is given up once, and then nothing is said of it any more', () => {
    states.went('a:1', gone);
    second(15);
    for (let nth = 0; nth < 90; nth++) {
      states.gaveUp('a:1', { why: 'refused', sentence: 'giving up on a:1' });
      states.isBack('a:1');
      states.went('a:1', gone);
    }
    second(3);
    expect(said).toEqual(['lost a:1', 'giving up on a:1']);
    expect(states.of('a:1')).toEqual({ state: 'given-up', sinceMs: 1_000_000, why: 'refused' });
  });

  it('is not told where another line says it', () => {
    states.went('a:1', { ...gone, sentence: undefined });
    expect(states.of('a:1').state).toBe('away');
    states.isBack('a:1');
    second(3);
    expect(said).toEqual([]);
    // Another one may notice it too, and has a line for it.
    states.went('a:1', { ...gone, sentence: undefined });
    states.isBack('a:1');
    states.went('a:1', gone);
    states.went('a:1', { ...gone, sentence: 'another line' });
    expect(said).toEqual(['lost a:1']);
  });
});

describe('a server that does not answer', () => {
  const connection = { address: 'a:1', isOwed: false, heardCount: 0, onLost: () => undefined };

  it('is slow as long as an answer is owed and nothing comes', () => {
    const watched = { ...connection };
    states.watch(watched);
    second(10);
    expect(states.of('a:1').state).toBe('ok');
    watched.isOwed = true;
    second(3);
    expect(states.of('a:1')).toMatchObject({ state: 'slow', sinceMs: nowMs - 3000 });
    watched.heardCount++;
    second(1);
    expect(states.of('a:1').state).toBe('ok');
  });

  it('is none of that once the connection is lost', () => {
    let lose = (): void => undefined;
    states.watch({ ...connection, isOwed: true, onLost: (callback) => (lose = callback) });
    second(5);
    expect(states.silentMs('a:1')).toBe(5000);
    lose();
    expect(states.silentMs('a:1')).toBe(0);
  });
});

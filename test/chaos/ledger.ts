/**
 * A writer's book: for each of its keys, everything that may be true by the answers it got.
 *
 * Every write asks in the same transaction whether the key was there. A key that the book has at the
 * source and that was absent has been moved in the state it had then, and that state must be in the
 * cluster from then on; what the write made is a new key of the same name.
 *
 * A write without an answer was carried out or not: from then on there are several worlds, and what
 * is heard later rules some of them out. At the end one of them must fit what is found.
 */
import { isState, mayHaveExpired, type Span, type State, type Write } from './state.js';

export interface World {
  /** The key at the source, unless it has been moved from there since. */
  readonly alive: State | undefined;
  /** States in which the key has left the source: all of them must be in the cluster. */
  readonly moved: readonly State[];
  /** Every state that the key ever had at the source, the latest first. */
  readonly history: History | undefined;
  /** The last write that made or changed the key at the source. */
  readonly lastWrite: Span;
  /** The times that the key had left, came back in the same state, and left again. */
  readonly merges: readonly Merge[];
  readonly lastMove: { readonly state: State; readonly write: Span } | undefined;
}

/** Two moves of one key. */
export interface Merge {
  /** The last write before the first one. */
  readonly before: Span;
  /** The last write between the two. */
  readonly between: Span;
  /** When the key was missed again. */
  readonly missedMs: number;
}

export interface History {
  readonly state: State;
  readonly earlier: History | undefined;
}

/** What the source answered to a write. */
interface Answer {
  readonly existed: boolean;
  readonly reply: unknown;
}

export interface Ledger {
  /** An answer of undefined: none came, and the write may have been carried out or not. */
  note(key: string, write: Write, span: Span, answer: Answer | undefined): void;
  readonly keys: ReadonlyMap<string, readonly World[]>;
  /** What no world explains: an acknowledged write was undone at the source. */
  readonly contradictions: readonly string[];
}

const nothing: World = {
  alive: undefined,
  moved: [],
  history: undefined,
  lastWrite: { sentMs: 0, heardMs: 0 },
  merges: [],
  lastMove: undefined,
};
const mostWorlds = 64;

export function createLedger(): Ledger {
  const keys = new Map<string, readonly World[]>();
  const contradictions: string[] = [];

  return {
    keys,
    contradictions,
    note(key, write, span, answer) {
      const before = keys.get(key) ?? [nothing];
      const after = before.flatMap((world) =>
        answer
          ? next(world, write, span, answer)
          : [world, ...[true, false].flatMap((existed) => next(world, write, span, { existed }))],
      );
      if (after.length === 0) {
        const states = before.map(({ alive }) => alive?.value ?? 'nothing').join(' or ');
        const heard = JSON.stringify(answer);
        contradictions.push(`${key} was ${states}, and ${write.words.join(' ')} gave ${heard}`);
      }
      // Later answers go on from what this one said.
      const some = after.length > 0 ? after : before;
      keys.set(key, some.slice(0, mostWorlds));
    },
  };
}

/** The worlds that a write may lead to, when the key was there or not. */
function next(
  world: World,
  write: Write,
  span: Span,
  answer: { readonly existed: boolean; readonly reply?: unknown },
): readonly World[] {
  const { alive } = world;
  const fits = (before: State | undefined): boolean =>
    answer.reply === undefined || !write.answer || write.answer(before) === answer.reply;
  if (answer.existed) {
    return alive && fits(alive) ? [remembering(world, write.leaves(alive, span), span)] : [];
  }
  if (!fits(undefined)) return [];
  const made = write.leaves(undefined, span);
  if (!alive) return [remembering(world, made, span)];
  const left = remembering(withoutKey(world, alive, span.heardMs), made, span);
  const expired = mayHaveExpired(alive, span.heardMs) ? [remembering(world, made, span)] : [];
  return [left, ...expired];
}

/** The world in which the key has been moved. */
function withoutKey(world: World, alive: State, missedMs: number): World {
  const { lastMove, lastWrite, moved } = world;
  const isMerged = lastMove !== undefined && isState(lastMove.state, alive);
  return {
    ...world,
    alive: undefined,
    moved: [...moved, alive],
    lastMove: { state: alive, write: lastWrite },
    merges: isMerged
      ? [...world.merges, { before: lastMove.write, between: lastWrite, missedMs }]
      : world.merges,
  };
}

/** The merges of a key, the one included that left no trace but that the key is gone. */
export function mergesOf(world: World, isAtSource: boolean, nowMs: number): readonly Merge[] {
  const { alive } = world;
  return isAtSource || !alive ? world.merges : withoutKey(world, alive, nowMs).merges;
}

function remembering(world: World, alive: State | undefined, span: Span): World {
  const { history } = world;
  return {
    ...world,
    alive,
    history: alive ? { state: alive, earlier: history } : history,
    lastWrite: alive ? span : world.lastWrite,
  };
}

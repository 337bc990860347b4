/** Keys that were left behind, by what kept them: a few lines, whatever their number. */
import type { FailureCause, KeyFailure } from '../types.js';
import { joinBy } from './join-by.js';

const keptExamples = 3;
/** Messages with a part of their own for each key must not fill memory: what is beyond is counted by class. */
const mostCauses = 50;

export interface Causes {
  add(failure: KeyFailure): void;
  /** The most frequent first. */
  all(): FailureCause[];
}

interface Counted extends FailureCause {
  count: number;
  readonly examples: Buffer[];
}

/** @param from the source whose keys they are. */
export function createCauses(from: string): Causes {
  const causes = new Map<string, Counted>();
  return {
    add({ class: why, message, key }) {
      const own = nameOf(why, message);
      const isRoom = causes.has(own) || causes.size < mostCauses;
      const name = isRoom ? own : why;
      let cause = causes.get(name);
      if (!cause) {
        const words = isRoom ? message : 'other reasons';
        cause = { from, class: why, message: words, count: 0, examples: [] };
        causes.set(name, cause);
      }
      cause.count++;
      if (cause.examples.length < keptExamples) cause.examples.push(key);
    },
    all: () => sorted([...causes.values()].map((cause) => ({ ...cause }))),
  };
}

/** Those of several sources, or of several attempts at one, as one list. */
export function joinCauses(all: readonly FailureCause[]): FailureCause[] {
  const joined = joinBy(
    all,
    (cause) => `${cause.from} ${nameOf(cause.class, cause.message)}`,
    (known, cause) => ({
      ...known,
      count: known.count + cause.count,
      examples: [...known.examples, ...cause.examples].slice(0, keptExamples),
    }),
  );
  return sorted(joined);
}

/** How often a key was tried, and how an element is called, makes no other cause. */
function nameOf(why: string, message: string): string {
  return `${why} ${message.replace(/after \d+ tries/, 'after tries').replace(/"(?:[^"\\]|\\.)*"/g, '"…"')}`;
}

function sorted(causes: FailureCause[]): FailureCause[] {
  return causes.sort((one, other) => other.count - one.count);
}

/**
 * What the clients of both sides know of a key: everything that it may hold at the source, and
 * everything that it may hold in the cluster, by the answers they got.
 *
 * Only one client works on a key, one write after the other, and each write reads the key's value in
 * the same script. So each answer is a check: what was read must be what the last acknowledged write
 * left. A write without an answer was carried out or not; the next read tells.
 */
import { fieldsOf, itemsOf, type Kind, kindOf, type State, type Write } from './state.js';
import { streamOf, undelivered } from './stream.js';

/** Where the clients of a key work. */
export type Style =
  /** At the source until the key is gone there, and in the cluster from then on. */
  | 'source-first'
  /** In the cluster, as soon as the key is there. */
  | 'cluster-only'
  /** In the cluster as soon as the key is there, and at the source until then. */
  | 'cluster-first';

/** `lost`: an acknowledged write is nowhere; `doubled`: a job is there twice, or a whole key; `undone`: an acknowledged removal is back. */
export type FaultClass = 'lost' | 'doubled' | 'undone';

export interface KeyFault {
  readonly class: FaultClass;
  readonly words: string;
}

/** A value, or undefined where the key may be absent. */
type Value = string | undefined;

/** Of these, clients bring values back that were there before; a list's elements and a stream's ids are new each time. */
const returning: readonly Kind[] = ['counter', 'set', 'hash'];
const mostValues = 32;
const mostAnswers = 16;

export class KeyLedger {
  readonly kind: Kind;
  /** What the key may hold at the source, if the import has not moved it. */
  source: readonly Value[];
  /** What it may hold in the cluster; undefined: no client has found it there. */
  cluster: readonly Value[] | undefined;
  /** The source no longer had it, so it has been moved. */
  hasLeft = false;
  /** A client wrote to it in the cluster: from then on nobody else may change it there. */
  isTouched = false;
  /** A client in the cluster went on from a copy that lacks writes acknowledged at the source. */
  isStaleBase = false;
  /** Of what the cluster may have, the first is no longer the likeliest: it has to be read. */
  isDoubtful = true;
  readonly faults: KeyFault[] = [];
  /**
   * Clients of the cluster have brought a key back to what a copy of it was: a counter up and down, a set with a member
   * more and then less. By its value it can't be told then from one that nobody has touched: what was written at the
   * source may take its place.
   */
  cameBack = false;
  /** It was found with the source's value since. */
  mayBeReplaced = false;
  /** Every value that the source may have had. */
  readonly #history = new Set<Value>();
  /** The last of what clients did and were answered, so that a fault explains itself. */
  readonly #answers: string[] = [];

  /** @param keepsLast clients leave one element, so that the key never vanishes by their doing. */
  constructor(
    readonly key: string,
    readonly style: Style,
    initial: string,
    readonly keepsLast: boolean,
  ) {
    this.kind = kindOf(key);
    this.source = [initial];
    this.#history.add(initial);
  }

  /** Clients have emptied it: there is nothing left to do. */
  get isEmptied(): boolean {
    const [value, ...others] = this.cluster ?? this.source;
    return value === undefined && others.length === 0;
  }

  /** The source had this, and has carried out the write. */
  wroteAtSource(before: string, write: Write): void {
    this.#note('source', `had ${text(before)}`, write);
    if (this.hasLeft) this.blame('doubled', 'it is back at the source');
    this.#check('source', this.source, before);
    this.source = [after(write, before)];
    this.#history.add(this.source[0]);
  }

  unansweredAtSource(write: Write): void {
    this.#note('source', 'no answer', write);
    this.source = either(
      this.source,
      this.source.map((value) => value && after(write, value)),
    );
    for (const value of this.source) this.#history.add(value);
  }

  absentAtSource(): void {
    this.#note('source', 'absent');
    // An application can't tell "emptied" from "moved" either, but it knows what was left to do.
    if (this.isEmptied || this.hasLeft) return;
    this.hasLeft = true;
    if (this.cluster) return;
    this.cluster = this.source;
    this.isDoubtful = true;
  }

  /**
   * The cluster has this.
   * @param isDurable what was read outlives its node; else any of the earlier values may come back.
   */
  readInCluster(before: string, isDurable: boolean, write?: Write): void {
    this.#note('cluster', `had ${text(before)}`, write);
    if (this.isTouched || this.hasLeft) {
      this.#check('cluster', this.cluster ?? [], before);
    } else if (!this.#history.has(before) && this.cluster?.includes(before) !== true) {
      // Until a client has written to it, it is the import's copy, which may be put there again.
      this.#check('cluster', this.source, before);
    }
    this.cluster = isDurable ? [before] : either([before], this.cluster ?? []);
    this.mayBeReplaced ||= this.cameBack && this.source.includes(before);
    this.#noteReturn(before);
    this.isDoubtful = false;
  }

  /** @param isDurable the write outlives its node. */
  wroteInCluster(before: string, write: Write, isDurable: boolean): void {
    const past = this.cluster ?? [];
    if (!this.hasLeft && !this.isTouched && this.isCopy(before)) {
      this.isStaleBase = !this.source.includes(before);
    }
    this.readInCluster(before, isDurable, write);
    const left = after(write, before);
    this.cluster = isDurable ? [left] : either([left, before], past);
    this.isTouched ||= isDurable;
    // They have done in the cluster what they had done at the source (the same job taken, the same entry acknowledged):
    // both sides have the same, and the source may let its own go. What returns may return once more.
    if (this.source.includes(left) && !returning.includes(this.kind)) this.isStaleBase = false;
    this.#noteReturn(left);
  }

  #noteReturn(value: Value): void {
    if (!this.isTouched || !this.isStaleBase || !returning.includes(this.kind)) return;
    if (value === undefined || !this.isCopy(value)) return;
    this.cameBack = true;
    this.cluster = either(this.cluster ?? [], this.source);
  }

  unansweredInCluster(write: Write): void {
    this.#note('cluster', 'no answer', write);
    if (!this.cluster) return;
    this.isDoubtful = true;
    this.cluster = either(
      this.cluster,
      this.cluster.map((value) => value && after(write, value)),
    );
  }

  /** @returns whether the key may be absent there. */
  absentInCluster(): boolean {
    this.#note('cluster', 'absent');
    // It may be on its way (a slot that moves, a node that has just taken over).
    if (this.hasLeft && !this.isTouched) return true;
    if (!this.isTouched) {
      this.cluster = undefined;
      return true;
    }
    if (this.cluster?.includes(undefined) === true) {
      this.cluster = [undefined];
      return true;
    }
    this.blame(
      'lost',
      `it has vanished from the cluster, where it was ${texts(this.cluster ?? [])}`,
    );
    return false;
  }

  /** Whether a copy of the import's, which no client has written to, may look like this. */
  isCopy(value: string): boolean {
    return this.#history.has(value);
  }

  /** The last of what clients did and were answered, a line each. */
  get told(): string {
    return this.#answers.map((answer) => `\n      ${answer}`).join('');
  }

  blame(faultClass: FaultClass, what: string): void {
    this.faults.push({
      class: faultClass,
      words: `${this.key} (${this.style}): ${what}${this.told}`,
    });
  }

  #note(side: 'source' | 'cluster', answer: string, { words }: Partial<Write> = {}): void {
    const what = words ? words.join(' ') : 'read';
    this.#answers.push(`${new Date().toISOString().slice(17)} ${side}: ${what}: ${answer}`);
    if (this.#answers.length > mostAnswers) this.#answers.shift();
  }

  #check(side: string, expected: readonly Value[], found: string): void {
    const fault = compare(this.kind, expected, found);
    if (fault) this.blame(fault, `the ${side} has ${text(found)} instead of ${texts(expected)}`);
  }
}

function after(write: Write, before: string): Value {
  const now = Date.now();
  const state: State = { value: before, deadline: undefined };
  return write.leaves(state, { sentMs: now, heardMs: now })?.value;
}

function either(some: readonly Value[], others: readonly Value[]): readonly Value[] {
  return [...new Set([...some, ...others])].slice(0, mostValues);
}

/** What kind of fault it is to find this value (undefined: none) instead of one of those. */
export function compare(
  kind: Kind,
  expected: readonly Value[],
  found: Value,
): FaultClass | undefined {
  if (expected.includes(found)) return undefined;
  if (found === undefined) return 'lost';
  const wanted = expected.find((value) => value !== undefined);
  const there = elements(kind, found);
  const owed = wanted === undefined ? new Set<string>() : elements(kind, wanted);
  const isMissing = [...owed].some((one) => !there.has(one) && !one.startsWith('pending '));
  const isAdded = [...there].some((one) => !owed.has(one));
  if (kind === 'list' && isAdded) return 'doubled';
  if (isMissing || !isAdded) return 'lost';
  return 'undone';
}

/** What can be lost of a value or come back to it. */
function elements(kind: Kind, value: string): ReadonlySet<string> {
  switch (kind) {
    case 'counter':
    case 'text':
      return new Set([value]);
    case 'hash':
      return new Set(fieldsOf(value).map((pair) => pair.join(' ')));
    case 'list':
    case 'set':
      return new Set(itemsOf(value));
    case 'stream': {
      const stream = streamOf(value);
      return new Set([
        ...stream.entries.map(([id]) => id),
        ...(stream.group?.pending ?? []).map((id) => `pending ${id}`),
        ...undelivered(stream).map((id) => `undelivered ${id}`),
      ]);
    }
  }
}

export const texts = (values: readonly Value[]): string => values.map(text).join(' or ');

export function text(value: Value): string {
  if (value === undefined) return 'nothing';
  return value.length > 120 ? `${value.slice(0, 60)}…${value.slice(-50)}` : value;
}

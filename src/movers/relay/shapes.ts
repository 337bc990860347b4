/** What kinds of values have come so far, by which is chosen how the next ones are asked for. */
export interface Shapes {
  stringShare: number;
  batches: number;
  /** A node has refused the source's payloads: there is no use in asking for more of them. */
  payloadsRefused: boolean;
}

/** Below this share of strings, all values are asked for as payloads at once. */
const fewStrings = 0.2;
/** Then every so many-th batch still finds out whether that has changed. */
const sampleEvery = 16;
/** A batch of so many keys, or more, counts as much as all that came before. */
const weightyKeys = 1024;

/** @param payloadsRefused what is known of that before the start. */
export function newShapes(payloadsRefused: boolean): Shapes {
  return { stringShare: 1, batches: 0, payloadsRefused };
}

/** Whether the next batch is asked for strings first. */
export function mayBeStrings(shapes: Shapes): boolean {
  return shapes.stringShare >= fewStrings || shapes.batches++ % sampleEvery === 0;
}

export function noteStrings(shapes: Shapes, strings: number, keyCount: number): void {
  const weight = Math.min(1, keyCount / weightyKeys);
  shapes.stringShare = shapes.stringShare * (1 - weight) + (strings / keyCount) * weight;
}

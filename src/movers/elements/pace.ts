/**
 * How many elements to ask for at one time: as many as keep both servers busy only for a moment.
 * What they weigh is not known before; the first ones tell.
 */
export const sliceElements = 1000;
export const sliceBytes = 256 * 1024;
/** Few, because one element may be anything up to 512 MB. */
const firstElements = 16;
/** However light the last ones were, the next may be heavier. */
const growth = 8;

export interface Pace {
  /** How many elements the next slice should have. */
  readonly count: number;
  /** A slice is in: so many elements of so many bytes. */
  note(elements: number, bytes: number): void;
}

export function createPace(): Pace {
  let count = firstElements;
  return {
    get count() {
      return count;
    },
    note(elements, bytes) {
      if (elements === 0) return;
      const fitting = Math.floor((sliceBytes * elements) / Math.max(bytes, 1));
      count = Math.max(1, Math.min(sliceElements, fitting, count * growth));
    },
  };
}

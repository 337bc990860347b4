/**
 * How many bytes a server may be asked for at one time. What it answers waits in its memory until we
 * have read it, and while it puts answers together its clients wait.
 */
export interface Budget {
  /** Does something that brings so many bytes, as soon as there is room for them. */
  spend<T>(bytes: number, work: () => Promise<T>): Promise<T>;
}

export function createBudget(limitBytes: number): Budget {
  let spent = 0;
  const waiting: { bytes: number; go: () => void }[] = [];

  function admit(): void {
    for (let next = waiting[0]; next; next = waiting[0]) {
      // What is larger than all of it has its turn alone.
      if (spent > 0 && spent + next.bytes > limitBytes) return;
      waiting.shift();
      spent += next.bytes;
      next.go();
    }
  }

  return {
    async spend(bytes, work) {
      await new Promise<void>((go) => {
        waiting.push({ bytes, go });
        admit();
      });
      try {
        return await work();
      } finally {
        spent -= bytes;
        admit();
      }
    },
  };
}

/** These places in parts, none of which has more bytes than the limit. */
export function inParts(
  places: readonly number[],
  bytes: Float64Array,
  limitBytes: number,
): readonly (readonly number[])[] {
  if (bytesOf(places, bytes) <= limitBytes) return places.length === 0 ? [] : [places];
  const parts: number[][] = [];
  let filled = Infinity;
  for (const place of places) {
    const more = bytes[place] as number;
    if (filled + more > limitBytes) {
      parts.push([]);
      filled = 0;
    }
    parts.at(-1)?.push(place);
    filled += more;
  }
  return parts;
}

/** What the values at these places come to. */
export function bytesOf(places: readonly number[], bytes: Float64Array): number {
  let sum = 0;
  for (const place of places) sum += bytes[place] as number;
  return sum;
}

/** The lines that move keys under WATCH: a few, because what is watched belongs to a connection. */
import { Gate } from '../../async.js';
import type { Connection } from '../../redis/connection.js';
import type { Node } from '../../types.js';
import { createLanes } from './lanes.js';
import { createLine, type Line } from './line.js';
import type { Removal } from './removal.js';

/** A line, and how keys that were moved over it leave the source. */
export interface GuardedLine {
  readonly line: Line;
  /** Undefined: they don't. */
  readonly removal: Removal | undefined;
}

/** A connection to the source, and how keys leave over it. */
export interface SourceEnd {
  readonly source: Connection;
  /** Its run_id: another one after each restart. */
  readonly sourceRun: string;
  readonly removal: Removal | undefined;
}

export interface Watchers {
  /** Lends a line to the work as soon as one is free. */
  withLine<T>(work: (guarded: GuardedLine) => Promise<T>): Promise<T>;
  /** Waits until none is lent. */
  idle(): Promise<void>;
  close(): void;
}

/** @param lineCount how many lines may be lent at one time. */
export function createWatchers(
  open: () => Promise<SourceEnd>,
  connectNode: (node: Node) => Promise<Connection>,
  lineCount: number,
): Watchers {
  const lines = new Set<Line>();
  const free: GuardedLine[] = [];
  const gate = new Gate();
  let lent = 0;

  async function borrow(): Promise<GuardedLine> {
    const known = free.pop();
    if (known) return known;
    const { source, sourceRun, removal } = await open();
    const line = createLine(source, sourceRun, createLanes(connectNode, 1));
    lines.add(line);
    return { line, removal };
  }

  return {
    async withLine(work) {
      await gate.until(() => lent < lineCount && ++lent > 0);
      try {
        const guarded = await borrow();
        const result = await work(guarded);
        if (guarded.line.source.lost) {
          lines.delete(guarded.line);
          guarded.line.close();
        } else free.push(guarded);
        return result;
      } finally {
        lent--;
        gate.check();
      }
    },
    async idle() {
      // Whoever waited longer for a line may have taken it again.
      while (lent > 0) await gate.until(() => lent === 0);
    },
    close() {
      for (const line of lines) line.close();
    },
  };
}

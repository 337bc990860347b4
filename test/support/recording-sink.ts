/** A sink that records what it is given, for the tests of what reads bulk strings. */
import type { FrameSink } from '../../src/redis/reply.js';

/** @returns a sink and what it was given; pieces of one frame are joined. */
export function recordingSink(): { sink: FrameSink; events: string[] } {
  const events: string[] = [];
  const sink: FrameSink = {
    open: (valueBytes) => events.push(`open ${String(valueBytes)}`, ''),
    bytes: (bytes, start, end) => {
      events.push((events.pop() ?? '') + bytes.toString('latin1', start, end));
    },
    shut: () => events.push('shut'),
    nil: () => events.push('nil'),
    refused: (text) => events.push(`refused ${text}`),
    end: () => events.push('end'),
    fail: () => undefined,
  };
  return { sink, events };
}

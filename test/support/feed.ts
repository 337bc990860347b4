/**
 * Offers bytes to a reader the way the connection does (src/redis/connection.ts): in chunks, in one
 * buffer that is used again, with what the reader left carried in front of the next chunk. Behind
 * the chunk the buffer holds what was there before, as it does in life.
 */
import { ProtocolError } from '../../src/errors.js';
import type { FrameSink, Reader } from '../../src/redis/reply.js';

const input = Buffer.alloc(256 * 1024);

export interface Fed {
  /** `waiting`: what came was fine, and more is due. */
  readonly ending: 'done' | 'waiting' | 'refused';
  /** How many bytes the reader took. */
  readonly taken: number;
  readonly error?: ProtocolError;
}

/**
 * @param borders where the stream is cut into chunks, in rising order.
 * @throws Error when the reader breaks its contract; it throws ProtocolError, and nothing else.
 */
export function feed(reader: Reader, stream: Buffer, borders: readonly number[] = []): Fed {
  let carried = 0;
  let from = 0;
  let taken = 0;
  try {
    for (let nth = 0; nth <= borders.length; nth++) {
      const border = borders[nth] ?? stream.length;
      while (from < border) {
        const end = carried + Math.min(border - from, input.length - carried);
        stream.copy(input, carried, from, from + end - carried);
        from += end - carried;
        const at = offer(reader, end);
        taken += at;
        if (reader.done) return { ending: 'done', taken };
        carried = end - at;
        if (carried > 0 && at > 0) input.copyWithin(0, at, end);
        if (carried === input.length) throw new ProtocolError('a reply header without an end');
      }
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    reader.fail(error);
    return { ending: 'refused', taken, error };
  }
  return { ending: 'waiting', taken };
}

/** @returns where the reader stopped in the chunk that ends at `end`. */
function offer(reader: Reader, end: number): number {
  let at = 0;
  while (at < end) {
    const next = reader.take(input, at, end);
    if (!(next >= at && next <= end)) {
      throw new Error(`the reader went from ${String(at)} to ${String(next)} of ${String(end)}`);
    }
    if (next === at || reader.done) return next;
    at = next;
  }
  return at;
}

/* A sink that records what it is given, for the tests of what reads bulk strings. */

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

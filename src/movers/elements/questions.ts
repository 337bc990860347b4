/**
 * Questions to the source whose answers are elements. These stay frames, as they came: what
 * LRANGE, SSCAN and HSCAN answer is what RPUSH, SADD and HMSET take.
 *
 * All of them throw RefusedError when the source answers with an error, ConnectionError when it is
 * lost.
 */
import { ProtocolError, RefusedError } from '../../errors.js';
import { BulksReader, type FrameSink } from '../../redis/bulks.js';
import { nextReply } from '../../redis/ask.js';
import type { Connection } from '../../redis/connection.js';
import { command, commandHead } from '../../redis/frames.js';
import { keysBuilder } from '../../redis/keys.js';
import { ErrorReply, type Reply } from '../../redis/reply.js';
import type { Keys } from '../../types.js';
import { type ElementPage, PageReader } from './page.js';
import type { Word } from './writer.js';

/** One element may be as large as the servers' limit for a bulk string, and some more. */
const limitBytes = 768 * 1024 * 1024;

/** An answer that is looked into; frames may stand behind the question's words. */
export async function askReply(
  source: Connection,
  words: readonly Word[],
  frames?: Keys,
): Promise<Reply> {
  source.out.append(frames ? commandHead(frames.count, ...words) : command(...words));
  if (frames) source.out.append(frames.bytes);
  const reply = await nextReply(source, limitBytes);
  if (reply instanceof ErrorReply) throw refusal(source, reply.text);
  return reply;
}

/** An array of bulk strings; `one`: a single bulk string. */
export function askFrames(
  source: Connection,
  shape: 'array' | 'one',
  ...words: Word[]
): Promise<Keys> {
  return new Promise((resolve, reject) => {
    source.out.append(command(...words));
    const sink = gather(source, resolve, reject);
    source.expect(shape === 'one' ? new BulksReader(sink, 1) : new BulksReader(sink));
  });
}

/** What SSCAN, HSCAN and ZSCAN answer. */
export function askPage(source: Connection, ...words: Word[]): Promise<ElementPage> {
  return new Promise((resolve, reject) => {
    source.out.append(command(...words));
    const sinkOf = (settle: (items: Keys) => void): FrameSink => gather(source, settle, reject);
    source.expect(new PageReader(sinkOf, resolve));
  });
}

function gather(
  source: Connection,
  resolve: (frames: Keys) => void,
  reject: (error: Error) => void,
): FrameSink {
  const builder = keysBuilder(64);
  return {
    open(valueBytes) {
      if (builder.byteLength + valueBytes > limitBytes) {
        throw new ProtocolError('more bytes of elements at one time than can be held');
      }
    },
    bytes: builder.piece,
    shut: builder.seal,
    nil: () => undefined,
    refused(text) {
      reject(refusal(source, text));
    },
    end() {
      resolve(builder.take());
    },
    fail: reject,
  };
}

function refusal(source: Connection, text: string): RefusedError {
  return new RefusedError(`${source.address} answered: ${text}`, text);
}

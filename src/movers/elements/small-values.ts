/**
 * Small values, many at a time: what one page of a scan holds whole is read with one question, and stored with
 * one command, as a payload that is made here of its elements (plain-payloads.ts). So it never stands under a
 * temporary name that anybody could see, and needs no lease (writer.ts).
 *
 * Whatever is not as usual goes the long way (transfer.ts) afterwards, which tells why: values of more elements,
 * streams, strings, hashes that may have fields with deadlines, and what a server refuses.
 */
import { type Around, askTypes, wordsAround, writeOne } from '../../compare/ask-many.js';
import type { Connection } from '../../redis/connection.js';
import { slice } from '../../redis/frames.js';
import type { Keys } from '../../types.js';
import { verdictOf } from '../refused-keys.js';
import { AckReader, Splice, type StoreCommands } from '../relay/splice.js';
import { askDeadlines, type Expiry } from '../relay/deadlines.js';
import type { SentValues } from '../relay/sent-values.js';
import { negativeZero } from './copiers.js';
import type { Abilities } from './writer.js';
import {
  asPayload,
  type HeldElements,
  type PlainPayload,
  PlainPayloadsReader,
  type plainTypes,
  type Shape,
} from './plain-payloads.js';
import { sliceBytes } from './reading.js';
import type { Transferred } from './transfer.js';

export interface SmallTransfers {
  readonly source: Connection;
  readonly node: Connection;
  readonly keys: Keys;
  /** Each command stands behind an ASKING. */
  readonly asking: boolean;
  readonly abilities: Abilities;
  readonly commands: StoreCommands;
  readonly expiry: Expiry;
  /** Takes what is sent, to know later what the node was given. Undefined: nobody will ask. */
  readonly sent: SentValues | undefined;
}

/** So many elements come in one page. */
const pageElements = 64;
const longestList = 128;
/** A page may hold more than was asked for, and a field of a hash is two frames. */
const mostElements = 512;
/** So many keys are read at one time, and so many such parts are under way. */
const partKeys = 64;
const partsAtOnce = 4;

const scan = (word: string): Around => wordsAround([word], ['0', 'COUNT', pageElements]);

/** How values of a type are read, and how many frames make an element. */
interface SmallType {
  readonly type: keyof typeof plainTypes;
  readonly by: Around;
  readonly shape: Shape;
  readonly frames: number;
}

const smallTypes: readonly SmallType[] = [
  { type: 'hash', by: scan('HSCAN'), shape: 'page', frames: 2 },
  { type: 'set', by: scan('SSCAN'), shape: 'page', frames: 1 },
  { type: 'zset', by: scan('ZSCAN'), shape: 'page', frames: 2 },
  // One more than that: then it is not all of it.
  { type: 'list', by: wordsAround(['LRANGE'], [0, longestList]), shape: 'array', frames: 1 },
];
/** By what TYPE answers. */
const smallTypeOf: ReadonlyMap<string, SmallType> = new Map(
  smallTypes.map((small) => [small.type, small]),
);
const encodingQuestion = wordsAround(['OBJECT', 'ENCODING'], []);

/** Small sorted sets lose its sign, so it comes last (copiers.ts). With its length ahead of it. */
const negativeZeroElement = Buffer.from([negativeZero.length, ...negativeZero]);

/** What the source said of some keys' values. */
interface ReadValues {
  /** By the index of each key; undefined: it is not known whole, or not small. */
  readonly payloads: readonly (PlainPayload | undefined)[];
  /** What the payloads are slices of. */
  readonly bytes: Buffer;
  /** Undefined: none of them expires. */
  readonly deadlines: Float64Array | undefined;
  /** To be called when the payloads are sent. */
  readonly release: () => void;
}

/**
 * @returns by the index of each key what became of it; nothing of those that have to go the long way.
 * @throws ConnectionError when the source is lost.
 */
export async function transferSmall(work: SmallTransfers): Promise<(Transferred | undefined)[]> {
  const results = new Array<Transferred | undefined>(work.keys.count).fill(undefined);
  let next = 0;
  const go = async (): Promise<void> => {
    for (let from = next; from < work.keys.count; from = next) {
      next = Math.min(from + partKeys, work.keys.count);
      await transferPart(work, from, next, results);
    }
  };
  const parts = Math.ceil(work.keys.count / partKeys);
  await Promise.all(Array.from({ length: Math.min(partsAtOnce, parts) }, go));
  return results;
}

async function transferPart(
  work: SmallTransfers,
  from: number,
  to: number,
  results: (Transferred | undefined)[],
): Promise<void> {
  const keys = slice(work.keys, from, to);
  const values = await readValues(work, keys);
  if (!values) return;
  const { acks, lost } = await send(work, keys, values);
  const refusals = new Map(acks.refusals.map(({ index, text }) => [index, text]));
  for (const [index, payload] of values.payloads.entries()) {
    if (!payload) continue;
    const refusal = refusals.get(index);
    if (lost) results[from + index] = { kind: 'lost', error: lost };
    else if (refusal === undefined) {
      const deadlineMs = values.deadlines?.[index] ?? 0;
      results[from + index] = { kind: 'stored', bytes: payload.payloadBytes, deadlineMs };
    } else if (refusal !== null && verdictOf(refusal).kind === 'exists') {
      results[from + index] = { kind: 'exists' };
    }
  }
}

/** @returns undefined: none of the values is known whole. */
async function readValues(
  { source, abilities, expiry }: SmallTransfers,
  keys: Keys,
): Promise<ReadValues | undefined> {
  const deadlines = expiry.isKnown() ? askDeadlines(source, keys) : undefined;
  const asksEncodings = abilities.readsFieldDeadlines && expiry.isKnownOfFields();
  const types = await askTypes(source, keys);
  const found = types.map((type) => smallTypeOf.get(type));
  const shapes: Shape[] = [];
  for (const [index, small] of found.entries()) {
    if (!small) continue;
    writeOne(source, keys, index, small.by);
    shapes.push(small.shape);
    if (!asksEncodings || small.type !== 'hash') continue;
    writeOne(source, keys, index, encodingQuestion);
    shapes.push('one');
  }
  if (shapes.length === 0) return undefined;
  const { answers, expiring, release } = await answersTo(source, shapes, expiry);
  const isSure = deadlines ? deadlines.areSure : !expiring.keys;
  const mayHoldDeadlines = abilities.readsFieldDeadlines && expiring.fields;
  const mostBytes = Math.min(sliceBytes, abilities.largestBytes);
  let nth = 0;
  const payloads = found.map((small) => {
    if (!small) return undefined;
    const answer = answers[nth++] as HeldElements;
    const encoding = asksEncodings && small.type === 'hash' ? answers[nth++] : undefined;
    if (!isSure || !isWholeAndSmall(answer, small, mostBytes)) return undefined;
    const isPlain = encoding ? isPlainHash(encoding) : !mayHoldDeadlines;
    if (small.type === 'hash' && !isPlain) return undefined;
    const { count } = answer;
    return asPayload(answer, small.type, count / small.frames, abilities.payloadVersion);
  });
  const { bytes } = answers[0] as HeldElements;
  return { payloads, bytes, deadlines: deadlines?.byKey, release };
}

/** @returns what was asked about elements, and what expires at the source behind that. */
async function answersTo(source: Connection, shapes: readonly Shape[], expiry: Expiry) {
  let reader: PlainPayloadsReader | undefined;
  const reading = new Promise<readonly HeldElements[]>((resolve, reject) => {
    reader = new PlainPayloadsReader(shapes, resolve, reject);
    source.expect(reader);
  });
  const [answers, expiring] = await Promise.all([reading, expiry.look(source)]);
  return { answers, expiring, release: () => reader?.release() };
}

function isWholeAndSmall(
  { bytes, from, end, count, isPartial }: HeldElements,
  { type, frames }: SmallType,
  mostBytes: number,
): boolean {
  const most = type === 'list' ? longestList : mostElements;
  if (isPartial || count === 0 || count > most || count % frames !== 0) return false;
  if (end - from > mostBytes) return false;
  return type !== 'zset' || !bytes.subarray(from, end).includes(negativeZeroElement);
}

/** Whether a hash that is kept so has no fields with deadlines. */
function isPlainHash({ bytes, from, end }: HeldElements): boolean {
  const encoding = bytes.toString('latin1', from, end);
  return encoding.endsWith('listpack') || encoding.endsWith('ziplist');
}

/** Sends them as if they had come from the source so. */
function send(
  { source, node, asking, commands, sent }: SmallTransfers,
  keys: Keys,
  { payloads, bytes, deadlines, release }: ReadValues,
): Promise<{ acks: AckReader; lost: Error | undefined }> {
  return new Promise((resolve) => {
    const acks = new AckReader(keys.count, asking, (lost) => {
      resolve({ acks, lost });
    });
    node.expect(acks);
    const way = { form: 'payload', ttls: deadlines, asking } as const;
    const splice = new Splice({
      keys,
      source,
      target: node,
      acks,
      form: 'payload',
      commands,
      ttls: deadlines,
      asking,
      keepSent:
        sent?.hasRoom() === true
          ? (kept) => {
              sent.keep({ ...kept, ...way, keys, acks });
            }
          : undefined,
      settle() {
        acks.complete();
      },
      fail: () => undefined,
    });
    for (const payload of payloads) {
      if (payload) splice.whole(bytes, payload.from, payload.end, payload.payloadBytes);
      else splice.leaveOut();
    }
    release();
    splice.end();
  });
}

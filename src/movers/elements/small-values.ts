/**
 * Small values, many at a time: what one page of a scan holds whole is read with one question, and stored with
 * one transaction, in which it gets its deadline and its name. So it never stands under a temporary
 * name that anybody could see, and needs no lease (temporary.ts).
 *
 * Whatever is not as usual goes the long way (transfer.ts) afterwards, which tells why: values of more elements,
 * streams, strings, hashes that may have fields with deadlines, and what a server refuses.
 */
import { type Around, askTypes, wordsAround, writeOne } from '../../compare/ask-many.js';
import type { Connection } from '../../redis/connection.js';
import { ProtocolError } from '../../errors.js';
import { CR, frame, headerEnd, headerLength, MINUS, PLUS } from '../../redis/frames.js';
import { keysBuilder, keyStart, namesOf, slice } from '../../redis/keys.js';
import { ErrorReply, lineText, type Reader, type Reply, ReplyReader } from '../../redis/reply.js';
import { slotOf } from '../../redis/slot.js';
import type { Keys } from '../../types.js';
import { askDeadlines } from '../relay/deadlines.js';
import { negativeZero, swapPairs } from './copy-plain-types.js';
import type { Abilities } from './passage.js';
import { type HeldPage, HeldPagesReader, type Shape } from './held-pages.js';
import { sliceBytes } from './reading.js';
import { temporaryNameIn } from './temporary.js';
import type { Transferred } from './transfer.js';

export interface SmallTransfers {
  readonly source: Connection;
  readonly node: Connection;
  readonly keys: Keys;
  readonly overwrite: boolean;
  readonly abilities: Abilities;
  /** Whether what was stored must be known afterwards, as a payload. */
  readonly isTraced: boolean;
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

/** How values of a type are read, and with which command they are written. */
interface SmallType {
  readonly by: Around;
  readonly shape: Shape;
  readonly word: string;
}

/** By what TYPE answers. */
const questions: ReadonlyMap<string, SmallType> = new Map<string, SmallType>([
  ['hash', { by: scan('HSCAN'), shape: 'page', word: 'HMSET' }],
  ['set', { by: scan('SSCAN'), shape: 'page', word: 'SADD' }],
  ['zset', { by: scan('ZSCAN'), shape: 'page', word: 'ZADD' }],
  // One more than that: then it is not all of it.
  ['list', { by: wordsAround(['LRANGE'], [0, longestList]), shape: 'array', word: 'RPUSH' }],
]);
const encodingQuestion = wordsAround(['OBJECT', 'ENCODING'], []);

/** Small sorted sets lose its sign, so it comes last (copy-plain-types.ts). */
const negativeZeroFrame = frame(negativeZero);

/** A whole value, and the command that writes it. */
interface SmallValue {
  readonly index: number;
  readonly word: string;
  /** Frames, as they came: so many. */
  readonly items: Buffer;
  readonly count: number;
  /** Ms since the epoch; 0: it does not expire. */
  readonly deadlineMs: number;
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
  const values = await readValues(work, from, to);
  if (values.length === 0) return;
  const { node } = work;
  const stored = values.map((value) => send(work, value));
  let replies: readonly Reply[];
  try {
    replies = await new Promise<readonly Reply[]>((resolve, reject) => {
      const queued = stored.map(({ commands }) => commands);
      node.expect(new TransactionsReader(queued, resolve, reject));
    });
  } catch (error) {
    for (const { index } of values) results[index] = { kind: 'lost', error: error as Error };
    return;
  }
  for (const [at, value] of values.entries()) {
    results[value.index] = resultOf(work, value, stored[at] as Sent, replies[at] ?? null);
  }
}

/** Those of the keys whose values came whole. */
async function readValues(
  { source, keys: all, abilities }: SmallTransfers,
  from: number,
  to: number,
): Promise<readonly SmallValue[]> {
  const keys = slice(all, from, to);
  const deadlines = askDeadlines(source, keys);
  const types = await askTypes(source, keys);
  const indexes = [...types.keys()].filter((at) => questions.has(types[at] ?? ''));
  if (!deadlines.areSure || indexes.length === 0) return [];
  const shapes: Shape[] = [];
  for (const at of indexes) {
    const type = types[at] ?? '';
    const { by, shape } = questions.get(type) as SmallType;
    writeOne(source, keys, at, by);
    shapes.push(shape);
    if (!mayHaveDeadlines(type, abilities)) continue;
    writeOne(source, keys, at, encodingQuestion);
    shapes.push('one');
  }
  const pages = await new Promise<readonly HeldPage[]>((resolve, reject) => {
    source.expect(new HeldPagesReader(shapes, resolve, reject));
  });
  const mostBytes = Math.min(sliceBytes, abilities.largestBytes);
  const values: SmallValue[] = [];
  let nth = 0;
  for (const at of indexes) {
    const type = types[at] ?? '';
    const page = pages[nth++] as HeldPage;
    const encoding = mayHaveDeadlines(type, abilities) ? pages[nth++] : undefined;
    const { bytes, count, isPartial } = page;
    const most = type === 'list' ? longestList : mostElements;
    const isSmall = count > 0 && count <= most && page.end - page.from <= mostBytes;
    if (isPartial || !isSmall || (encoding && !isPlain(encoding))) continue;
    const items = bytes.subarray(page.from, page.end);
    if (type === 'zset' && items.includes(negativeZeroFrame)) continue;
    values.push({
      index: from + at,
      word: (questions.get(type) as SmallType).word,
      items: type === 'zset' ? swapped(items, count) : items,
      count,
      deadlineMs: deadlines.byKey[at] as number,
    });
  }
  return values;
}

function mayHaveDeadlines(type: string, { readsFieldDeadlines }: Abilities): boolean {
  return readsFieldDeadlines && type === 'hash';
}

/** Whether a hash that is kept so has no fields with deadlines. */
function isPlain({ bytes, from, end }: HeldPage): boolean {
  const encoding = bytes.toString('latin1', from, end);
  return encoding.endsWith('\nlistpack\r\n') || encoding.endsWith('\nziplist\r\n');
}

/** Members and scores the other way round, as ZADD wants them. */
function swapped(items: Buffer, count: number): Buffer {
  const builder = keysBuilder(count, items.length);
  for (let at = 0, nth = 0; nth < count; nth++) {
    const cr = headerEnd(items, at, items.length);
    const next = cr + headerLength(items, at, cr) + 4;
    builder.add(items, at, next);
    at = next;
  }
  return swapPairs(builder.take()).bytes;
}

/** What was sent of a value: so many commands in a transaction, and which of them matter. */
interface Sent {
  readonly commands: number;
  readonly dumpAt: number | undefined;
  readonly renameAt: number;
}

const words = (...all: readonly string[]): string =>
  all.map((word) => `$${String(word.length)}\r\n${word}\r\n`).join('');

const beginning = `*1\r\n${words('MULTI')}`;
const ending = Buffer.from(`*1\r\n${words('EXEC')}`);

function send(
  { node, keys, overwrite, abilities, isTraced }: SmallTransfers,
  value: SmallValue,
): Sent {
  const { index, word, items, count, deadlineMs } = value;
  const { out } = node;
  const names = namesOf(keys);
  const nameStart = names.starts[index] as number;
  const nameEnd = names.starts[index + 1] as number;
  const slot = slotOf(names.bytes, keyStart(names.bytes, nameStart), nameEnd - 2);
  const temporary = temporaryNameIn(slot);
  const text = (some: string): void => {
    out.append(Buffer.from(some, 'latin1'));
  };
  text(`${beginning}*${String(2 + count)}\r\n${words(word, temporary)}`);
  out.append(items);
  let more = '';
  let commands = 1;
  let dumpAt: number | undefined;
  if (deadlineMs !== 0) {
    more += `*3\r\n${words('PEXPIREAT', temporary, String(deadlineMs + abilities.nodeSkewMs))}`;
    commands++;
  }
  if (isTraced) {
    more += `*2\r\n${words('DUMP', temporary)}`;
    dumpAt = commands++;
  }
  if (overwrite && abilities.unlinks) {
    // RENAME frees what it replaces while everybody waits.
    text(`${more}*2\r\n${words('UNLINK')}`);
    out.copy(names.bytes, nameStart, nameEnd);
    more = '';
    commands++;
  }
  text(`${more}*3\r\n${words(overwrite ? 'RENAME' : 'RENAMENX', temporary)}`);
  out.copy(names.bytes, nameStart, nameEnd);
  const renameAt = commands++;
  if (!overwrite) {
    // It is still there if the node has the key.
    text(`*2\r\n${words(abilities.unlinks ? 'UNLINK' : 'DEL', temporary)}`);
    commands++;
  }
  out.append(ending);
  return { commands, dumpAt, renameAt };
}

function resultOf(
  { overwrite }: SmallTransfers,
  { items, deadlineMs }: SmallValue,
  { commands, dumpAt, renameAt }: Sent,
  reply: Reply,
): Transferred | undefined {
  if (!Array.isArray(reply) || reply.length !== commands) return undefined;
  if (reply.some((one) => one instanceof ErrorReply)) return undefined;
  const renamed = reply[renameAt];
  if (!overwrite && renamed === 0) return { kind: 'exists' };
  if (renamed !== (overwrite ? 'OK' : 1)) return undefined;
  const payload = dumpAt === undefined ? undefined : reply[dumpAt];
  return {
    kind: 'stored',
    bytes: items.length,
    deadlineMs,
    payload: Buffer.isBuffer(payload) ? payload : undefined,
  };
}

/** Reads the replies to transactions that were sent one behind the other. */
export class TransactionsReader implements Reader {
  done = false;
  readonly #replies: Reply[] = [];
  /** How many lines are due before the reply to EXEC: to MULTI, and to each command in between. */
  #lines: number;
  #exec: ReplyReader | undefined;

  /**
   * @param commands how many commands each of them has.
   * @param settle gets the replies to EXEC.
   */
  constructor(
    readonly commands: readonly number[],
    readonly settle: (replies: readonly Reply[]) => void,
    readonly fail: (error: Error) => void,
  ) {
    this.#lines = 1 + (commands[0] ?? 0);
  }

  take(bytes: Buffer, from: number, end: number): number {
    let at = from;
    while (at < end && !this.done) {
      const next =
        this.#lines > 0 ? this.#takeLine(bytes, at, end) : this.#takeReply(bytes, at, end);
      if (next === at) return at;
      at = next;
    }
    return at;
  }

  /** What each command is answered is said again by the reply to EXEC: an error, too. */
  #takeLine(bytes: Buffer, at: number, end: number): number {
    let next: number;
    if (bytes[at] === PLUS && at + queuedBytes <= end && bytes[at + queuedBytes - 2] === CR) {
      next = at + queuedBytes;
    } else {
      const text = lineText(bytes, at, end);
      if (text === undefined) return at;
      if (bytes[at] !== PLUS && bytes[at] !== MINUS) {
        throw new ProtocolError('a reply within a transaction that is no status');
      }
      next = at + text.length + 3;
    }
    this.#lines--;
    return next;
  }

  #takeReply(bytes: Buffer, at: number, end: number): number {
    this.#exec ??= new ReplyReader((reply) => {
      this.#replies.push(reply);
    }, this.fail);
    const next = this.#exec.take(bytes, at, end);
    if (!this.#exec.done) return next;
    this.#exec = undefined;
    this.#lines = 1 + (this.commands[this.#replies.length] ?? 0);
    this.done = this.#replies.length === this.commands.length;
    if (this.done) this.settle(this.#replies);
    return next;
  }
}

const queuedBytes = '+QUEUED\r\n'.length;

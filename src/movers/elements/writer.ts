/**
 * Commands to a node, many under way at a time, of which only the first refusal is remembered:
 * what a key is built with is worth nothing once one of them failed. The temporary name under which it is built
 * stands further down.
 */
import { randomBytes } from 'node:crypto';
import { Gate } from '../../async.js';
import { RefusedError } from '../../errors.js';
import type { Word } from '../../redis/ask.js';
import type { Connection } from '../../redis/connection.js';
import { command, commandHead, keyAt, slice, slotCount, slotOf } from '../../redis/frames.js';
import { ErrorReply, type Reply, ReplyReader } from '../../redis/reply.js';
import type { Keys } from '../../types.js';
import { sliceElements, type SliceSize } from './reading.js';

/** How many bytes may be without an answer before the next slice is asked for. */
const unansweredLimit = 1024 * 1024;

const askingCommand = command('ASKING');

export class Writer {
  /** The node's words when it first refused something. */
  refused: string | undefined;
  /** An element that is longer than the node takes: neither it nor anything behind it was sent. */
  tooLongBytes: number | undefined;
  #lost: Error | undefined;
  #unanswered = 0;
  readonly #gate = new Gate();

  /**
   * @param asking the node takes these commands only right behind ASKING.
   * @param largestBytes a node that gets a longer argument hangs up: no answer says what it was.
   */
  constructor(
    readonly node: Connection,
    readonly asking: boolean,
    readonly largestBytes: number,
  ) {}

  /** Sends a command, the frames behind its words; its answer counts only if it is an error. */
  send(words: readonly Word[], frames?: Keys): void {
    this.tooLongBytes ??= longerThan(this.largestBytes, words, frames);
    if (this.tooLongBytes !== undefined) return;
    this.#ahead();
    const head = frames ? commandHead(frames.count, ...words) : command(...words);
    this.node.out.append(head);
    if (frames) this.node.out.append(frames.bytes);
    this.#expect(head.length + (frames?.bytes.length ?? 0));
  }

  /** Sends a command and gives its answer; errors count as for `send`. */
  ask(...words: Word[]): Promise<Reply> {
    return new Promise((settle, fail) => {
      this.#ahead();
      const whole = command(...words);
      this.node.out.append(whole);
      this.#expect(whole.length, settle, fail);
    });
  }

  /**
   * Waits until more may be sent.
   * @throws RefusedError once something was refused or too long, ConnectionError once the node is lost.
   */
  room(): Promise<void> {
    return this.#below(unansweredLimit);
  }

  /** Waits for all answers; throws like `room`. */
  settled(): Promise<void> {
    return this.#below(0);
  }

  #ahead(): void {
    if (!this.asking) return;
    this.node.out.append(askingCommand);
    this.#expect(askingCommand.length);
  }

  #expect(byteCount: number, settle?: (reply: Reply) => void, fail?: (error: Error) => void): void {
    this.#unanswered += byteCount;
    const answered = (): void => {
      this.#unanswered -= byteCount;
      this.#gate.check();
    };
    const read = (reply: Reply): void => {
      this.refused ??= refusalIn(reply);
      settle?.(reply);
      answered();
    };
    const lose = (error: Error): void => {
      this.#lost ??= error;
      fail?.(error);
      answered();
    };
    this.node.expect(new ReplyReader(read, lose));
  }

  async #below(limitBytes: number): Promise<void> {
    await this.#gate.until(() => this.#isBroken() || this.#unanswered <= limitBytes);
    if (this.#lost) throw this.#lost;
    if (this.tooLongBytes !== undefined) throw new RefusedError('an element is too long', '');
    if (this.refused !== undefined) {
      throw new RefusedError(`${this.node.address} answered: ${this.refused}`, this.refused);
    }
  }

  #isBroken(): boolean {
    const refused = this.refused ?? this.tooLongBytes;
    return refused !== undefined || this.#lost !== undefined;
  }
}

/** An error, also within what EXEC answers. */
function refusalIn(reply: Reply): string | undefined {
  if (reply instanceof ErrorReply) return reply.text;
  return Array.isArray(reply) ? reply.map(refusalIn).find((text) => text !== undefined) : undefined;
}

/** How long the first argument is that is longer than this; undefined: none is. */
function longerThan(limit: number, words: readonly Word[], frames?: Keys): number | undefined {
  const word = words.find((one) => typeof one !== 'number' && one.length > limit);
  if (word !== undefined) return (word as Buffer).length;
  // Hardly ever is all of it longer than one of them may be.
  if (!frames || frames.bytes.length <= limit) return undefined;
  for (let index = 0; index < frames.count; index++) {
    const { length } = keyAt(frames, index);
    if (length > limit) return length;
  }
  return undefined;
}

/**
 * Sends elements behind these words, in as many commands as they need.
 * @param perElement how many frames make one element.
 */
export function sendElements(
  writer: Writer,
  words: readonly Word[],
  frames: Keys,
  perElement: 1 | 2,
): void {
  const most = sliceElements * perElement;
  for (let from = 0; from < frames.count; from += most) {
    writer.send(words, slice(frames, from, Math.min(frames.count, from + most)));
  }
}

/* The words of moving one value element by element. */

/** What the two servers can do, as far as values differ by it. */
export interface Abilities {
  /** The source has fields with deadlines (HPEXPIRETIME, since 7.4). */
  readonly readsFieldDeadlines: boolean;
  /** The node has (HPEXPIREAT). */
  readonly takesFieldDeadlines: boolean;
  /** The node counts what was ever added to a stream (XSETID … ENTRIESADDED, since 7.0). */
  readonly takesStreamCounts: boolean;
  /** The node makes consumers that have read nothing (XGROUP CREATECONSUMER, since 6.2). */
  readonly createsConsumers: boolean;
  /** The node frees memory in the background (UNLINK, since 4.0). */
  readonly unlinks: boolean;
  /** A version of payloads that the node takes. */
  readonly payloadVersion: number;
  /** The longest element that the node takes. */
  readonly largestBytes: number;
  /** The node's clock minus this machine's. */
  readonly nodeSkewMs: number;
  /** The source's clock minus this machine's. */
  readonly sourceSkewMs: number;
}

/** One key on its way. */
export interface Passage {
  readonly source: Connection;
  readonly key: Buffer;
  readonly writer: Writer;
  /** The name at the node under which the value is put together. */
  readonly temporary: Buffer;
  readonly abilities: Abilities;
  readonly slice: SliceSize;
  /**
   * To be called after each slice was sent: waits until the next may be.
   * @param bytes what the slice weighed.
   */
  readonly sent: (elements: number, bytes: number) => Promise<void>;
}

/**
 * Reads the whole value and sends it.
 * @returns why it can't be moved this way; nothing if it was.
 * @throws RefusedError, ConnectionError.
 */
export type Copier = (passage: Passage) => Promise<string | undefined>;

/*
 * Where a value stands until it is whole: under a name of its own in the slot of the key, so that
 * renaming it is all that is left to do, and nobody ever sees half a value.
 *
 * The name has a TTL from the first write on, so that a run that is killed leaves nothing for good.
 * That makes it possible that it vanishes half-way and begins anew with the next write; one that
 * began anew has no TTL, which is how it is told (`isWhole`).
 */

/** How long it outlives a run that was killed. */
export const leaseMs = 3_600_000;
const renewAfterMs = 60_000;
/** With less left, it may vanish before the next look. */
const leastLeftMs = 600_000;

/** What all names of temporary keys begin with. */
export const temporaryPrefix = 'cluster-import:';

const ownRun = randomBytes(6).toString('hex');
let namesMade = 0;

/** Another name each time, and in each process. */
export function temporaryNameIn(slot: number): string {
  return `${temporaryPrefix}${ownRun}:${String(++namesMade)}:{${tagOf(slot)}}`;
}

/** One of the slot of this key. */
export function temporaryNameFor(key: Buffer): Buffer {
  return Buffer.from(temporaryNameIn(slotOf(key, 0, key.length)), 'latin1');
}

export class Temporary {
  #renewedMs: number | undefined;
  #vanished = false;

  constructor(
    readonly writer: Writer,
    readonly name: Buffer,
  ) {}

  /** To be called after each write. */
  renew(): void {
    const nowMs = performance.now();
    if (this.#renewedMs !== undefined) {
      if (nowMs - this.#renewedMs < renewAfterMs) return;
      // Asked ahead of the renewal, which would hide that it began anew.
      this.#look().catch(() => (this.#vanished = true));
    }
    this.#renewedMs = nowMs;
    this.writer.send(['PEXPIRE', this.name, leaseMs]);
  }

  /** Whether everything that was written is still there; to be called behind the last write. */
  async isWhole(): Promise<boolean> {
    if (this.#renewedMs === undefined) return false;
    await this.#look();
    return !this.#vanished;
  }

  async discard(): Promise<void> {
    await this.writer.ask('DEL', this.name).catch(() => undefined);
  }

  async #look(): Promise<void> {
    const leftMs = await this.writer.ask('PTTL', this.name);
    if (!(typeof leftMs === 'number' && leftMs >= leastLeftMs)) this.#vanished = true;
  }
}

/**
 * For each slot the shortest text that hashes to it.
 *
 * What is stored beside a key must be of its slot, and the key's own hash tag will not always do: a
 * key without one may hold a `}` anywhere. There are only 16,384 slots, so a table says it all.
 */
let tags: readonly string[] | undefined;

/** A few letters and digits, to be put between braces. */
export function tagOf(slot: number): string {
  tags ??= findTags();
  return tags[slot] as string;
}

/** Counts upward until every slot was met: some 200,000 tries, a few hundredths of a second. */
function findTags(): readonly string[] {
  const found = new Array<string>(slotCount);
  let missing = slotCount;
  for (let number = 0; missing > 0; number++) {
    const text = number.toString(36);
    const slot = slotOf(Buffer.from(text, 'latin1'), 0, text.length);
    if (found[slot] !== undefined) continue;
    found[slot] = text;
    missing--;
  }
  return found;
}

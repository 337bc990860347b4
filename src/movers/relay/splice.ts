/**
 * Values on their way: as each one arrives from the source, the command that stores it is put
 * together around it and sent to its node, piece by piece. Nothing is decoded and nothing held. The node's answers are
 * read by `AckReader`, to which a splice says what it has sent.
 *
 * A DUMP reply is exactly the frame that RESTORE takes as its payload, a GET or MGET reply the one
 * that SET takes as its value, and a key's frame from SCAN serves as it is. Everything that stands
 * ahead of the payload is known before its first byte comes, because PTTL was asked first.
 */
import { ProtocolError } from '../../errors.js';
import { nextReply } from '../../redis/ask.js';
import type { Connection } from '../../redis/connection.js';
import {
  command,
  commandHead,
  CR,
  DOLLAR,
  frame,
  LF,
  MINUS,
  namesOf,
  PLUS,
  withSlack,
} from '../../redis/frames.js';
import type { Held, Output } from '../../redis/output.js';
import {
  ErrorReply,
  type FrameSink,
  lineText,
  type Reader,
  type Reply,
  textOf,
} from '../../redis/reply.js';
import type { Keys } from '../../types.js';

/*
 * The commands that store a key, split into what stands before the key and what follows the value,
 * prepared once a run. Which arguments a node takes depends on its version and on whether anything
 * may be overwritten.
 */

/** How a value travels. `value`: GET replies into SET; `payload`: DUMP replies into RESTORE. */
export type Form = 'value' | 'payload';

interface CommandParts {
  /** Up to, not including, the key's frame. */
  readonly prefix: Buffer;
  /** What follows the value; for a value with a TTL, its number comes behind. */
  readonly suffix: Buffer;
}

export interface StoreCommands {
  readonly value: CommandParts;
  readonly expiringValue: CommandParts;
  readonly payload: CommandParts;
  readonly expiringPayload: CommandParts;
  /** Whether SET takes its expiry as a point in time (PXAT); else as what is left. */
  readonly valueDeadlines: boolean;
  /** Whether RESTORE does (ABSTTL). */
  readonly payloadDeadlines: boolean;
  /** The node's clock minus this machine's, so that a deadline means the same on both. */
  readonly skewMs: number;
  /** The longest value that the node takes in one command. */
  readonly largestBytes: number;
}

/** What of a node matters for storing keys there. */
export interface StoreAbilities {
  /** SET … PXAT, since 6.2. */
  readonly valueDeadlines: boolean;
  /** RESTORE … ABSTTL, since 5.0. */
  readonly payloadDeadlines: boolean;
  readonly skewMs: number;
  readonly largestBytes: number;
}

export const commandFrames = {
  asking: command('ASKING'),
  /** The argument of RESTORE that says: it never expires. */
  never: frame(Buffer.from('0')),
} as const;

const head = (argCount: number, word: string): Buffer => withSlack(commandHead(argCount, word));
const frames = (...words: string[]): Buffer =>
  Buffer.concat(words.map((word) => frame(Buffer.from(word))));

/** @param overwrite whether a key that the node has is replaced. */
export function storeCommands(overwrite: boolean, node: StoreAbilities): StoreCommands {
  const unlessThere = overwrite ? [] : ['NX'];
  const expiry = [...unlessThere, node.valueDeadlines ? 'PXAT' : 'PX'];
  const replace = overwrite ? ['REPLACE'] : [];
  const absolute = [...replace, ...(node.payloadDeadlines ? ['ABSTTL'] : [])];
  return {
    value: { prefix: head(2 + unlessThere.length, 'SET'), suffix: frames(...unlessThere) },
    // The number itself is the one argument more.
    expiringValue: { prefix: head(3 + expiry.length, 'SET'), suffix: frames(...expiry) },
    payload: { prefix: head(3 + replace.length, 'RESTORE'), suffix: frames(...replace) },
    expiringPayload: {
      prefix: head(3 + absolute.length, 'RESTORE'),
      suffix: frames(...absolute),
    },
    ...node,
  };
}

/** How many bytes may wait for a node before its source is read no further, and when it goes on. */
const pauseAboveBytes = 8 * 1024 * 1024;
const resumeBelowBytes = 2 * 1024 * 1024;
/** Whether too much waits for the node is looked at once in so many short values. */
const lookedAtOnceIn = 16;

/** Larger values are not kept. */
const largestKeptBytes = 16 * 1024 * 1024;

const nothing = Buffer.alloc(0);
const { never } = commandFrames;

export interface Spliced {
  readonly absent: number[];
  readonly refused: string | undefined;
  /** Values that no command can carry; they were not sent. */
  readonly oversized: number[] | undefined;
  /** Values that were left out, because the node does not know their types. */
  readonly foreign: number[] | undefined;
  readonly bytes: number;
}

/** Commands as they were sent, one behind the other; the last one may be cut off. */
export interface SentCommands {
  readonly held: Held;
  /** Which of the part's commands the first one is, counted from 0. */
  readonly first: number;
}

export interface SpliceOptions {
  readonly keys: Keys;
  readonly source: Connection;
  readonly target: Connection;
  readonly acks: AckReader;
  readonly form: Form;
  readonly commands: StoreCommands;
  /** For each key its deadline in ms since the epoch, 0 for none; undefined when none has one. */
  readonly ttls: Float64Array | undefined;
  readonly asking: boolean;
  /** The deadline of values that have none themselves, in ms since the epoch; 0: they keep none. */
  readonly leaseUntilMs?: number;
  /** Takes over the commands that were sent. Undefined: they are not kept. */
  readonly keepSent?: ((sent: SentCommands) => void) | undefined;
  settle(result: Spliced): void;
  fail(error: Error): void;
}

export class Splice implements FrameSink {
  readonly #options: SpliceOptions;
  // What is needed for each value stands here by itself: megamorphic property reads are slow.
  readonly #out: Output;
  readonly #names: Buffer;
  readonly #starts: Uint32Array;
  readonly #commands: StoreCommands;
  readonly #isValue: boolean;
  readonly #ttls: Float64Array | undefined;
  readonly #asking: boolean;
  readonly #leaseUntilMs: number;
  /** Nothing stands between the values, and none but those of `ttls` expire. */
  readonly #isPlain: boolean;
  readonly #acks: AckReader;
  readonly #absent: number[] = [];
  #refused: string | undefined;
  #oversized: number[] | undefined;
  #foreign: number[] | undefined;
  #dropping = false;
  #index = 0;
  #bytes = 0;
  #suffix: Buffer;
  /** The next command is to be kept, and the hold does not last yet. */
  #holdsNext: boolean;
  #isHolding = false;
  #firstHeld = 0;

  constructor(options: SpliceOptions) {
    this.#options = options;
    this.#out = options.target.out;
    const names = namesOf(options.keys);
    this.#names = names.bytes;
    this.#starts = names.starts;
    this.#commands = options.commands;
    this.#isValue = options.form === 'value';
    this.#ttls = options.ttls;
    this.#asking = options.asking;
    this.#leaseUntilMs = options.leaseUntilMs ?? 0;
    this.#isPlain = !options.asking && this.#leaseUntilMs === 0;
    this.#acks = options.acks;
    this.#suffix = options.commands.value.suffix;
    this.#holdsNext = options.keepSent !== undefined;
  }

  open(valueBytes: number): void {
    const out = this.#out;
    const commands = this.#commands;
    const index = this.#index;
    if (valueBytes > commands.largestBytes) {
      this.#dropping = true;
      (this.#oversized ??= []).push(index);
      return;
    }
    if (valueBytes > largestKeptBytes) this.#endHold();
    else if (this.#holdsNext) this.#beginHold();
    const expires = this.#expires(index);
    if (this.#asking) out.append(commandFrames.asking);
    const start = this.#starts[index] as number;
    const end = this.#starts[index + 1] as number;
    if (this.#isValue) {
      const { prefix, suffix } = expires ? commands.expiringValue : commands.value;
      out.copy(prefix, 0, prefix.length);
      out.copy(this.#names, start, end);
      this.#suffix = suffix;
    } else {
      const { prefix, suffix } = expires ? commands.expiringPayload : commands.payload;
      out.copy(prefix, 0, prefix.length);
      out.copy(this.#names, start, end);
      if (expires) out.integerFrame(this.#ttlOf(index));
      else out.copy(never, 0, never.length);
      this.#suffix = suffix;
    }
    this.#acks.sent(index);
    this.#bytes += valueBytes;
  }

  whole(bytes: Buffer, start: number, end: number, valueBytes: number): void {
    const index = this.#index;
    if (!this.#isPlain || (this.#ttls !== undefined && this.#ttls[index] !== 0)) {
      this.open(valueBytes);
      this.bytes(bytes, start, end);
      this.shut();
      return;
    }
    if (this.#holdsNext) this.#beginHold();
    const { prefix, suffix } = this.#isValue ? this.#commands.value : this.#commands.payload;
    const keyStart = this.#starts[index] as number;
    const keyEnd = this.#starts[index + 1] as number;
    const between = this.#isValue ? nothing : never;
    // prettier-ignore
    this.#out.store(prefix, this.#names, keyStart, keyEnd, between, bytes, start, end, suffix);
    this.#acks.sent(index);
    this.#bytes += valueBytes;
    this.#index++;
    const isLookedAt = index % lookedAtOnceIn === 0 || valueBytes > 1024;
    if (isLookedAt && this.#out.unsentBytes > pauseAboveBytes) this.#holdSource();
  }

  bytes(bytes: Buffer, start: number, end: number): void {
    if (this.#dropping) return;
    const out = this.#out;
    out.copy(bytes, start, end);
    if (out.unsentBytes > pauseAboveBytes) this.#holdSource();
  }

  shut(): void {
    if (this.#dropping) {
      this.#dropping = false;
      this.#index++;
      return;
    }
    const suffix = this.#suffix;
    if (suffix.length > 0) {
      this.#out.copy(suffix, 0, suffix.length);
      if (this.#isValue && this.#expires(this.#index)) {
        this.#out.integerFrame(this.#ttlOf(this.#index));
      }
    }
    this.#index++;
  }

  nil(): void {
    this.#absent.push(this.#index++);
  }

  /** The next value is not sent. */
  leaveOut(): void {
    (this.#foreign ??= []).push(this.#index++);
  }

  refused(text: string): void {
    this.#refused ??= text;
    this.#absent.push(this.#index++);
  }

  end(): void {
    // One refusal may stand for all that were asked for.
    while (this.#index < this.#options.keys.count) this.#absent.push(this.#index++);
    this.#endHold();
    this.#options.settle({
      absent: this.#absent,
      refused: this.#refused,
      oversized: this.#oversized,
      foreign: this.#foreign,
      bytes: this.#bytes,
    });
  }

  fail(error: Error): void {
    this.#endHold();
    this.#options.fail(error);
  }

  #beginHold(): void {
    this.#out.beginHold();
    this.#holdsNext = false;
    this.#isHolding = true;
    this.#firstHeld = this.#acks.sentCount;
  }

  /** The next command that may be kept begins another hold. */
  #endHold(): void {
    if (!this.#isHolding) return;
    this.#isHolding = false;
    this.#holdsNext = true;
    this.#options.keepSent?.({ held: this.#out.endHold(), first: this.#firstHeld });
  }

  #deadlineOf(index: number): number {
    return this.#ttls === undefined ? 0 : (this.#ttls[index] as number);
  }

  #expires(index: number): boolean {
    return this.#leaseUntilMs !== 0 || this.#deadlineOf(index) !== 0;
  }

  #ttlOf(index: number): number {
    const commands = this.#commands;
    const deadlineMs = this.#deadlineOf(index) || this.#leaseUntilMs;
    const absolute = this.#isValue ? commands.valueDeadlines : commands.payloadDeadlines;
    return absolute ? deadlineMs + commands.skewMs : Math.max(1, deadlineMs - Date.now());
  }

  #holdSource(): void {
    const { source, target } = this.#options;
    if (held.has(target)) return;
    held.add(target);
    source.pause();
    target.out.whenBelow(resumeBelowBytes, () => {
      held.delete(target);
      source.resume();
    });
  }
}

/** Nodes for whose sake a source is not read at present. */
const held = new Set<Connection>();

/*
 * Reads a node's answers to the SETs and RESTOREs of one part of a batch, and remembers only the
 * answers that are not `+OK`. What is asked behind them it reads too: the readers of
 * later parts are lined up before anybody knows whether that will be asked at all.
 */

const upperO = 79;
const upperK = 75;

/** `null` is what SET … NX answers when the key is there. */
export interface Refusal {
  readonly index: number;
  readonly text: string | null;
}

export class AckReader implements Reader {
  done = false;
  readonly refusals: Refusal[] = [];
  /** Which key each answer belongs to: those that were not there are not asked for. */
  readonly #indexes: Uint32Array;
  readonly #settle: (error?: Error) => void;
  readonly #asking: boolean;
  #sent = 0;
  #received = 0;
  #complete = false;
  #settled = false;
  /** Reads the answer to what was asked behind the last command. */
  #last: Reader | undefined;
  #askingSkipped = false;

  /**
   * @param asking each command stands behind an ASKING, which answers too.
   * @param settle called once: all answers to the commands are in, or the node is lost.
   */
  constructor(keyCount: number, asking: boolean, settle: (error?: Error) => void) {
    this.#indexes = new Uint32Array(keyCount);
    this.#asking = asking;
    this.#settle = settle;
  }

  /** How many commands were sent so far. */
  get sentCount(): number {
    return this.#sent;
  }

  /** The index of the key that so-many-th command stores, counted from 0. */
  indexOfSent(sentIndex: number): number {
    return this.#indexes[sentIndex] as number;
  }

  /** Nothing is owed to it: the source has not come up with the next value. */
  get idle(): boolean {
    return this.#received === this.#sent && this.#last?.done !== false;
  }

  sent(index: number): void {
    this.#indexes[this.#sent++] = index;
  }

  /**
   * The part's last command has been sent.
   * @param last reads the answer to what was asked behind it, if anything was.
   */
  complete(last?: Reader): void {
    this.#complete = true;
    this.#last = last;
    this.#finishIfAllIn();
  }

  fail(error: Error): void {
    this.done = true;
    this.#settleOnce(error);
    this.#last?.fail(error);
  }

  take(bytes: Buffer, from: number, end: number): number {
    let at = from;
    if (at < end && !this.done && this.idle) {
      // Whoever counts one answer too many deletes a key that was not stored.
      throw new ProtocolError('a reply to a write that was not sent');
    }
    while (at < end && this.#received < this.#sent) {
      const next = this.#takeOne(bytes, at, end);
      if (next === at) return at;
      at = next;
    }
    if (at < end && this.#last && this.#received === this.#sent) {
      at = this.#last.take(bytes, at, end);
    }
    this.#finishIfAllIn();
    return at;
  }

  #takeOne(bytes: Buffer, at: number, end: number): number {
    const type = bytes[at];
    if (type === PLUS && at + 5 <= end && isOk(bytes, at)) {
      this.#count();
      return at + 5;
    }
    const text = lineText(bytes, at, end);
    if (text === undefined) return at;
    if (type === MINUS) this.#refuse(text);
    else if (type === DOLLAR && text === '-1') this.#refuse(null);
    else throw new ProtocolError('a malformed reply to a write');
    this.#count();
    return at + text.length + 3;
  }

  #refuse(text: string | null): void {
    if (this.#asking && !this.#askingSkipped) return;
    this.refusals.push({ index: this.#indexes[this.#received] as number, text });
  }

  #count(): void {
    if (this.#asking && !this.#askingSkipped) {
      this.#askingSkipped = true;
      return;
    }
    this.#askingSkipped = false;
    this.#received++;
  }

  #finishIfAllIn(): void {
    if (this.done || !this.#complete || this.#received < this.#sent) return;
    this.#settleOnce();
    this.done = this.#last?.done !== false;
  }

  #settleOnce(error?: Error): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#settle(error);
  }
}

/** Only OK says that a key is stored: QUEUED, say, does not. */
function isOk(bytes: Buffer, at: number): boolean {
  return (
    bytes[at + 1] === upperO &&
    bytes[at + 2] === upperK &&
    bytes[at + 3] === CR &&
    bytes[at + 4] === LF
  );
}

/*
 * What a node is asked before its keys are deleted at the source: whether its replicas have them.
 * Replication is asynchronous: a node that acknowledges and dies may take the keys with it.
 *
 * WAIT counts the replicas that have this connection's writes (since 3.0); WAITAOF those that have
 * them on disk, and the node itself (since 7.2).
 */

export interface Durability {
  /** The command to send behind the writes. */
  readonly question: Buffer;
  /** What is missing by its answer, in words; undefined: nothing. */
  shortfall(answer: Reply): string | undefined;
}

/** What is missing of what was written over this connection; nobody else may use it meanwhile. */
export async function shortfallOver(
  connection: Connection,
  durability: Durability,
): Promise<string | undefined> {
  connection.out.append(durability.question);
  return durability.shortfall(await nextReply(connection));
}

/**
 * @param replicas how many must confirm.
 * @param fsync they, and the node itself, must have it on disk.
 * @param timeoutMs how long they have for it.
 */
export function durability(
  replicas: number,
  fsync: boolean,
  timeoutMs: number,
): Durability | undefined {
  if (replicas === 0 && !fsync) return undefined;
  const question = fsync
    ? command('WAITAOF', 1, replicas, timeoutMs)
    : command('WAIT', replicas, timeoutMs);
  return {
    question,
    shortfall(answer) {
      if (answer instanceof ErrorReply) return `it answered: ${answer.text}`;
      const [local, confirmed] = Array.isArray(answer) ? answer : [1, answer];
      if (Number(local) >= 1 && Number(confirmed) >= replicas) return undefined;
      const where = fsync ? 'on disk' : 'by replicas';
      return `confirmed ${where} by ${textOf(confirmed)} of ${String(replicas)} within ${String(timeoutMs)} ms`;
    },
  };
}

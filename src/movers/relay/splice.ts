/**
 * Values on their way: as each one arrives from the source, the command that stores it is put
 * together around it and sent to its node, piece by piece. Nothing is decoded and nothing held.
 *
 * A DUMP reply is exactly the frame that RESTORE takes as its payload, a GET or MGET reply the one
 * that SET takes as its value, and a key's frame from SCAN serves as it is. Everything that stands
 * ahead of the payload is known before its first byte comes, because PTTL was asked first.
 */
import type { FrameSink } from '../../redis/reply.js';
import type { Connection } from '../../redis/connection.js';
import { namesOf } from '../../redis/keys.js';
import type { Held, Output } from '../../redis/output.js';
import type { Keys } from '../../types.js';
import type { AckReader } from './acks.js';
import { command, commandHead, frame, withSlack } from '../../redis/frames.js';

/*
 * The commands that store a key, split into what stands before the key and what follows the value,
 * prepared once a run. Which arguments a node takes depends on its version and on whether anything
 * may be overwritten.
 */

/** How a value travels. `value`: GET replies into SET; `payload`: DUMP replies into RESTORE. */
export type Form = 'value' | 'payload';

export interface CommandParts {
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

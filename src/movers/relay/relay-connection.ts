/**
 * One connection to the source and one or more to each node, over which values are relayed.
 *
 * What keeps it in order: questions to the source and the readers of the nodes' answers are lined
 * up at the same moment, so answers come in the order in which values arrive. Only one value is
 * under way at a time, so nothing can get between the pieces of a command; that is why the connections
 * to nodes are its own.
 */
import {
  BulksReader,
  type FrameSink,
  type Reader,
  type Reply,
  ReplyReader,
} from '../../redis/reply.js';
import type { Connection } from '../../redis/connection.js';
import type { ConnectNode } from '../../redis/pool.js';
import { chosen, commandHead, keyCommandHead } from '../../redis/frames.js';
import type { Batch, Copy, FailureClass, Keys, Node } from '../../types.js';
import { leaseMs } from '../elements/writer.js';
import {
  AckReader,
  type Durability,
  type Form,
  type Refusal,
  Splice,
  type Spliced,
  type StoreCommands,
} from './splice.js';
import { type PayloadRewrite, RewritingSink } from './payload-rewrite.js';
import type { Removal } from './removal.js';
import type { SentValues } from './sent-values.js';

export interface ValuesToPass {
  readonly keys: Keys;
  readonly node: Node;
  readonly target: Connection;
  readonly form: Form;
  readonly commands: StoreCommands;
  /** How payloads must be changed for the node; undefined: it takes them as they are. */
  readonly rewrite: PayloadRewrite | undefined;
  readonly ttls: Float64Array | undefined;
  /** The names are temporary: what has no deadline gets one. */
  readonly isTemporary?: boolean;
  readonly asking: boolean;
  /** What the node is asked about replicas once the last value is sent. */
  readonly durability: Durability | undefined;
  /** Takes what is sent, to know later what the node was given. Undefined: nobody will ask. */
  readonly sent: SentValues | undefined;
  /** Told when the node has answered for all values; whether they are durable comes later. */
  answered(valueBytes: number): void;
}

/** A value that can't travel in this form, and why. */
export interface Unmovable {
  readonly index: number;
  readonly why: string;
  readonly class: FailureClass;
}

/** What a node was given element by element, as a payload. */
export interface StoredPayload {
  readonly index: number;
  readonly payload: Buffer;
  /** Ms since the epoch; 0: it does not expire. */
  readonly deadlineMs: number;
}

/** What became of the values that were asked for together. */
export interface Passed {
  /** Indexes of keys that the source did not have, in this form. */
  readonly absent: readonly number[];
  /** What the source answered where it refused. */
  readonly refusedBySource: string | undefined;
  /** Answers of the node other than OK. */
  readonly refusals: readonly Refusal[];
  /** Indexes of values larger than one command may carry. */
  readonly oversized?: readonly number[] | undefined;
  /** Indexes of values of types that the node does not know; they were not sent. */
  readonly foreign?: readonly number[] | undefined;
  readonly unmovable?: readonly Unmovable[];
  readonly payloads?: readonly StoredPayload[];
  /** The node was lost before it had answered all. */
  readonly lost: Error | undefined;
  /** Stored, but not on as many replicas as asked for. */
  readonly undurable: string | undefined;
  readonly bytes: number;
}

/** A connection to the source, and how keys leave over it. */
export interface GuardedSource {
  readonly source: Connection;
  /** Its run_id: another one after each restart. */
  readonly sourceRun: string;
  /** Undefined: they don't. */
  readonly removal: Removal | undefined;
}

const dumpHead = keyCommandHead('DUMP');

export class RelayConnection implements GuardedSource {
  readonly source: Connection;
  readonly sourceRun: string;
  readonly removal: Removal | undefined;

  /** @param targetTo lends a connection to a node, over which nothing else is sent. */
  constructor(
    { source, sourceRun, removal }: GuardedSource,
    readonly targetTo: ConnectNode,
  ) {
    this.source = source;
    this.sourceRun = sourceRun;
    this.removal = removal;
  }

  /**
   * Asks for the values and stores them at the node.
   * @throws ConnectionError when the source is lost.
   */
  pass(values: ValuesToPass): Promise<Passed> {
    const { source } = this;
    const { keys, target, durability } = values;
    return new Promise((resolve, reject) => {
      let read: Spliced | undefined;
      let lost: Error | undefined;
      let undurable: string | undefined;
      let answersDue = 1;

      function finish(): void {
        if (!read || answersDue > 0) return;
        resolve({
          absent: read.absent,
          refusedBySource: read.refused,
          refusals: acks.refusals,
          oversized: read.oversized,
          foreign: read.foreign,
          lost,
          undurable,
          bytes: read.bytes,
        });
      }
      const answered = (error?: Error): void => {
        lost ??= error;
        answersDue--;
        finish();
      };

      /** @returns who reads whether what was stored is durable; undefined: that is not asked. */
      function askDurability(): Reader | undefined {
        if (!durability || lost || acks.sentCount === 0) return undefined;
        answersDue++;
        target.out.append(durability.question);
        const judge = (reply: Reply): void => {
          undurable = durability.shortfall(reply);
          answered();
        };
        return new ReplyReader(judge, answered);
      }

      const acks = new AckReader(keys.count, values.asking, (error) => {
        if (read) values.answered(read.bytes);
        answered(error);
      });
      target.expect(acks);
      const { form, commands, ttls, asking, sent } = values;
      const sink = new Splice({
        keys,
        source,
        target,
        acks,
        form,
        commands,
        ttls,
        asking,
        leaseUntilMs: values.isTemporary === true ? Date.now() + leaseMs : 0,
        keepSent:
          sent?.hasRoom() === true
            ? (kept) => {
                sent.keep({ ...kept, keys, acks, form, ttls, asking });
              }
            : undefined,
        settle(result) {
          read = result;
          acks.complete(askDurability());
          finish();
        },
        fail(error) {
          // A command may have been cut off: nothing can follow it.
          target.close();
          reject(error);
        },
      });
      const { rewrite } = values;
      if (form === 'value') askValues(source, keys, sink);
      else askPayloads(source, keys, rewrite ? new RewritingSink(sink, rewrite) : sink);
    });
  }
}

function askValues(source: Connection, keys: Keys, sink: FrameSink): void {
  source.out.append(commandHead(keys.count, 'MGET'));
  source.out.append(keys.bytes);
  source.expect(new BulksReader(sink, keys.count, 'array'));
}

function askPayloads(source: Connection, keys: Keys, sink: FrameSink): void {
  source.out.askEach(dumpHead, keys);
  source.expect(new BulksReader(sink, keys.count));
}

/** By whom keys were stored. */
export function storedBy(
  target: Connection,
  { node }: Pick<Batch, 'node'>,
): Pick<Copy, 'storedOver' | 'storedAt'> {
  return { storedOver: target, storedAt: node };
}

/** The keys that are neither absent nor refused. */
export function storedOf(keys: Keys, passed: Passed): Keys {
  const { absent, refusals, oversized = [], foreign = [], unmovable = [] } = passed;
  const unsent = oversized.length + foreign.length;
  const others = absent.length + refusals.length + unsent + unmovable.length;
  if (others === 0) return keys;
  const out = new Uint8Array(keys.count);
  for (const index of absent) out[index] = 1;
  for (const index of oversized) out[index] = 1;
  for (const index of foreign) out[index] = 1;
  for (const { index } of refusals) out[index] = 1;
  for (const { index } of unmovable) out[index] = 1;
  const indexes: number[] = [];
  for (let index = 0; index < keys.count; index++) if (out[index] === 0) indexes.push(index);
  return chosen(keys, indexes);
}

/**
 * The relay: reads values from the source and stores them at their node, then deletes them at the
 * source once the node has acknowledged them.
 *
 * A batch goes through these steps, each for many keys at once and with other batches' steps in
 * between on the same connections:
 *
 *   begin    the source's write counter is read (see removal.ts)
 *   ask      TTLs where any key has one, then the values: MGET, and DUMP for what is no string
 *   splice   each value is stored at the node as it arrives (see splice.ts)
 *   acks     the node's answers (see acks.ts)
 *   remove   what was acknowledged is deleted at the source, if nobody wrote there meanwhile
 */
import { ImportError } from '../../errors.js';
import { BulksReader } from '../../redis/bulks.js';
import type { Connection } from '../../redis/connection.js';
import { commandHead } from '../../redis/frames.js';
import { chosen, joined, slice } from '../../redis/keys.js';
import { ErrorReply } from '../../redis/reply.js';
import type { Batch, Keys, Mover, Node, Outcome } from '../../types.js';
import type { Compared } from '../compare.js';
import { byReason, outcomeBuilder, type OutcomeBuilder } from '../outcome.js';
import { type Verdict, verdictOf } from '../replies.js';
import { AckReader, type Refusal } from './acks.js';
import type { Removal } from './removal.js';
import { Splice } from './splice.js';
import { askDeadlines } from './ttls.js';
import type { Window } from './window.js';
import type { StoreWords } from './words.js';

export interface RelayOptions {
  readonly source: Connection;
  /** Opens a connection to a node; called once a node, and again when it was lost. */
  connectNode(node: Node): Promise<Connection>;
  /** The commands that store keys at this node; `overwrite` is the run's choice, or false. */
  wordsFor(node: Node, overwrite: boolean): StoreWords;
  /** Whether keys that the cluster has are replaced. */
  readonly overwrite: boolean;
  /** Undefined: the source is left as it is. */
  readonly removal: Removal | undefined;
  /** Whether any key of the source's database has a TTL, as last heard. */
  expires(): boolean;
  readonly window: Window;
  /** Sorts keys that both sides have. */
  compare(node: Node, keys: Keys): Promise<Compared>;
}

/** What became of the keys that were asked for together. */
interface Stored {
  readonly stored: Keys;
  readonly absent: Keys;
  readonly absentPlaces: readonly number[];
  readonly existing: Keys;
}

type Form = 'value' | 'payload';

const nothing: Keys = { bytes: Buffer.alloc(0), starts: new Uint32Array(1), count: 0 };
const dumpHead = commandHead(1, 'DUMP');

/** Below this share of strings, all values are asked for as payloads at once. */
const fewStrings = 0.2;
/** Then every so many-th batch still finds out whether that has changed. */
const sampleEvery = 16;

export function relay(options: RelayOptions): Mover {
  const { source, window } = options;
  const lanes = new Map<string, Promise<Connection>>();
  let stringShare = 1;
  let batches = 0;

  function laneTo(node: Node): Promise<Connection> {
    const known = lanes.get(node.address);
    if (known) return known;
    const opening = options.connectNode(node).then((lane) => {
      lane.onLost(() => lanes.delete(node.address));
      return lane;
    });
    lanes.set(node.address, opening);
    opening.catch(() => lanes.delete(node.address));
    return opening;
  }

  async function move(batch: Batch): Promise<Outcome> {
    const outcome = outcomeBuilder();
    let lane: Connection;
    try {
      lane = await laneTo(batch.node);
    } catch (error) {
      if (!(error instanceof ImportError)) throw error;
      outcome.retry(batch.keys, { class: 'unavailable', message: error.message });
      return outcome.build();
    }
    const ticket = options.removal?.begin();
    const acknowledged = await store(batch, lane, outcome);
    if (ticket && options.removal) {
      const removed = await options.removal.remove(acknowledged, ticket);
      if (removed === 'changed') {
        const message = 'it was written to while it was moved';
        outcome.retry(acknowledged, { class: 'changing', message, ours: true });
        return outcome.build();
      }
      if (removed instanceof ErrorReply) {
        outcome.fail(acknowledged, {
          class: 'source',
          message: `copied, but the source refused to delete it: ${removed.text}`,
        });
        return outcome.build();
      }
    }
    outcome.moved += acknowledged.count;
    return outcome.build();
  }

  /** Asks for a batch's values and stores them. @returns the keys that are now whole at the node. */
  async function store(batch: Batch, lane: Connection, outcome: OutcomeBuilder): Promise<Keys> {
    const asPayloads = stringShare < fewStrings && batches++ % sampleEvery !== 0;
    const parts: Promise<Keys>[] = [];
    for (let from = 0; from < batch.keys.count; ) {
      const keys = slice(batch.keys, from, Math.min(batch.keys.count, from + window.keysPerPart()));
      await window.enter(keys.count);
      parts.push(storePart(keys, asPayloads));
      from += keys.count;
    }
    return joined(await Promise.all(parts));

    async function storePart(keys: Keys, asPayload: boolean): Promise<Keys> {
      const ttls = options.expires() ? askDeadlines(source, keys) : undefined;
      const first = await splice(keys, asPayload ? 'payload' : 'value', ttls);
      if (asPayload) {
        countGone(first.absent.count);
        return settle(first);
      }
      noteStrings(first.stored.count, keys.count);
      if (first.absent.count === 0) return settle(first);
      const ttlsLeft = ttls && Float64Array.from(first.absentPlaces, (at) => ttls[at] as number);
      await window.enter(first.absent.count);
      const second = await splice(first.absent, 'payload', ttlsLeft);
      countGone(second.absent.count);
      return joined([await settle(first), await settle(second)]);
    }

    async function settle(result: Stored): Promise<Keys> {
      if (result.existing.count === 0) return result.stored;
      const compared = await options.compare(batch.node, result.existing);
      outcome.conflict(compared.different, batch.relisted);
      countGone(compared.absent.count);
      if (batch.relisted && !options.removal) {
        outcome.repeated += compared.equal.count;
        return result.stored;
      }
      return joined([result.stored, compared.equal]);
    }

    function countGone(count: number): void {
      if (batch.relisted) outcome.repeated += count;
      else outcome.gone += count;
    }

    function splice(keys: Keys, form: Form, ttls: Float64Array | undefined): Promise<Stored> {
      return new Promise((resolve, reject) => {
        let read: { absent: number[]; refused: string | undefined; bytes: number } | undefined;
        let answered = false;
        const acks = new AckReader(keys.count, batch.asking, (error) => {
          answered = true;
          lost = error;
          finish();
        });
        let lost: Error | undefined;

        function finish(): void {
          if (!read || !answered) return;
          resolve(sortOut(keys, read, acks.refusals, lost));
        }

        lane.expect(acks);
        const sink = new Splice({
          keys,
          source,
          target: lane,
          acks,
          form,
          words: options.wordsFor(batch.node, batch.ours || (options.overwrite && !batch.relisted)),
          ttls,
          asking: batch.asking,
          settle: (result) => {
            read = result;
            window.leave(keys.count, result.bytes);
            outcome.bytes += result.bytes;
            finish();
          },
          fail: (error) => {
            lane.close();
            window.leave(keys.count, 0);
            reject(error);
          },
        });
        ask(keys, form, sink);
      });
    }

    function sortOut(
      keys: Keys,
      read: { absent: number[]; refused: string | undefined },
      refusals: readonly Refusal[],
      lost: Error | undefined,
    ): Stored {
      const absentPlaces = read.absent;
      if (lost) {
        outcome.retry(keys, { class: 'unavailable', message: lost.message });
        return { stored: nothing, absent: nothing, absentPlaces: [], existing: nothing };
      }
      if (read.refused !== undefined) {
        outcome.fail(chosen(keys, absentPlaces), {
          class: 'source',
          message: `the source answered: ${read.refused}`,
        });
      }
      const absent = read.refused === undefined ? chosen(keys, absentPlaces) : nothing;
      if (absentPlaces.length === 0 && refusals.length === 0) {
        return { stored: keys, absent, absentPlaces, existing: nothing };
      }
      const out = new Set([...absentPlaces, ...refusals.map((refusal) => refusal.place)]);
      const stored = [...Array(keys.count).keys()].filter((place) => !out.has(place));
      let existing = nothing;
      const reasons = refusals.map(({ place, text }) => {
        const reason: Verdict = text === null ? { kind: 'exists' } : verdictOf(text);
        return { place, reason: { ...reason, text: text ?? '' }, id: idOf(reason, text) };
      });
      for (const group of byReason(keys, reasons)) {
        const { reason } = group;
        const message = `${batch.node.address} answered: ${reason.text}`;
        if (reason.kind === 'exists') existing = group.keys;
        else if (reason.kind === 'failed')
          outcome.fail(group.keys, { class: reason.class, message });
        else {
          const askAt = reason.askAt === undefined ? {} : { askAt: reason.askAt };
          outcome.retry(group.keys, { class: reason.class, message, ...askAt });
        }
      }
      return { stored: chosen(keys, stored), absent, absentPlaces, existing };
    }
  }

  function ask(keys: Keys, form: Form, sink: Splice): void {
    const { out } = source;
    if (form === 'value') {
      out.append(commandHead(keys.count, 'MGET'));
      out.append(keys.bytes);
      source.expect(new BulksReader(sink));
      return;
    }
    for (let place = 0; place < keys.count; place++) {
      out.copy(dumpHead, 0, dumpHead.length);
      out.copy(keys.bytes, keys.starts[place] as number, keys.starts[place + 1] as number);
    }
    source.expect(new BulksReader(sink, keys.count));
  }

  function noteStrings(strings: number, keyCount: number): void {
    const weight = Math.min(1, keyCount / 1024);
    stringShare = stringShare * (1 - weight) + (strings / keyCount) * weight;
  }

  return {
    name: 'relay',
    move,
    close() {
      source.close();
      for (const lane of lanes.values()) lane.then((open) => open.close()).catch(() => undefined);
    },
  };
}

/** MOVED and ASK name a slot each; what they ask for is the same. */
function idOf(reason: Verdict, text: string | null): string {
  return reason.kind === 'retry' ? `${reason.class} ${reason.askAt ?? ''}` : (text ?? 'exists');
}

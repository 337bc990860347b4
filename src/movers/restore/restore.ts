/**
 * Stores values that their source brought along (a dump's): each is one command, sent to its node
 * as it is. Nothing is deleted anywhere, and what can't be stored is still in the file.
 *
 * Small values go over one connection to each node, batch behind batch. Large ones, which take a
 * while and must not be interrupted by other commands, have another one, one at a time.
 */
import { ConnectionError, ImportError } from '../../errors.js';
import {
  deadlineOf,
  formOf,
  forms,
  frameStart,
  largeOf,
  moduleTypeAt,
  typeOf,
  hintsOf,
} from '../../redis/value-record.js';
import { nextReply } from '../../redis/ask.js';
import type { Connection } from '../../redis/connection.js';
import { chosen, frame, keyStart, namesOf } from '../../redis/frames.js';
import { type ConnectNode, lanes } from '../../redis/pool.js';
import { ErrorReply, type Reply, ReplyReader } from '../../redis/reply.js';
import type { Batch, Keys, LargeValues, Mover, Node, Outcome } from '../../types.js';
import { outcomeBuilder, type OutcomeBuilder } from '../outcome.js';
import { type JobPolicy, mayOverwrite } from '../policy.js';
import { retryRefused, verdictOf } from '../refused-keys.js';
import { AckReader, commandFrames, type Refusal, type StoreCommands } from '../relay/splice.js';
import { examine, suspectIndexes } from './existing.js';

export interface RestoreOptions {
  readonly large: LargeValues;
  readonly connectNode: ConnectNode;
  commandsFor(node: Node, overwrite: boolean): StoreCommands;
  takesHints(node: Node): boolean;
  readonly job: JobPolicy;
  /** Whether what was stored is compared with what was brought along. */
  readonly verify: boolean;
}

const moduleType = 7;
const wayOfNewer =
  ' (a server as new as the file, named in --redis-server, gets it across if the node can hold it)';

export function restore(options: RestoreOptions): Mover {
  const { connectNode, large } = options;
  const targetTo = lanes(connectNode);
  const slowTargetTo = lanes(connectNode);
  /** Who has a slow target at present. */
  const turns = new Map<string, Promise<unknown>>();

  function inTurn<T>(node: Node, work: (target: Connection) => Promise<T>): Promise<T> {
    const before = turns.get(node.address) ?? Promise.resolve();
    const mine = before.then(async () => work(await slowTargetTo(node)));
    turns.set(
      node.address,
      mine.catch(() => undefined),
    );
    return mine;
  }

  async function move(batch: Batch): Promise<Outcome> {
    const outcome = outcomeBuilder();
    const { keys } = batch;
    const values = valuesOf(keys);
    const now = Date.now();
    const held: number[] = [];
    const bulky: number[] = [];
    for (let index = 0; index < keys.count; index++) {
      const at = values.starts[index] as number;
      const deadlineMs = deadlineOf(values.bytes, at);
      const isLarge = formOf(values.bytes, at) === forms.large;
      if (deadlineMs >= 0 && deadlineMs <= now) {
        outcome.gone++;
        if (isLarge) large.done(largeOf(values.bytes, at).id);
      } else (isLarge ? bulky : held).push(index);
    }
    if (held.length > 0) await guarded(chosen(keys, held), outcome, batch, storeHeld);
    for (const index of bulky) await guarded(chosen(keys, [index]), outcome, batch, storeLarge);
    return outcome.build();
  }

  /** What is lost with a connection goes round again. */
  async function guarded(
    keys: Keys,
    outcome: OutcomeBuilder,
    batch: Batch,
    work: (batch: Batch, outcome: OutcomeBuilder) => Promise<void>,
  ): Promise<void> {
    const part = outcomeBuilder();
    try {
      await work({ ...batch, keys }, part);
      outcome.add(part.build());
    } catch (error) {
      if (!(error instanceof ImportError)) throw error;
      outcome.retry(keys, { class: 'unavailable', message: error.message });
    }
  }

  function cargoOf({ keys, node, asking }: Batch, commands: StoreCommands): Cargo {
    const takesHints = options.takesHints(node);
    return { values: valuesOf(keys), names: namesOf(keys), commands, takesHints, asking };
  }

  const commandsTo = (batch: Batch): StoreCommands =>
    options.commandsFor(batch.node, mayOverwrite(options.job, batch) === 'always');

  async function storeHeld(batch: Batch, outcome: OutcomeBuilder): Promise<void> {
    const target = await targetTo(batch.node);
    await hasRoom(target);
    const cargo = cargoOf(batch, commandsTo(batch));
    const refusals = await new Promise<readonly Refusal[]>((resolve, reject) => {
      const acks = new AckReader(batch.keys.count, batch.asking, (error) => {
        if (error) reject(error);
        else resolve(acks.refusals);
      });
      target.expect(acks);
      for (let index = 0; index < batch.keys.count; index++) {
        sendHeld(target, cargo, index);
        acks.sent(index);
      }
      acks.complete();
    });
    await settle(batch, refusals, outcome);
  }

  async function storeLarge(batch: Batch, outcome: OutcomeBuilder): Promise<void> {
    const values = valuesOf(batch.keys);
    const { id, size } = largeOf(values.bytes, 0);
    let isDone = false;
    try {
      const commands = commandsTo(batch);
      if (size > commands.largestBytes) {
        const message = `its ${String(size)} bytes are more than one command can carry: start a server on the file, and give that in --from`;
        outcome.fail(batch.keys, { class: 'too-large', message });
        isDone = true;
        return;
      }
      const cargo = cargoOf(batch, commands);
      const reply = await inTurn(batch.node, (target) => ship(target, cargo));
      const text = reply instanceof ErrorReply ? reply.text : 'ERR a malformed reply to RESTORE';
      const refusals = reply === 'OK' ? [] : [{ index: 0, text }];
      await settle(batch, refusals, outcome);
      isDone = outcome.build().retries.length === 0;
    } finally {
      if (isDone) large.done(id);
    }
  }

  /** Sends the first value of a cargo over a slow target, and gives the answer to it. */
  async function ship(target: Connection, cargo: Cargo): Promise<Reply> {
    if (cargo.asking)
      target.expect(
        new ReplyReader(
          () => undefined,
          () => undefined,
        ),
      );
    const answer = nextReply(target);
    const { bytes, starts } = cargo.values;
    try {
      if (formOf(bytes, starts[0] as number) === forms.large) {
        await sendLarge(target, cargo, 0, large);
      } else sendHeld(target, cargo, 0);
    } catch (error) {
      // A command was cut off: nothing can follow it.
      target.close();
      answer.catch(() => undefined);
      throw error;
    }
    return answer;
  }

  /** What the node's answers mean; those who are not named were stored. */
  async function settle(
    batch: Batch,
    refusals: readonly Refusal[],
    outcome: OutcomeBuilder,
  ): Promise<void> {
    const { keys, node } = batch;
    const refused = new Set(refusals.map(({ index }) => index));
    outcome.moved += keys.count - refused.size;
    outcome.bytes += bytesOf(keys, refused);
    if (options.verify) await confirm(batch, refused, outcome);
    if (refusals.length === 0) return;
    const there = refusals.filter(({ text }) => text === null || verdictOf(text).kind === 'exists');
    const others = refusals.filter((refusal) => !there.includes(refusal));
    for (const { index, text } of others) {
      const verdict = verdictOf(text ?? '');
      if (verdict.kind !== 'failed') continue;
      outcome.fail(chosen(keys, [index]), {
        class: verdict.class,
        message: `${ofModule(keys, index)}${node.address} answered: ${text ?? ''}${verdict.class === 'version' ? wayOfNewer : ''}`,
      });
    }
    const passing = others.map(({ index, text }) => ({ index, text: text ?? '' }));
    retryRefused(outcome, node, keys, passing);
    if (there.length === 0) return;
    const indexes = there.map(({ index }) => index);
    const found = await lookAt(batch, indexes);
    outcome.moved += found.equal.length;
    retryRefused(outcome, node, keys, found.refused);
    const different = found.different;
    if (different.length > 0) {
      const message = 'the cluster has this key with another value';
      outcome.fail(chosen(keys, different), { class: 'conflict', message });
    }
  }

  /** Compares what the node has under these names with what was brought along. */
  function lookAt(batch: Batch, indexes: readonly number[]): ReturnType<typeof examine> {
    const commands = options.commandsFor(batch.node, false);
    return inTurn(batch.node, (target) =>
      examine(target, batch, indexes, (index, name) => {
        const cargo = cargoOf({ ...batch, keys: chosen(batch.keys, [index]) }, commands);
        const starts = Uint32Array.of(0, name.length);
        return ship(target, { ...cargo, names: { bytes: name, starts, count: 1 } });
      }),
    );
  }

  /** Those that were just stored, and counted as moved. */
  async function confirm(
    batch: Batch,
    refused: ReadonlySet<number>,
    outcome: OutcomeBuilder,
  ): Promise<void> {
    const { keys, node } = batch;
    const stored = [...Array(keys.count).keys()].filter((index) => !refused.has(index));
    const suspects = await inTurn(node, (target) => suspectIndexes(target, batch, stored));
    if (suspects.length === 0) return;
    const found = await lookAt(batch, suspects);
    outcome.moved -= found.different.length + found.refused.length;
    retryRefused(outcome, node, keys, found.refused, { state: 'may-be-stored' });
    outcome.fail(chosen(keys, found.different), {
      class: 'differs',
      message: `its copy at ${node.address} is not what the file has`,
    });
  }

  return { name: 'restore', move };
}

function valuesOf({ values }: Keys): Keys {
  if (!values) throw new ConnectionError('no values were brought along');
  return values;
}

/** What the values weighed, those at some indexes left out. */
function bytesOf(keys: Keys, without: ReadonlySet<number>): number {
  const { bytes, starts } = valuesOf(keys);
  let sum = 0;
  for (let index = 0; index < keys.count; index++) {
    if (without.has(index)) continue;
    const at = starts[index] as number;
    if (formOf(bytes, at) === forms.large) sum += largeOf(bytes, at).size;
    else sum += (starts[index + 1] as number) - keyStart(bytes, frameStart(at)) - 2;
  }
  return sum;
}

/** Which module a value is of, if it is of one. */
function ofModule(keys: Keys, index: number): string {
  const { bytes, starts } = valuesOf(keys);
  const at = starts[index] as number;
  if (typeOf(bytes, at) !== moduleType || formOf(bytes, at) !== forms.payload) return '';
  const from = keyStart(bytes, frameStart(at)) + 1;
  return `its type is ${moduleTypeAt(bytes, from, starts[index + 1] as number)}, of a module: `;
}

/* Writes the command that stores one key whose value was brought along. */

/** How many bytes may wait for a node before more is written, and when that goes on. */
const pauseAboveBytes = 8 * 1024 * 1024;
const resumeBelowBytes = 2 * 1024 * 1024;

const nothing = Buffer.alloc(0);
const { never } = commandFrames;

/** Values, and where they go. */
interface Cargo {
  readonly values: Keys;
  /** What each is to be called. */
  readonly names: Keys;
  readonly commands: StoreCommands;
  readonly asking: boolean;
  /** Whether the node takes hints of how much a key was used. */
  readonly takesHints: boolean;
}

/** Sends a value that is at hand. */
function sendHeld({ out }: Connection, cargo: Cargo, index: number): void {
  const { values, names, commands } = cargo;
  const { bytes } = values;
  const at = values.starts[index] as number;
  const valueEnd = values.starts[index + 1] as number;
  const deadlineMs = deadlineOf(bytes, at);
  if (cargo.asking) out.append(commandFrames.asking);
  const isValue = formOf(bytes, at) === forms.value;
  if (!isValue && (deadlineMs >= 0 || hintsFor(cargo, index).length > 0)) {
    openRestore(out, cargo, index, deadlineMs);
    out.copy(bytes, frameStart(at), valueEnd);
    endRestore(out, cargo, index, deadlineMs);
    return;
  }
  const { prefix, suffix } = !isValue
    ? commands.payload
    : commands[deadlineMs >= 0 ? 'expiringValue' : 'value'];
  const nameFrom = names.starts[index] as number;
  const nameEnd = names.starts[index + 1] as number;
  const between = isValue ? nothing : never;
  // prettier-ignore
  out.store(prefix, names.bytes, nameFrom, nameEnd, between, bytes, frameStart(at), valueEnd, suffix);
  if (deadlineMs >= 0) out.integerFrame(timeOf(deadlineMs, commands.valueDeadlines, commands));
}

/** Sends a value that has to be read again; nothing else may be written meanwhile. */
async function sendLarge(
  connection: Connection,
  cargo: Cargo,
  index: number,
  large: LargeValues,
): Promise<void> {
  const { out } = connection;
  const at = cargo.values.starts[index] as number;
  const { id, size } = largeOf(cargo.values.bytes, at);
  const deadlineMs = deadlineOf(cargo.values.bytes, at);
  if (cargo.asking) out.append(commandFrames.asking);
  openRestore(out, cargo, index, deadlineMs);
  out.append(Buffer.from(`$${String(size)}\r\n`, 'latin1'));
  for await (const piece of large.pieces(id)) {
    out.append(piece);
    await hasRoom(connection);
    if (connection.lost) return;
  }
  out.append(Buffer.from('\r\n'));
  endRestore(out, cargo, index, deadlineMs);
}

/** Waits while too much is unsent. */
function hasRoom({ out }: Connection): Promise<void> | undefined {
  if (out.unsentBytes <= pauseAboveBytes) return undefined;
  return new Promise((go) => {
    out.whenBelow(resumeBelowBytes, go);
  });
}

function openRestore(
  out: Connection['out'],
  cargo: Cargo,
  index: number,
  deadlineMs: number,
): void {
  const { commands, names } = cargo;
  const { prefix } = deadlineMs >= 0 ? commands.expiringPayload : commands.payload;
  out.append(hintsFor(cargo, index).length > 0 ? withTwoMore(prefix) : prefix);
  out.copy(names.bytes, names.starts[index] as number, names.starts[index + 1] as number);
  if (deadlineMs >= 0) out.integerFrame(timeOf(deadlineMs, commands.payloadDeadlines, commands));
  else out.append(never);
}

function endRestore(out: Connection['out'], cargo: Cargo, index: number, deadlineMs: number): void {
  const { commands } = cargo;
  const { suffix } = deadlineMs >= 0 ? commands.expiringPayload : commands.payload;
  if (suffix.length > 0) out.append(suffix);
  for (const word of hintsFor(cargo, index)) out.append(frame(Buffer.from(String(word))));
}

function hintsFor({ takesHints, values }: Cargo, index: number): ReturnType<typeof hintsOf> {
  return takesHints ? hintsOf(values.bytes, values.starts[index] as number) : [];
}

/** The head of the same command with two arguments more. */
function withTwoMore(prefix: Buffer): Buffer {
  const lineEnd = keyStart(prefix, 0) - 2;
  const count = Number(prefix.toString('latin1', 1, lineEnd)) + 2;
  return Buffer.concat([Buffer.from(`*${String(count)}`), prefix.subarray(lineEnd)]);
}

function timeOf(deadlineMs: number, isAbsolute: boolean, { skewMs }: StoreCommands): number {
  return isAbsolute ? deadlineMs + skewMs : Math.max(1, deadlineMs - Date.now());
}

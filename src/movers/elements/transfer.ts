/**
 * Takes one key to its node element by element: put together under a temporary name, given its
 * deadline there, and renamed once it is whole.
 */
import { RefusedError } from '../../errors.js';
import type { Connection } from '../../redis/connection.js';
import { type Reply, textOf } from '../../redis/reply.js';
import type { FailureClass } from '../../types.js';
import { clockOf, latestDeadlineMs } from '../relay/deadlines.js';
import { copyHash, copyList, copySet, copySortedSet, copyStream, copyString } from './copiers.js';
import { type Abilities, type Copier, Temporary, Writer } from './writer.js';
import { askReply, SliceSize } from './reading.js';

export interface Transfer {
  readonly source: Connection;
  readonly node: Connection;
  readonly key: Buffer;
  /** What it is called in the cluster, and until it is whole. */
  readonly name: Buffer;
  readonly temporary: Buffer;
  readonly overwrite: boolean;
  readonly asking: boolean;
  readonly abilities: Abilities;
  /** What must be known of the copy afterwards. */
  readonly trace: Trace;
}

/**
 * `payload`: what was stored, as a payload, where that is not large. A connection: the name is watched over
 * it from the moment on at which the copy stands there, and nobody else uses it.
 */
export type Trace = 'none' | 'payload' | Connection;

export type Transferred =
  | {
      readonly kind: 'stored';
      readonly bytes: number;
      readonly deadlineMs: number;
      readonly payload?: Buffer | undefined;
    }
  | { readonly kind: 'absent' }
  /** It was not sent, because it has to go by itself. */
  | { readonly kind: 'oversized' }
  /** The node has the key, and it may not be overwritten. */
  | { readonly kind: 'exists' }
  | { readonly kind: 'refused'; readonly by: 'source' | 'node'; readonly text: string }
  /** There is no way for it in this form. */
  | { readonly kind: 'unmovable'; readonly why: string; readonly class: FailureClass }
  | { readonly kind: 'lost'; readonly error: Error };

/** Each type as TYPE names it. */
const copiers: Readonly<Record<string, Copier>> = {
  string: copyString,
  list: copyList,
  set: copySet,
  zset: copySortedSet,
  hash: copyHash,
  stream: copyStream,
};

/** In the servers' words, so that it goes round again like what they refuse for the moment. */
const vanished = 'TRYAGAIN its temporary key vanished before it was whole';
const malformed = 'ERR a malformed reply to RENAME';
/** Of larger values no payload is asked for: a server puts it together while everybody waits. */
const largestTraceBytes = 1024 * 1024;

/** @throws ConnectionError when the source is lost. */
export async function transfer(work: Transfer): Promise<Transferred> {
  const { source, node, key } = work;
  const writer = new Writer(node, work.asking, work.abilities.largestBytes);
  const temporary = new Temporary(writer, work.temporary);
  try {
    const clock = clockOf(source);
    const askedMs = Date.now();
    const [type, ttlMs, time] = await Promise.all([
      askReply(source, ['TYPE', key]),
      askReply(source, ['PTTL', key]),
      clock.isRefused ? undefined : source.call('TIME'),
    ]);
    const givenMs = clock.answeredMs(time, askedMs) ?? Date.now();
    if (type === 'none') return { kind: 'absent' };
    const deadlineMs = Number(ttlMs) >= 0 ? Math.min(givenMs + Number(ttlMs), latestDeadlineMs) : 0;
    const copier = copiers[textOf(type)];
    if (!copier) return foreign(`its type is ${textOf(type)}`);
    const { obstacle, bytes } = await copy(work, copier, writer, temporary);
    if (obstacle !== undefined) {
      await temporary.discard();
      return foreign(obstacle);
    }
    const keeps = work.trace === 'payload' && bytes <= largestTraceBytes && !work.asking;
    const payload = keeps ? await writer.ask('DUMP', temporary.name) : undefined;
    const result = await finish(work, writer, temporary, deadlineMs);
    if (result !== 'renamed') await temporary.discard();
    if (result === 'vanished') return { kind: 'refused', by: 'node', text: vanished };
    if (result === 'malformed') return { kind: 'refused', by: 'node', text: malformed };
    if (result === 'exists') return { kind: 'exists' };
    return {
      kind: 'stored',
      bytes,
      deadlineMs,
      payload: Buffer.isBuffer(payload) ? payload : undefined,
    };
  } catch (error) {
    if (node.lost) return { kind: 'lost', error: node.lost };
    await temporary.discard();
    if (!(error instanceof RefusedError)) throw error;
    const { refused, tooLongBytes } = writer;
    if (tooLongBytes !== undefined) {
      const most = String(work.abilities.largestBytes);
      const why = `a part of it has ${String(tooLongBytes)} bytes, and ${node.address} takes ${most} at most (proto-max-bulk-len)`;
      return { kind: 'unmovable', class: 'too-large', why };
    }
    if (refused === undefined) return { kind: 'refused', by: 'source', text: error.reply };
    // The words go on with the command's arguments, which nobody may see.
    const unknown = /^ERR unknown command \W?(\w+)/.exec(refused)?.[1];
    return unknown === undefined
      ? { kind: 'refused', by: 'node', text: refused }
      : foreign(`${node.address} has no command ${unknown}`);
  }
}

/** The node has no such thing. */
function foreign(why: string): Transferred {
  return { kind: 'unmovable', class: 'version', why };
}

async function copy(
  { source, key, abilities }: Transfer,
  copier: Copier,
  writer: Writer,
  temporary: Temporary,
): Promise<{ obstacle: string | undefined; bytes: number }> {
  const slice = new SliceSize();
  let total = 0;
  const obstacle = await copier({
    source,
    key,
    writer,
    temporary: temporary.name,
    abilities,
    slice,
    async sent(elements, bytes) {
      total += bytes;
      slice.note(elements, bytes);
      temporary.renew();
      await writer.room();
    },
  });
  return { obstacle, bytes: total };
}

/** All that is left when the value is whole, at one stroke. */
async function finish(
  { name, overwrite, asking, abilities, trace }: Transfer,
  building: Writer,
  temporary: Temporary,
  deadlineMs: number,
): Promise<'renamed' | 'exists' | 'vanished' | 'malformed'> {
  const whole = await temporary.isWhole();
  await building.settled();
  if (!whole) return 'vanished';
  const watcher = typeof trace === 'string' || asking ? undefined : trace;
  const writer = watcher ? new Writer(watcher, asking, abilities.largestBytes) : building;
  // In a transaction each command would need an ASKING, which no transaction takes.
  if (!asking) writer.send(['MULTI']);
  if (deadlineMs === 0) writer.send(['PERSIST', temporary.name]);
  else writer.send(['PEXPIREAT', temporary.name, deadlineMs + abilities.nodeSkewMs]);
  // RENAME frees what it replaces while everybody waits.
  const unlinks = overwrite && abilities.unlinks && !asking;
  if (unlinks) writer.send(['UNLINK', name]);
  const renaming = writer.ask(overwrite ? 'RENAME' : 'RENAMENX', temporary.name, name);
  const executing = asking ? renaming : writer.ask('EXEC');
  // A server works off what came in together before it turns to others, so nothing gets in between.
  if (watcher) writer.send(['WATCH', name]);
  const [answer] = await Promise.all([executing, renaming]);
  try {
    await writer.settled();
  } catch (error) {
    // A deadline that has passed took it away.
    if (writer.refused?.includes('no such key') === true) return 'vanished';
    throw error;
  }
  const last = asking ? answer : lastOf(answer, unlinks ? 3 : 2);
  if (!overwrite && last === 0) return 'exists';
  return last === (overwrite ? 'OK' : 1) ? 'renamed' : 'malformed';
}

/** The last answer of a transaction of so many commands. */
function lastOf(answer: Reply, commands: number): Reply | undefined {
  return Array.isArray(answer) && answer.length === commands ? answer.at(-1) : undefined;
}

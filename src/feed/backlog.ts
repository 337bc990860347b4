/**
 * A backlog at a source that has none: what a replica goes on from, which a server makes only when the first
 * replica asks for a full copy. The copy itself is not wanted, nor the fork that it takes. So this asks for
 * one, and hangs up: the backlog is made at once (syncCommand in Redis' replication.c), and with
 * repl-diskless-sync the copy is begun only repl-diskless-sync-delay later (replicationCron), for those who
 * still wait then.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ConnectionError, PreflightError, RefusedError } from '../errors.js';
import { addressOf } from '../redis/endpoint.js';
import { textOf } from '../redis/reply.js';
import { openReplicaLink } from './replica-link.js';
import {
  ask,
  readStreamState,
  type SourceConnection,
  type StreamState,
} from './source-commands.js';

const lookEveryMs = 5;

/**
 * Makes the backlog; it stays for repl-backlog-ttl (an hour, by default) after the last replica has left.
 * @param psyncName what PSYNC is called there.
 * @throws PreflightError where it would take a fork, with what to set; ConnectionError, RefusedError.
 */
export async function makeBacklog(
  source: SourceConnection,
  state: StreamState,
  psyncName: string,
): Promise<void> {
  if (await needsDiskless(source, state)) {
    await setDiskless(source, 'yes');
    try {
      await askAndHangUp(source, state, psyncName);
    } finally {
      await setDiskless(source, 'no');
    }
  } else {
    await askAndHangUp(source, state, psyncName);
  }
}

/**
 * Whether repl-diskless-sync has to be switched on for a moment.
 * @throws PreflightError where that is not enough, or where it is not known.
 */
async function needsDiskless(source: SourceConnection, state: StreamState): Promise<boolean> {
  const address = addressOf(source.endpoint);
  const settings = await readSettings(source);
  if (!settings) {
    // From 7.0 on it is on by default, as is the delay.
    if (state.versionNumber >= 70000) return false;
    throw new PreflightError(
      `${address} keeps no replication backlog, and making one without a fork takes repl-diskless-sync, which can't be looked at there: allow CONFIG GET and CONFIG SET, or set repl-diskless-sync to yes and let a replica follow it for a moment.`,
    );
  }
  if (settings.get('repl-diskless-sync-delay') === '0') {
    throw new PreflightError(
      `${address} keeps no replication backlog, and would fork at once to make one: set repl-diskless-sync-delay to 5 there.`,
    );
  }
  if ((settings.get('repl-diskless-sync-max-replicas') ?? '0') !== '0') {
    throw new PreflightError(
      `${address} keeps no replication backlog, and would fork at once to make one: set repl-diskless-sync-max-replicas to 0 there.`,
    );
  }
  const diskless = settings.get('repl-diskless-sync');
  if (diskless === undefined) {
    throw new PreflightError(
      `${address} keeps no replication backlog, and is too old to make one without a fork (Redis ${state.version} has no repl-diskless-sync): let a replica follow it.`,
    );
  }
  return diskless !== 'yes';
}

/** @returns undefined where they may not be read. */
async function readSettings(
  source: SourceConnection,
): Promise<ReadonlyMap<string, string> | undefined> {
  try {
    const reply = await ask(source, 'CONFIG', 'GET', 'repl-diskless-sync*');
    const words = Array.isArray(reply) ? reply.map(textOf) : [];
    const settings = new Map<string, string>();
    for (let at = 0; at + 1 < words.length; at += 2)
      settings.set(words[at] ?? '', words[at + 1] ?? '');
    return settings;
  } catch (error) {
    if (error instanceof RefusedError) return undefined;
    throw error;
  }
}

async function setDiskless(source: SourceConnection, value: 'yes' | 'no'): Promise<void> {
  try {
    await ask(source, 'CONFIG', 'SET', 'repl-diskless-sync', value);
  } catch (error) {
    if (value === 'no' || !(error instanceof RefusedError)) throw error;
    throw new PreflightError(
      `${addressOf(source.endpoint)} keeps no replication backlog, and making one without a fork takes repl-diskless-sync, which can't be set there: set it to yes yourself, or allow CONFIG SET.`,
      { cause: error },
    );
  }
}

async function askAndHangUp(
  source: SourceConnection,
  before: StreamState,
  psyncName: string,
): Promise<void> {
  const link = await openReplicaLink(source.endpoint, source.timeoutMs);
  try {
    const refused = new Promise<never>((_, reject) => {
      link.goOn(psyncName, '?', -1).catch(reject);
    });
    const made = until(
      source,
      'make a replication backlog',
      ({ backlog }) => backlog !== undefined,
    );
    await Promise.race([made, refused]);
  } finally {
    link.close();
  }
  // Gone for certain: with repl-diskless-sync off again, a copy for somebody who waits would begin at once.
  await until(source, 'let go of a link', ({ replicas }) => !(replicas > before.replicas));
}

async function until(
  source: SourceConnection,
  what: string,
  holds: (state: StreamState) => boolean,
): Promise<void> {
  const deadlineMs = performance.now() + source.timeoutMs;
  while (!holds(await readStreamState(source))) {
    if (performance.now() > deadlineMs) {
      const address = addressOf(source.endpoint);
      throw new ConnectionError(`${address} did not ${what} within ${String(source.timeoutMs)} ms`);
    }
    await sleep(lookEveryMs);
  }
}

/**
 * Clients of an application that is switched over while its keys move: they work on a key at the
 * source or in the cluster, whichever has it, and never make it anew (client-ledger.ts).
 *
 * Each write stands in a script that reads the key first, and does nothing when it is not there.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../support/random.js';
import { KeyLedger, type Style } from './client-ledger.js';
import { Connection, isRefusal } from './connection.js';
import { readValue, valueText } from './inventory.js';
import type { Server } from '../support/servers.js';
import { createRouter, isRedirection } from './router.js';
import type { Servers } from './servers.js';
import {
  addMembers,
  append,
  decrease,
  fieldsOf,
  increase,
  itemsOf,
  type Kind,
  kinds,
  pop,
  push,
  removeField,
  removeMember,
  setFields,
  setTo,
  type Write,
} from './state.js';
import { acknowledge, addEntry, handOut, makeGroup, streamOf, undelivered } from './stream.js';

export interface Clients {
  readonly ledgers: readonly KeyLedger[];
  readonly counts: { acknowledged: number; inCluster: number; doubtful: number };
  /** Makes the keys at the source. */
  fill(): Promise<void>;
  start(): void;
  /** Ends after the writes under way. */
  stop(): Promise<void>;
}

export interface ClientsOptions {
  readonly keys: number;
  readonly styles: readonly Style[];
  /** Lists run empty in the cluster while the source still has them, too. */
  readonly mayEmptyCopies: boolean;
}

/** As many keys are worked on at the same time. */
const laneCount = 6;
/** What a client does between two commands. */
const longestThoughtMs = 20;
/** How long a node may take to pass a write on to its replica. */
const replicaTimeoutMs = 500;

type Answer =
  | { readonly kind: 'done'; readonly before: string; readonly isDurable: boolean }
  | { readonly kind: 'absent' }
  /** The server did nothing, or could not be reached. */
  | { readonly kind: 'refused' }
  /** The write was carried out, or it was not. */
  | { readonly kind: 'unanswered' };

export function createClients(servers: Servers, random: Random, options: ClientsOptions): Clients {
  const ledgers: KeyLedger[] = [];
  const counts = { acknowledged: 0, inCluster: 0, doubtful: 0 };
  const sources = servers.sources.map(({ host, port }) => new Connection(host, port));
  const homeOf = new Map<KeyLedger, Connection>();
  const router = createRouter(servers.cluster.nodes, random);
  const newWrites = createWrites(random);
  const needsReplicas = servers.durability === 'replicas';
  let stopping = false;
  let running: Promise<unknown> | undefined;

  async function fill(): Promise<void> {
    await Promise.all(
      Array.from({ length: options.keys }, async (_, at) => {
        // Each source has its own keys.
        const home = at % sources.length;
        const { client } = servers.sources[home] as Server;
        const kind = random.pick(kinds);
        const style = random.pick(options.styles);
        const key = `${kind}:client:${String(at)}`;
        const writes = newWrites.first(kind, key);
        let value: string | undefined;
        for (const write of writes) {
          const [name, ...args] = write.words;
          void client.call(name, ...args);
          const now = { sentMs: Date.now(), heardMs: Date.now() };
          const before = value === undefined ? undefined : { value, deadline: undefined };
          value = write.leaves(before, now)?.value;
        }
        const keepsLast = style !== 'source-first' && !options.mayEmptyCopies;
        const ledger = new KeyLedger(key, style, value ?? '', keepsLast);
        ledgers.push(ledger);
        homeOf.set(ledger, sources[home] as Connection);
        await client.ping();
      }),
    );
  }

  async function work(lane: number): Promise<void> {
    const own = ledgers.filter((_, at) => at % laneCount === lane);
    while (!stopping && own.length > 0) {
      const ledger = random.pick(own);
      await (worksInCluster(ledger) ? workInCluster(ledger) : workAtSource(ledger));
      const isDone = ledger.isEmptied || ledger.faults.length > 0;
      if (isDone) own.splice(own.indexOf(ledger), 1);
      await sleep(random.int(longestThoughtMs));
    }
  }

  async function workAtSource(ledger: KeyLedger): Promise<void> {
    const [known] = ledger.source;
    const write = known === undefined ? undefined : newWrites.next(ledger, known);
    const answer = await run(homeOf.get(ledger) as Connection, ledger, write);
    if (answer.kind === 'absent') ledger.absentAtSource();
    if (!write) return;
    count(answer);
    if (answer.kind === 'done') ledger.wroteAtSource(answer.before, write);
    if (answer.kind === 'unanswered') ledger.unansweredAtSource(write);
  }

  async function workInCluster(ledger: KeyLedger): Promise<void> {
    const known = ledger.cluster?.find((value) => value !== undefined);
    // What is not known yet is read before it is written: a list may be shorter than it seems.
    const write =
      known !== undefined && !ledger.isDoubtful ? newWrites.next(ledger, known) : undefined;
    const answer = await runInCluster(ledger, write);
    if (answer.kind === 'absent') {
      const mayBe = ledger.absentInCluster();
      if (mayBe && ledger.style === 'cluster-first' && !ledger.cluster) await workAtSource(ledger);
    }
    if (answer.kind === 'done' && !write) ledger.readInCluster(answer.before, !needsReplicas);
    if (!write) return;
    count(answer);
    if (answer.kind === 'done') {
      counts.inCluster++;
      ledger.wroteInCluster(answer.before, write, answer.isDurable);
    }
    if (answer.kind === 'unanswered') ledger.unansweredInCluster(write);
  }

  function count({ kind }: Answer): void {
    if (kind === 'done') counts.acknowledged++;
    if (kind === 'unanswered') counts.doubtful++;
  }

  async function runInCluster(ledger: KeyLedger, write: Write | undefined): Promise<Answer> {
    const answer = await router.run<Answer>(ledger.key, {
      at: (connection, how) => run(connection, ledger, write, how),
      isAnswer: ({ kind }) => kind === 'done' || kind === 'absent',
    });
    return answer ?? { kind: 'refused' };
  }

  /** @param how in the cluster: rejects with a redirection. */
  async function run(
    connection: Connection,
    ledger: KeyLedger,
    write: Write | undefined,
    how?: { readonly isAsking: boolean },
  ): Promise<Answer> {
    let isSent = false;
    try {
      const client = await connection.open();
      isSent = true;
      const words = write?.words ?? [];
      if (how?.isAsking) client.call('ASKING').catch(() => undefined);
      const call = client.call('EVAL', scriptOf(ledger.kind, words), 1, ledger.key, ...words);
      // Sent at once with the script, so that no other client's command comes between.
      const waitsFor = how && write && needsReplicas ? 1 : 0;
      const waiting = waitsFor > 0 ? client.wait(1, replicaTimeoutMs).catch(() => 0) : undefined;
      const answer = (await call) as [unknown] | null;
      const isDurable = waiting === undefined || (await waiting) >= waitsFor;
      if (!answer) return { kind: 'absent' };
      return { kind: 'done', before: valueText(ledger.kind, answer[0]), isDurable };
    } catch (error) {
      if (!isRefusal(error)) return { kind: isSent && write ? 'unanswered' : 'refused' };
      if (how && isRedirection(error)) throw error;
      return { kind: 'refused' };
    }
  }

  return {
    ledgers,
    counts,
    fill,
    start() {
      running = Promise.all(Array.from({ length: laneCount }, (_, lane) => work(lane)));
    },
    async stop() {
      stopping = true;
      await running;
      for (const source of sources) source.close();
      router.close();
    },
  };
}

function worksInCluster({ hasLeft, style, cluster }: KeyLedger): boolean {
  return hasLeft || style !== 'source-first' || cluster !== undefined;
}

function scriptOf(kind: Kind, words: readonly unknown[]): string {
  return `if redis.call('EXISTS', KEYS[1]) == 0 then return false end
    ${readValue[kind]}
    ${words.length > 0 ? 'redis.call(unpack(ARGV))' : ''}
    return {value}`;
}

/** As many jobs and entries a key may have had when no more are added to it. */
const enough = 60;

interface Writes {
  /** What makes a key. */
  first(kind: Kind, key: string): readonly Write[];
  /** A write to a key that holds this; undefined: there is nothing to do. */
  next(ledger: KeyLedger, value: string): Write | undefined;
}

function createWrites(random: Random): Writes {
  let tokens = 0;
  const newToken = (): string => `t${String(++tokens)}`;
  const some = (count: number): string[] => Array.from({ length: count }, newToken);

  function first(kind: Kind, key: string): readonly Write[] {
    const count = 2 + random.int(30);
    switch (kind) {
      case 'counter':
        return [setTo(key, String(random.int(4)))];
      case 'text':
        return [append(key, newToken())];
      case 'hash':
        return [setFields(key, ...some(3).map((one, at): [string, string] => [String(at), one]))];
      case 'list':
        return [push(key, ...some(count))];
      case 'set':
        return [addMembers(key, ...some(5))];
      case 'stream':
        return [
          ...some(count).map((token) => addEntry(key, ++tokens, token)),
          makeGroup(key),
          ...(random.oneIn(2) ? [handOut(key)] : []),
        ];
    }
  }

  function next({ key, kind, keepsLast }: KeyLedger, value: string): Write | undefined {
    switch (kind) {
      case 'counter':
        return Number(value) > 0 && random.oneIn(2) ? decrease(key) : increase(key);
      case 'text':
        return value.length > 300 ? setTo(key, newToken()) : append(key, newToken());
      case 'hash': {
        const fields = fieldsOf(value);
        if (fields.length > 1 && random.oneIn(3)) return removeField(key, random.pick(fields)[0]);
        return setFields(key, [String(random.int(6)), newToken()]);
      }
      case 'list': {
        const isLong = itemsOf(value).length > enough / 2;
        if (!isLong && random.oneIn(8)) return push(key, newToken());
        return keepsLast && itemsOf(value).length < 3 ? push(key, newToken()) : pop(key);
      }
      case 'set': {
        const members = itemsOf(value);
        if (members.length > 1 && random.oneIn(2)) return removeMember(key, random.pick(members));
        return addMembers(key, newToken());
      }
      case 'stream': {
        const stream = streamOf(value);
        const pending = stream.group?.pending ?? [];
        if (pending.length > 0 && !random.oneIn(3)) {
          return acknowledge(key, Number(random.pick(pending).split('-', 1)[0]));
        }
        const isRead = undelivered(stream).length === 0;
        if (stream.entries.length < enough && (isRead || random.oneIn(4))) {
          return addEntry(key, ++tokens, newToken());
        }
        return isRead ? undefined : handOut(key);
      }
    }
  }

  return { first, next };
}

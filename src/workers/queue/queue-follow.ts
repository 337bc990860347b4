/**
 * A job that follows, at both ends of the queue: the coordinator, which may be started again, and the worker, which may
 * be another one. Each attempt asks the coordinator that is there how the job goes on.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { unlessAborted } from '../../async.js';
import type { Endpoint } from '../../redis/endpoint.js';
import { reopenedControl } from '../../redis/control.js';
import type { Said } from '../dialogue.js';
import type { SourceJob } from '../source-job.js';
import { keyPrefix } from './bullmq.js';

export interface LeadLine {
  /** By which an attempt knows the coordinator that it has met. */
  readonly session: string;
  say(said: Said): void;
  close(): Promise<void>;
}

/**
 * @param begins is told of each attempt. @returns how it goes on; undefined: it is to end.
 * @param hear is told what the present attempt says.
 * @param renewed is told that the queue's Redis has lost some of that: with the new session the job begins anew.
 */
export function openLeadLine(
  endpoint: Endpoint,
  id: string,
  timeoutMs: number,
  {
    begins,
    hear,
    renewed,
  }: {
    readonly begins: () => Promise<JobSoFar | undefined>;
    readonly hear: (said: Said) => void;
    readonly renewed: (session: string) => void;
  },
): LeadLine {
  let session = randomUUID();
  let present: { readonly token: string; readonly writer: StreamWriter } | undefined;
  let reader = read();

  function read(): StreamReader {
    return readStream(
      endpoint,
      saidStreamOf(id, session),
      timeoutMs,
      (heard) => {
        hearMessage(heard as ToLead);
      },
      () => {
        void reader.close();
        session = randomUUID();
        reader = read();
        renewed(session);
      },
    );
  }

  function hearMessage(message: ToLead): void {
    const { token } = message;
    if ('said' in message) {
      if (token === present?.token) hear(message.said);
      return;
    }
    present?.writer.close();
    const writer = streamWriter(endpoint, saidStreamOf(id, token), timeoutMs);
    present = { token, writer };
    void begins().then((soFar) => {
      if (soFar) writer.write({ welcome: soFar });
    });
  }

  return {
    get session() {
      return session;
    },
    say(said) {
      present?.writer.write({ said });
    },
    async close() {
      await present?.writer.remove();
      await reader.close();
    },
  };
}

export interface FollowingLine {
  readonly soFar: JobSoFar;
  say(said: Said): void;
  /** From now on, and what has been said since the welcome. */
  onSaid(hear: (said: Said) => void): void;
  close(): Promise<void>;
}

/**
 * Waits until the coordinator has said how the job goes on.
 * @param broken is called when the queue's Redis has lost what was said.
 * @throws the signal's reason.
 */
export async function meetLead(
  endpoint: Endpoint,
  { id, token, session }: { readonly id: string; readonly token: string; readonly session: string },
  timeoutMs: number,
  signal: AbortSignal,
  broken: () => void,
): Promise<FollowingLine> {
  const writer = streamWriter(endpoint, saidStreamOf(id, session), timeoutMs);
  const early: Said[] = [];
  let hear = (said: Said): void => void early.push(said);
  let welcome: (soFar: JobSoFar) => void = () => undefined;
  const welcomed = new Promise<JobSoFar>((resolve) => (welcome = resolve));
  const reader = readStream(
    endpoint,
    saidStreamOf(id, token),
    timeoutMs,
    (heard) => {
      const message = heard as ToFollowing;
      if ('welcome' in message) welcome(message.welcome);
      else hear(message.said);
    },
    broken,
  );
  const close = async (): Promise<void> => {
    writer.close();
    await reader.close();
  };
  writer.write({ token });
  try {
    const soFar = await unlessAborted(welcomed, signal);
    return {
      soFar,
      say(said) {
        writer.write({ token, said });
      },
      onSaid(listener) {
        hear = listener;
        for (const said of early.splice(0)) listener(said);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/*
 * What the coordinator and a process that follows say to each other, by way of the queue's Redis: in order, none lost,
 * and none twice, also where connections to it are. A stream for each direction has one reader, who takes out what has
 * been read.
 *
 * A process writes to the stream of the run's present coordinator (its session), and reads the one of its own attempt
 * (its token): what was meant for an earlier one of either is read by nobody.
 */

/** How a job goes on that another attempt had begun. */
export type JobSoFar = Pick<SourceJob, 'follow' | 'before'>;

export type ToLead =
  /** An attempt has begun. */
  { readonly token: string } | { readonly token: string; readonly said: Said };
type ToFollowing = { readonly welcome: JobSoFar } | { readonly said: Said };

/** @param reader the coordinator's session, or the token of an attempt. */
const saidStreamOf = (id: string, reader: string): string => `${keyPrefix}:said:${id}:${reader}`;

/** What nobody reads is kept so far. */
const mostEntries = 10_000;
const againAfterMs = 100;
const waitMs = 500;
const readAtOnce = 500;

export interface StreamWriter {
  write(message: ToLead | ToFollowing): void;
  close(): void;
  /** Takes the stream away, since nobody reads it any more. */
  remove(): Promise<void>;
}

export function streamWriter(endpoint: Endpoint, key: string, timeoutMs: number): StreamWriter {
  const control = reopenedControl(endpoint, { side: 'queue', timeoutMs });
  let unsent: (ToLead | ToFollowing)[] = [];
  const from = randomUUID();
  let written = 0;
  let isWriting = false;
  let isClosed = false;
  let writing = Promise.resolve();

  /** Whatever has come while one entry was written is the next one: rounds end many times a second. */
  async function write(): Promise<void> {
    isWriting = true;
    for (let place = written; unsent.length > 0 && !isClosed; place++) {
      const text = JSON.stringify(unsent);
      unsent = [];
      await append('from', from, 'place', place, 'text', text);
      written = place + 1;
    }
    isWriting = false;
  }

  async function append(...fields: readonly (string | number)[]): Promise<void> {
    while (!isClosed) {
      try {
        await control.call('XADD', key, 'MAXLEN', '~', mostEntries, '*', ...fields);
        return;
      } catch {
        // It may have been written: then it is written twice, under one number.
        await delay(againAfterMs);
      }
    }
  }

  return {
    write(message) {
      unsent.push(message);
      if (!isWriting) writing = write();
    },
    close() {
      isClosed = true;
      control.close();
    },
    async remove() {
      isClosed = true;
      await writing;
      await control.call('DEL', key).catch(() => undefined);
      control.close();
    },
  };
}

export interface StreamReader {
  /** Ends the reading, and takes the stream away. */
  close(): Promise<void>;
}

/** @param broken is called once when something is missing: the queue's Redis has lost it. */
export function readStream(
  endpoint: Endpoint,
  key: string,
  timeoutMs: number,
  hear: (message: unknown) => void,
  broken: () => void,
): StreamReader {
  const reading = reopenedControl(endpoint, { side: 'queue', timeoutMs });
  const removing = reopenedControl(endpoint, { side: 'queue', timeoutMs });
  let last = '0-0';
  /** How many of each writer's were heard. */
  const heard = new Map<string, number>();
  const closed = new AbortController();
  /** Entries that have been read, and not been taken out yet. */
  let unremoved: string[] = [];
  let isRemoving = false;

  /** What could not be taken out is tried again with the next ones. */
  async function removeRead(): Promise<void> {
    if (isRemoving || unremoved.length === 0) return;
    isRemoving = true;
    const ids = unremoved;
    unremoved = [];
    try {
      await removing.call('XDEL', key, ...ids);
    } catch {
      unremoved = [...ids, ...unremoved];
    }
    isRemoving = false;
  }

  async function read(): Promise<void> {
    while (!closed.signal.aborted) {
      try {
        const reply = await reading.call(
          ...(['XREAD', 'COUNT', readAtOnce, 'BLOCK', waitMs, 'STREAMS', key, last] as const),
        );
        const entries = entriesOf(reply);
        for (const { id, from, at, text } of entries) {
          last = id;
          unremoved.push(id);
          const place = heard.get(from) ?? 0;
          if (at < place) continue;
          if (at > place) {
            broken();
            return;
          }
          heard.set(from, place + 1);
          for (const message of JSON.parse(text) as readonly unknown[]) hear(message);
        }
        void removeRead();
      } catch {
        // It is away, or not ready yet: what was written there is still to be read.
        await delay(againAfterMs);
      }
    }
  }

  void read();
  return {
    async close() {
      closed.abort();
      reading.close();
      await removing.call('DEL', key).catch(() => undefined);
      removing.close();
    },
  };
}

interface Entry {
  readonly id: string;
  readonly from: string;
  readonly at: number;
  readonly text: string;
}

/** `[[key, [[id, ['from', …, 'place', …, 'text', …]], …]]]`, or null when nothing has come. */
function entriesOf(reply: unknown): Entry[] {
  const [stream] = (reply ?? []) as [string, [string, string[]][]][];
  return (stream?.[1] ?? []).map(([id, [, from, , at, , text]]) => ({
    id,
    from: from ?? '',
    at: Number(at),
    text: text ?? '',
  }));
}

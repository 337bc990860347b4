/**
 * A job that follows, at both ends of the queue: the coordinator, which may be started again, and the worker, which may
 * be another one. Each attempt asks the coordinator that is there how the job goes on.
 */
import { randomUUID } from 'node:crypto';
import { unlessAborted } from '../../async.js';
import type { Endpoint } from '../../redis/endpoint.js';
import type { Said } from '../dialogue.js';
import {
  type JobSoFar,
  readStream,
  saidStreamOf,
  type StreamReader,
  streamWriter,
  type StreamWriter,
  type ToFollowing,
  type ToLead,
} from './said-stream.js';

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

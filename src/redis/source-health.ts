/**
 * Whether the source takes commands now.
 *
 * A server may refuse commands whatever their keys: somebody's script runs (BUSY), it loads its data, it
 * has too few replicas (NOREPLICAS), it can't save (MISCONF), it was demoted (READONLY), its memory is
 * full (OOM). That is no fault of the keys that were under way: they wait, nothing new is begun, and a
 * command that changes nothing is tried until the source takes it, for as long as `--retry-for` says.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { within } from '../async.js';
import { ConnectionError, SourceError, StoppedError } from '../errors.js';
import type { Connection } from './connection.js';
import type { Link } from './pool.js';
import { ErrorReply } from './reply.js';

const firstDelayMs = 50;
const longestDelayMs = 2000;
/** Servers of a cluster own some slots each: so many names are tried to find one of their own. */
const namesAtMost = 5000;
/** One that owns none any more, because another has taken over, would be asked for minutes over a long way. */
const triesForMs = 3000;

/** Where EXEC or a script passes another command's error on, it stands in the middle. */
const refusals = /(?:^|[\s-])((?:BUSY|LOADING|MASTERDOWN|NOREPLICAS|MISCONF|READONLY|OOM) .*)/;

/**
 * The words by which a server refuses a command whatever its keys; undefined: it is something else.
 * @param text an error reply of the source.
 */
export function refusalIn(text: string): string | undefined {
  // MIGRATE passes on what its target said.
  if (text.includes('Target instance replied')) return undefined;
  return refusals.exec(text)?.[1]?.trim();
}

/** A command that changes nothing, and that is refused whenever what the run needs is. */
export type TrialWords = (name: string) => readonly [string, ...(string | number)[]];

/** The command of a run that deletes keys, or has the source send them, or only reads. */
export function trialWords(need: 'UNLINK' | 'DEL' | 'MIGRATE' | 'EXISTS'): TrialWords {
  // NOKEY is answered before anything is connected to.
  if (need === 'MIGRATE') return (name) => ['MIGRATE', '127.0.0.1', 1, name, 0, 1];
  return (name) => [need, name];
}

/**
 * Tries a command on a key that does not exist. Servers look at their state before they look at the key,
 * and ahead of that at the key's slot (processCommand in Redis' server.c).
 * @param send gives the error that the command met, or undefined.
 */
export async function tryOut(
  words: TrialWords,
  name: () => string,
  send: (words: ReturnType<TrialWords>) => Promise<string | undefined>,
): Promise<string | undefined> {
  const untilMs = performance.now() + triesForMs;
  for (let tries = 1; ; tries++) {
    const error = await send(words(name()));
    const isElsewhere = error !== undefined && /^(MOVED|ASK) /.test(error);
    if (!isElsewhere || tries === namesAtMost || performance.now() > untilMs) return error;
  }
}

export interface SourceHealth {
  /**
   * Waits as long as the source refuses commands.
   * @throws SourceError when that has taken too long, StoppedError when the signal came meanwhile.
   */
  ready(): Promise<void>;
  /** It refused a command with these words, which `refusalIn` gave. */
  refused(words: string): void;
  /** It did what it was asked for. */
  accepted(): void;
  /** From now on this signal ends all waiting. */
  heed(signal: AbortSignal): void;
}

export interface HealthOptions {
  /** The source, as errors name it. */
  readonly name: string;
  readonly trial: TrialWords;
  /** Of keys that may be used, and do not exist: another one each time. */
  readonly trialName: () => string;
  readonly retryForMs: number;
  readonly logger: {
    warn(fields: { readonly answer: string }, sentence: string): void;
    info(fields: object, sentence: string): void;
  };
}

export function createSourceHealth(
  link: Pick<Link, 'open' | 'renew'>,
  { name, trial, trialName, retryForMs, logger }: HealthOptions,
): SourceHealth {
  /** What it answered last; undefined: it takes commands, as far as is known. */
  let refusal: string | undefined;
  /** Nothing has succeeded since it refused; that a trial did is not enough. */
  let isRefusing = false;
  /** How long it was waited for meanwhile. What passes while nobody asks, as in a pause, tells nothing. */
  let waitedMs = 0;
  let delayMs = firstDelayMs;
  let recovery: Promise<void> | undefined;
  let connection: Connection | undefined;
  let signal = new AbortController().signal;

  function refused(words: string): void {
    if (!isRefusing) {
      isRefusing = true;
      logger.warn(
        { answer: words },
        `${name} refuses commands: nothing more is begun until it takes them again (${words})`,
      );
    }
    // A demoted master has a successor at the same address, or will have one.
    if (refusal === undefined && words.startsWith('READONLY')) link.renew();
    refusal = words;
  }

  /** A connection that is lost meanwhile is opened again the next time. */
  async function trialRefusal(): Promise<string | undefined> {
    if (!connection || connection.lost) ({ connection } = await link.open());
    const tried = connection;
    const error = await tryOut(trial, trialName, async (words) => {
      const reply = await tried.call(...words).catch((error: unknown) => {
        if (error instanceof ConnectionError && refusal !== undefined)
          return new ErrorReply(refusal);
        throw error;
      });
      return reply instanceof ErrorReply ? reply.text : undefined;
    });
    return error === undefined ? undefined : refusalIn(error);
  }

  async function recover(): Promise<void> {
    const begunMs = Date.now() - waitedMs;
    while (refusal !== undefined) {
      waitedMs = Date.now() - begunMs;
      const leftMs = retryForMs - waitedMs;
      if (leftMs <= 0) throw givenUp(refusal);
      await delay(Math.min(delayMs, leftMs), undefined, { signal }).catch(() => undefined);
      if (signal.aborted) throw new StoppedError(`stopped while ${name} refused commands`);
      delayMs = Math.min(longestDelayMs, delayMs * 2);
      // Opening a connection waits for a server that is busy: not for longer, and then as if it had refused.
      const words = await within(leftMs, trialRefusal(), refusal);
      if (words === undefined) refusal = undefined;
      else refused(words);
    }
    waitedMs = Date.now() - begunMs;
  }

  function givenUp(words: string): SourceError {
    return new SourceError(
      `${name} has refused commands for ${String(retryForMs / 1000)} s (--retry-for), and nothing is lost: ${words} Start again when it takes them.`,
    );
  }

  return {
    async ready() {
      if (refusal === undefined) return;
      recovery ??= recover().finally(() => (recovery = undefined));
      await recovery;
    },
    refused,
    accepted() {
      // What was under way before it refused proves nothing.
      if (refusal !== undefined || !isRefusing) return;
      isRefusing = false;
      waitedMs = 0;
      delayMs = firstDelayMs;
      logger.info({ source: name }, `${name} takes commands again`);
    },
    heed(given) {
      signal = given;
    },
  };
}

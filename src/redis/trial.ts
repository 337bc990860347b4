/**
 * Whether a server lets us run a command, found out without doing anything.
 *
 * ACL DRYRUN (7.0) says so where we may ask it, which takes rights that a user for one purpose has
 * not. Else the command is tried for real, on a key that does not exist: only its refusal matters,
 * and any other error, say of the value or the script, shows that it got past the rights.
 */
import { RefusedError } from '../errors.js';
import { type Control, type ControlOptions, withControl } from './control.js';
import type { Endpoint } from './endpoint.js';

export type Words = readonly [string, ...(string | number)[]];

/** `keys`: the command is allowed, but not for all keys; `absent`: there is no such command. */
export type Verdict = 'allowed' | 'forbidden' | 'keys' | 'absent';

export interface Trial {
  /** What a command meets; those of one call are tried one after the other. */
  verdictsOf(commands: readonly Words[]): Promise<readonly Verdict[]>;
  /** Runs one in earnest; undefined when it is refused. */
  answerTo(words: Words): Promise<unknown>;
}

/** Tries on a connection of its own, since a trial may leave it in the middle of a transaction. */
export function withTrial<T>(
  endpoint: Endpoint,
  options: ControlOptions,
  work: (trial: Trial) => Promise<T>,
): Promise<T> {
  return withControl(endpoint, options, async (control) => work(await trialOver(control)));
}

async function trialOver(control: Control): Promise<Trial> {
  const user = control.endpoint.username ?? 'default';
  const canAsk = (await verdictOf(control, ['ACL', 'DRYRUN', user, 'PING'])) === 'allowed';

  async function ask(words: Words): Promise<Verdict> {
    try {
      const answer = await control.call('ACL', 'DRYRUN', user, ...words);
      return answer === 'OK' ? 'allowed' : refusal(String(answer));
    } catch (error) {
      if (error instanceof RefusedError && /not found|unknown/i.test(error.reply)) return 'absent';
      return verdictOf(control, words);
    }
  }

  return {
    async verdictsOf(commands) {
      const verdicts: Verdict[] = [];
      for (const words of commands) {
        verdicts.push(await (canAsk ? ask(words) : verdictOf(control, words)));
      }
      return verdicts;
    },
    answerTo: ([name, ...args]) => control.call(name, ...args).catch(() => undefined),
  };
}

async function verdictOf(control: Control, [name, ...args]: Words): Promise<Verdict> {
  try {
    await control.call(name, ...args);
    return 'allowed';
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    if (/^ERR unknown (sub)?command/i.test(error.reply)) return 'absent';
    return error.reply.startsWith('NOPERM') ? refusal(error.reply) : 'allowed';
  }
}

/** What is refused is a command (`… to run the 'get' command`) or a key. */
function refusal(words: string): Verdict {
  return isKeyRefusal(words) ? 'keys' : 'forbidden';
}

/** Whether a user may run the command, but not for this key. @param words of a NOPERM error. */
export function isKeyRefusal(words: string): boolean {
  return /\bkeys?\b/.test(words) && !/ to run the /.test(words);
}

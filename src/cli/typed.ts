/** What the verbs beside the import make of what was typed: options, passwords, and a log of plain lines. */
import { StringDecoder } from 'node:string_decoder';
import type { Logger } from '../types.js';
import { createLogger } from '../watch/log.js';
import { screenOf } from '../watch/screen.js';
import type { Shell } from './verb.js';
import { UsageError } from '../errors.js';
import type { Side } from '../redis/sentences.js';
import { lacksPassword } from '../plan/endpoints.js';

type Given = Readonly<Record<string, unknown>>;

export interface Typed {
  /** Whether the report is printed as JSON. */
  readonly asJson: boolean;
  /** The options themselves, with the passwords that were asked for. */
  readonly given: Given;
  readonly logger: Logger;
}

/**
 * @param lacking what passwords are asked for by, if not by the options as they are.
 * @throws UsageError when passwords can't be asked for.
 */
export async function readTyped(
  { json, askPassword, ...options }: Given,
  { isDebugging }: Shell,
  lacking: (options: Given) => Given = (all) => all,
): Promise<Typed> {
  const passwords =
    askPassword === true ? await askPasswords(lacking(options), terminal()) : undefined;
  return {
    asJson: json === true,
    given: { ...options, ...passwords },
    logger: createLogger({
      format: 'text',
      level: isDebugging ? 'debug' : 'warn',
      write: screenOf(process.stderr).write,
    }),
  };
}

/*
 * Asks for passwords on the terminal, without showing them: for `--ask-password`.
 * Keys come one by one (raw mode), so the few that edit a line are handled here.
 */

/** Where is asked and answered; standard error, because standard output is the report's. */
export interface Terminal {
  readonly input: NodeJS.ReadableStream & {
    readonly isTTY?: boolean;
    setRawMode?(raw: boolean): unknown;
  };
  readonly output: { write(text: string): unknown };
}

const names = { from: 'the source', to: 'the cluster' } as const;

export function terminal(): Terminal {
  return { input: process.stdin, output: process.stderr };
}

/**
 * The passwords of those sides for which none was given; an empty answer means no password.
 * @throws UsageError without a terminal, or when the answer is broken off.
 */
export async function askPasswords(
  given: Readonly<Record<string, unknown>>,
  where: Terminal,
): Promise<Partial<Record<'fromPassword' | 'toPassword', string>>> {
  const answers: Partial<Record<'fromPassword' | 'toPassword', string>> = {};
  for (const side of ['from', 'to'] satisfies Side[]) {
    if (!lacksPassword(side, given)) continue;
    const answer = await askHidden(`Password of ${names[side]} (--${side}): `, where);
    if (answer !== '') answers[`${side}Password`] = answer;
  }
  return answers;
}

function askHidden(question: string, { input, output }: Terminal): Promise<string> {
  if (input.isTTY !== true || !input.setRawMode) {
    throw new UsageError(
      '--ask-password needs a terminal to ask on: use --from-password-file and --to-password-file instead.',
    );
  }
  return new Promise((resolve, reject) => {
    const decoder = new StringDecoder('utf8');
    let answer: string[] = [];

    function end(finish: () => void): void {
      input.off('data', take);
      input.setRawMode?.(false);
      input.pause();
      output.write('\n');
      finish();
    }

    function take(bytes: Buffer): void {
      const chars = Array.from(decoder.write(bytes));
      for (const [at, char] of chars.entries()) {
        if (char === '\r' || char === '\n') {
          end(() => {
            // What was typed ahead answers the next question.
            const rest = chars.slice(at + 1).join('');
            if (rest !== '') input.unshift(Buffer.from(rest));
            resolve(answer.join(''));
          });
          return;
        }
        if (char === '\u0003' || char === '\u0004') {
          end(() => {
            reject(new UsageError('No password was given: nothing was moved.'));
          });
          return;
        }
        if (char === '\u007f' || char === '\b') answer.pop();
        else if (char === '\u0015') answer = [];
        else answer.push(char);
      }
    }

    // In this order: an answer that is typed at once must not be shown either.
    input.setRawMode?.(true);
    output.write(question);
    input.on('data', take);
    input.resume();
  });
}

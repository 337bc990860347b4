/** What the verbs beside the import make of what was typed: options, passwords, and a log of plain lines. */
import type { Logger } from '../types.js';
import { createLogger } from '../watch/log.js';
import { screenOf } from '../watch/screen.js';
import { askPasswords, terminal } from './ask-passwords.js';
import type { Shell } from './verb.js';

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

/**
 * How a run speaks to those around it: a screen where people read, and a logger. Either may be
 * missing; a warning reaches whoever is there.
 */
import { screenOf } from '../watch/screen.js';
import type { Logger } from '../types.js';

export interface Reporter {
  /** Where progress is shown; without it there is none. */
  readonly screen: NodeJS.WritableStream | undefined;
  readonly logger: Logger;
}

const nothing = (): void => undefined;

/** A logger that was not given is made up: it only warns, on the screen. */
export function createReporter(
  screen: NodeJS.WritableStream | undefined,
  logger: Logger | undefined,
): Reporter {
  const warn = (_: object, sentence: string): void => {
    if (screen) screenOf(screen).write(`WARNING: ${sentence}\n`);
  };
  return { screen, logger: logger ?? { debug: nothing, info: nothing, warn, error: nothing } };
}

/** The same with the time of day, which the log has of itself. */
export function announceNow(reporter: Reporter, sentence: string, fields: object): void {
  const { screen, logger } = reporter;
  if (screen) screenOf(screen).write(`${new Date().toTimeString().slice(0, 8)} ${sentence}\n`);
  logger.info(fields, sentence);
}

/** Says what people should know and programs may. */
export function announce({ screen, logger }: Reporter, sentence: string, fields: object): void {
  if (screen) screenOf(screen).write(`${sentence}\n`);
  logger.info(fields, sentence);
}

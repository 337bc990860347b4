/**
 * Writes every key that did not move to a file, one JSON object a line, as they fail: what the
 * report has room for is only the first hundred. `--only-keys` takes such a file.
 *
 * What fails at the same moment is written together, at once and synchronously: so nothing waits in
 * memory, however much fails, and what a killed run knew is in the file.
 */
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { errorOf, messageOf, UsageError } from './errors.js';
import { reportedFailure } from './report.js';
import type { KeyFailure } from './types.js';

const limitLength = 64 * 1024;

/** Which source a key is of. */
export interface KeyOrigin {
  readonly db: number;
  /** `host:port/db`; only where a run has several sources. */
  readonly from?: string;
}

export interface FailedKeys {
  /** Empties the file: the run begins, and what an earlier one wrote there is not its own. */
  begin(): void;
  add(failure: KeyFailure, origin: KeyOrigin): void;
  /** @returns why the file is not whole, if something went wrong. */
  close(): Error | undefined;
}

/**
 * Creates the file now, so that a path that can't be written is refused before the start.
 * @throws UsageError
 */
export function failedKeys(path: string): FailedKeys {
  let file: number;
  try {
    file = openSync(path, 'a');
  } catch (error) {
    const words = messageOf(error);
    throw new UsageError(`--failed-keys can't be written (${words}): choose another file.`, {
      cause: error,
    });
  }
  let text = '';
  let isDue = false;
  let failed: Error | undefined;

  function write(): void {
    isDue = false;
    const bytes = Buffer.from(text);
    text = '';
    try {
      for (let at = 0; at < bytes.length && !failed;) at += writeSync(file, bytes, at);
    } catch (error) {
      failed = errorOf(error);
    }
  }

  return {
    begin() {
      // A pipe can't be emptied, and need not be.
      try {
        ftruncateSync(file);
      } catch {
        return;
      }
    },
    add(failure, origin) {
      const { key, keyEncoding, ...why } = reportedFailure(failure);
      text += `${JSON.stringify({ key, keyEncoding, ...origin, ...why })}\n`;
      if (text.length >= limitLength) write();
      else if (!isDue) {
        isDue = true;
        queueMicrotask(write);
      }
    },
    close() {
      write();
      closeSync(file);
      return failed;
    },
  };
}

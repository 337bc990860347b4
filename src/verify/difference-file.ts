/**
 * Writes differences to a file, one JSON object a line, in the form that `--only-keys` takes. At once
 * and synchronously, so that nothing waits in memory however much differs.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { messageOf, UsageError } from '../errors.js';
import { type Difference, reportedDifference } from './difference.js';

const heldLength = 64 * 1024;

export interface DifferenceFile {
  /** @param db the source's database. */
  add(difference: Difference, db: number): void;
  flush(): void;
  close(): void;
}

/** @throws UsageError when the file can't be written. */
export function differenceFile(path: string): DifferenceFile {
  let file: number;
  let text = '';
  try {
    file = openSync(path, 'w');
  } catch (error) {
    const words = messageOf(error);
    throw new UsageError(`--differences can't be written (${words}): choose another file.`, {
      cause: error,
    });
  }

  function flush(): void {
    const bytes = Buffer.from(text);
    text = '';
    for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
  }

  return {
    add(difference, db) {
      const { key, keyEncoding, kind, message } = reportedDifference(difference);
      text += `${JSON.stringify({ key, keyEncoding, db, kind, message })}\n`;
      if (text.length >= heldLength) flush();
    },
    flush,
    close() {
      flush();
      closeSync(file);
    },
  };
}

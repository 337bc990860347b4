/** What `--json` prints where there is no report, because nothing was begun: programs read this, not sentences. */
import { version } from '../installed.js';

/** @param words the sentence that people read on standard error. */
export function printRefusal(words: string, exitCode: number): void {
  const status = { 2: 'refused', 3: 'failed' }[exitCode] ?? 'interrupted';
  process.stdout.write(`${JSON.stringify({ status, error: words, exitCode, version })}\n`);
}

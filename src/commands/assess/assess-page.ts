/** The page of `--html`: its file is opened before anything is looked at, since that takes time. */
import { open } from 'node:fs/promises';
import { assessPage } from '../../assess/html.js';
import type { AssessReport } from '../../assess/assess-report.js';
import { UsageError } from '../../errors.js';

export interface Page {
  write(report: AssessReport): Promise<void>;
  close(): Promise<void>;
}

/** @throws UsageError when it can't be written. What it holds stays until there is something new. */
export async function openPage(path: string): Promise<Page> {
  const file = await orUsage(open(path, 'a'));
  return {
    async write(report) {
      await orUsage(file.truncate(0));
      await orUsage(file.writeFile(assessPage(report)));
    },
    close: () => file.close(),
  };
}

async function orUsage<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    throw new UsageError(`--html can't be written (${words}): choose another file.`, {
      cause: error,
    });
  }
}

/** Results as files: a JSON document each, which the chart and the README are made from. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Standing } from '../types.js';
import type { Machine } from './machine.js';

/** What every file holds beside its own. */
export interface Circumstances {
  readonly measuredAt: string;
  readonly quick: boolean;
  readonly machine: Machine;
}

/** One dataset's contest. */
export interface ContestResult extends Circumstances {
  readonly dataset: string;
  readonly title: string;
  readonly rounds: number;
  readonly standings: readonly Standing[];
}

export function saveResult(folder: string, name: string, result: Circumstances): string {
  return saveText(folder, `${name}.json`, `${JSON.stringify(result, undefined, 2)}\n`);
}

export function saveText(folder: string, name: string, text: string): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

/** What an earlier run, or this one, has saved. */
export function loadContest(folder: string, dataset: string): ContestResult | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, `${dataset}.json`), 'utf8')) as ContestResult;
  } catch {
    return undefined;
  }
}

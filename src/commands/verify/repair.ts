/**
 * Copies what is missing or differs once more, as an import of just these keys does it, and looks at
 * them again afterwards. Nothing is deleted: what only the cluster has stays, and stays a difference.
 *
 * A key that several sources have with different values is left alone: whichever were copied, the
 * other would be lost, and only people can say which of them counts.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { accessRows } from '../../options/access.js';
import { readOptions } from '../../options/options.js';
import { keyAt } from '../../redis/frames.js';
import { checkKeysFile, keysFileSource } from '../../sources/keys-file.js';
import type { Keys } from '../../types.js';
import {
  createFindings,
  type Difference,
  differenceFile,
  type DifferenceFile,
  type Findings,
  repairable,
} from '../../verify/differences.js';
import { examineAll, lookClosely, rivalsOf, type VerifyParts } from '../../verify/look.js';
import { type ImportContext, runImport } from '../import.js';
import type { VerifyOptions } from '../../options/verb-options.js';
import type { VerifyScene } from './scene.js';

export interface Repair {
  add(difference: Difference): void;
  /** @returns what still differs, and how much was repaired. */
  run(parts: VerifyParts, signal: AbortSignal, context: ImportContext): Promise<Findings>;
  close(): void;
}

export function createRepair(options: VerifyOptions, scene: VerifyScene): Repair {
  const folder = mkdtempSync(join(tmpdir(), 'cluster-import-repair-'));
  const files = new Map<string, DifferenceFile>();
  const pathOf = (name: string): string => join(folder, `${name}.jsonl`);
  const databaseOf = (index: number): number => scene.databases[index] ?? 0;
  /** What differs of a source, and which of that is copied. */
  const found = (index: number): string => `${String(index)}-found`;
  const copied = (index: number): string => `${String(index)}-copied`;

  function fileOf(name: string): DifferenceFile {
    let file = files.get(name);
    if (!file) files.set(name, (file = differenceFile(pathOf(name))));
    return file;
  }

  async function* pagesOf(name: string, index: number): AsyncIterable<readonly Buffer[]> {
    const file = files.get(name);
    if (!file) return;
    file.flush();
    const own = { name: 'repair', db: databaseOf(index) };
    const keys = keysFileSource(await checkKeysFile(pathOf(name), [own]), own.name);
    for await (const page of keys.pages()) yield keysOf(page);
  }

  return {
    add(difference) {
      const { source, kind } = difference;
      if (source === undefined || !repairable.has(kind)) return;
      fileOf(found(source)).add(difference, databaseOf(source));
    },
    async run(parts, signal, context) {
      const after = createFindings(() => undefined, parts.findings);
      const seen = { ...parts, findings: after };
      for (const index of parts.sources.keys()) {
        for await (const keys of pagesOf(found(index), index)) {
          await choose(seen, index, keys, signal);
        }
      }
      for (const index of parts.sources.keys()) {
        const file = files.get(copied(index));
        file?.flush();
        if (file && !signal.aborted) await copyAgain(index, signal, context);
      }
      // Only now: what one source brought, another's copy may have changed.
      for (const index of parts.sources.keys()) {
        for await (const keys of pagesOf(copied(index), index)) {
          after.addRepaired(await lookAgain(seen, index, keys, signal));
        }
      }
      return after;
    },
    close() {
      for (const file of files.values()) file.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };

  /** Puts down which keys are to be copied; what is not stays a difference. */
  async function choose(
    parts: VerifyParts,
    index: number,
    keys: readonly Buffer[],
    signal: AbortSignal,
  ): Promise<void> {
    const rivals = await rivalsOf(parts, index, keys, signal);
    const left = new Map<Buffer, string>();
    for (const [at, key] of keys.entries()) {
      const rival = rivals[at];
      if (rival !== undefined) left.set(key, parts.sources[rival]?.of.name ?? '');
      else fileOf(copied(index)).add({ key, kind: 'value', message: '' }, databaseOf(index));
    }
    const { apart } = await lookClosely(parts, index, [...left.keys()], signal);
    for (const difference of apart) {
      const words = `left as it is, because ${left.get(difference.key) ?? ''} has another value of it`;
      parts.findings.add({ ...difference, message: `${difference.message}; ${words}` });
    }
  }

  async function copyAgain(
    index: number,
    signal: AbortSignal,
    context: ImportContext,
  ): Promise<void> {
    const access = Object.keys(accessRows).map((name) => [
      name,
      options[name as keyof typeof accessRows],
    ]);
    await runImport(
      readOptions({
        ...(Object.fromEntries(access) as object),
        ...scene.given[index],
        keyPrefix: options.keyPrefix,
        to: options.to,
        copy: true,
        replace: true,
        onlyKeys: pathOf(copied(index)),
        state: join(folder, `${String(index)}.state`),
        timeoutMs: options.timeoutMs,
        retryForMs: options.retryForMs,
        quiet: true,
      }),
      { signal, logger: context.logger },
    );
  }
}

/** @returns how many are equal now, at every source that has them. */
async function lookAgain(
  parts: VerifyParts,
  index: number,
  keys: readonly Buffer[],
  signal: AbortSignal,
): Promise<number> {
  let { equal } = await examineAll(parts, index, keys, signal);
  for (const other of parts.sources.keys()) {
    if (other === index || equal.length === 0) continue;
    // Those that the other one lacks are none of its business.
    const [own, theirs] = [parts.sources[index], parts.sources[other]];
    const isSame = (key: Buffer): boolean =>
      own !== undefined && theirs?.scope.keyOf(own.scope.nameOf(key))?.equals(key) === true;
    const { apart } = await lookClosely(parts, other, equal.filter(isSame), signal);
    for (const difference of apart) parts.findings.add(difference);
    const isApart = new Set(apart.map(({ key }) => key));
    equal = equal.filter((key) => !isApart.has(key));
  }
  return equal.length;
}

function keysOf(page: Keys): readonly Buffer[] {
  return Array.from({ length: page.count }, (_, place) => keyAt(page, place));
}

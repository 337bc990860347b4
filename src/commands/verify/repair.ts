/**
 * Copies what is missing or differs once more, as an import of just these keys does it, and looks at
 * them again afterwards. Nothing is deleted: what only the cluster has stays, and stays a difference.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { keyAt } from '../../redis/keys.js';
import { checkKeysFile, keysFileSource } from '../../sources/keys-file.js';
import { type Difference, repairable } from '../../verify/difference.js';
import { differenceFile, type DifferenceFile } from '../../verify/difference-file.js';
import { createFindings, type Findings } from '../../verify/findings.js';
import { examineAll, type VerifyParts } from '../../verify/verify.js';
import { type ImportContext, importKeys } from '../import.js';
import { accessRows } from '../../access.js';
import type { VerifyOptions } from './options.js';
import type { VerifyScene } from './scene.js';

export interface Repair {
  add(difference: Difference): void;
  /** @returns what still differs, and how much was repaired. */
  run(parts: VerifyParts, signal: AbortSignal, context: ImportContext): Promise<Findings>;
  close(): void;
}

export function createRepair(options: VerifyOptions, scene: VerifyScene): Repair {
  const folder = mkdtempSync(join(tmpdir(), 'cluster-import-repair-'));
  const files = new Map<number, DifferenceFile>();
  const pathOf = (index: number): string => join(folder, `${String(index)}.jsonl`);

  function fileOf(index: number): DifferenceFile {
    let file = files.get(index);
    if (!file) files.set(index, (file = differenceFile(pathOf(index))));
    return file;
  }

  return {
    add(difference) {
      const { source, kind } = difference;
      if (source === undefined || !repairable.has(kind)) return;
      fileOf(source).add(difference, scene.databases[source] ?? 0);
    },
    async run(parts, signal, context) {
      const after = createFindings(() => undefined, parts.findings);
      for (const [index, file] of files) {
        file.flush();
        await copyAgain(index, signal, context);
        const db = scene.databases[index] ?? 0;
        const own = { name: 'repair', db };
        const keys = keysFileSource(await checkKeysFile(pathOf(index), [own]), own.name);
        for await (const page of keys.pages()) {
          const found = after.differences;
          const some = Array.from({ length: page.count }, (_, place) => keyAt(page, place));
          await examineAll({ ...parts, findings: after }, index, some, signal);
          after.addRepaired(page.count - (after.differences - found));
        }
      }
      return after;
    },
    close() {
      for (const file of files.values()) file.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };

  async function copyAgain(
    index: number,
    signal: AbortSignal,
    context: ImportContext,
  ): Promise<void> {
    const access = Object.keys(accessRows).map((name) => [
      name,
      options[name as keyof typeof accessRows],
    ]);
    await importKeys(
      {
        ...(Object.fromEntries(access) as object),
        from: options.from[index],
        to: options.to,
        copy: true,
        replace: true,
        onlyKeys: pathOf(index),
        state: join(folder, `${String(index)}.state`),
        timeoutMs: options.timeoutMs,
        retryForMs: options.retryForMs,
        quiet: true,
      },
      { signal, logger: context.logger },
    );
  }
}

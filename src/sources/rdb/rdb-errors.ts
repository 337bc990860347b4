/** What a reader of RDB files finds wrong with one. */
import { SourceError } from '../../errors.js';

/** `unknown`: it is no RDB file, or newer than this program. */
export type FoundWrong = 'damaged' | 'cut off' | 'goes on' | 'unknown';

/** Everything before what was found was read. */
export class RdbError extends SourceError {
  /** @param finding a sentence without its end. @param consequence what that means for the import. */
  constructor(
    readonly kind: FoundWrong,
    readonly finding: string,
    consequence = '',
  ) {
    super(`${finding}${consequence}.`);
  }
}

const importedBefore = '; what stands before it was imported, and may be damaged too';

export function damage(name: string, at: number, expected: string): RdbError {
  const finding = `${name} is damaged at byte ${String(at)}: expected ${expected}`;
  return new RdbError('damaged', finding, importedBefore);
}

/** @param writer by what it was written. @param code of a value's type, or of what stands between keys. */
export function unknownPart(name: string, writer: string, code: number, at: number): RdbError {
  return new RdbError(
    'unknown',
    `${name} (${writer}) has something of type ${String(code)} at byte ${String(at)}, which is not known here: start a server on it, and give that in --from`,
  );
}

/** @param end of the file. @param begun where what is not whole begins. */
export function cutOff(name: string, end: number, begun: number): RdbError {
  return new RdbError(
    'cut off',
    `${name} is cut off: it ends at byte ${String(end)}, where the rest of what begins at byte ${String(begun)} was expected`,
    importedBefore,
  );
}

/** @param at where its checksum stands. */
export function wrongSum(name: string, at: number, found: string, wanted: string): RdbError {
  return new RdbError(
    'damaged',
    `${name} is damaged: expected the checksum ${found} at byte ${String(at)}, and it is ${wanted}: something before it is not as it was written`,
    '; what was imported may be damaged',
  );
}

export function goesOn(name: string, at: number): RdbError {
  return new RdbError(
    'goes on',
    `${name} goes on at byte ${String(at)}, where the dump in it has ended`,
    ': what follows was not imported. Is it an append-only file that begins with a dump? Give it as a file that is not compressed',
  );
}

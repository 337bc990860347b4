/** A logger that keeps what it is told. */
import type { Logger } from '../../src/types.js';

export interface Kept extends Logger {
  /** Level, sentence and fields of each line. */
  readonly lines: readonly (readonly [string, string, object])[];
}

export function keptLog(): Kept {
  const lines: [string, string, object][] = [];
  const keep = (level: string) => (fields: object, message: string) => {
    lines.push([level, message, fields]);
  };
  return {
    lines,
    debug: keep('debug'),
    info: keep('info'),
    warn: keep('warn'),
    error: keep('error'),
  };
}

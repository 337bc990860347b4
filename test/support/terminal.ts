/** The command line on a terminal of a given size, as util-linux's `script` makes one. */
import { execFile } from 'node:child_process';
import { promisify, stripVTControlCharacters } from 'node:util';
import { program } from './cli.js';

export interface TerminalRun {
  /** All that was written to the terminal. */
  readonly raw: string;
  /** Without the sequences that move and colour. */
  readonly lines: readonly string[];
}

/** As at a person's desk: Node takes a terminal under CI for one without colours. */
const personal = {
  CI: undefined,
  FORCE_COLOR: undefined,
  NO_COLOR: undefined,
  TERM: 'xterm-256color',
};

export async function runOnTerminal(
  script: string,
  size: { readonly columns: number; readonly rows: number },
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<TerminalRun> {
  const command = [process.execPath, program, ...words].map((word) => `'${word}'`).join(' ');
  const sized = `stty cols ${String(size.columns)} rows ${String(size.rows)}; ${command}`;
  const { stdout } = await promisify(execFile)(script, ['-qfc', sized, '/dev/null'], {
    env: { ...process.env, ...personal, ...env },
    maxBuffer: 64 * 1024 * 1024,
  });
  return { raw: stdout, lines: stripVTControlCharacters(stdout).split(/[\r\n]+/) };
}

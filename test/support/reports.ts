/** Runs of the command line that end with a report, and what must be true of every report. */
import { expect } from 'vitest';
import type { Report } from '../../src/report.js';
import type { VerifyReport } from '../../src/verify/verify-report.js';
import { type CliResult, runCli } from './cli.js';

export interface Reported {
  readonly code: number | undefined;
  readonly report: Report;
  readonly stderr: string;
}

/** Runs with `--json`, and checks the report's sums. */
export async function runJson(
  args: readonly string[],
  env?: Readonly<Record<string, string>>,
): Promise<Reported> {
  return reportOf(await runCli([...args, '--json', '--quiet'], env));
}

export function reportOf({ code, stdout, stderr }: CliResult): Reported {
  expect(stdout, `no report on standard output; standard error: ${stderr}`).toMatch(/^\{.*\}\n$/s);
  const report = JSON.parse(stdout) as Report;
  expectSums(report);
  return { code, report, stderr };
}

export interface Verified {
  readonly code: number | undefined;
  readonly report: VerifyReport;
}

/** Runs `verify` with `--json`. */
export async function verifyJson(
  args: readonly string[],
  env?: Readonly<Record<string, string>>,
): Promise<Verified> {
  const words = ['verify', ...args, '--json', '--quiet'];
  const { code, stdout, stderr } = await runCli(words, env);
  if (code === 2) throw new Error(stderr);
  return { code, report: JSON.parse(stdout) as VerifyReport };
}

/** Every key is accounted for, once. */
export function expectSums({ keys, nodes, status, failures }: Report): void {
  const { scanned, moved, gone, conflicting, failed } = keys;
  const accounted = moved + gone + conflicting + failed;
  if (status === 'complete' || status === 'incomplete') expect(scanned).toBe(accounted);
  else expect(scanned).toBeGreaterThanOrEqual(accounted);
  expect(nodes.reduce((sum, node) => sum + node.keys, 0)).toBe(moved);
  expect(failures).toHaveLength(Math.min(100, conflicting + failed));
  if (status === 'complete') expect(conflicting + failed).toBe(0);
  if (status === 'incomplete') expect(conflicting + failed).toBeGreaterThan(0);
}

/** A move as those who look on see it, by whatever runs the command: its page, its report, its end. */
import { type ChildProcess } from 'node:child_process';
import { expect } from 'vitest';
import { fillMixed } from './bulk.js';
import { snapshot } from './compare.js';
import { freePort } from './ports.js';
import type { Stage } from './stage.js';
import { waitFor } from './wait.js';

/** Rejects with what it had printed where it exits with a code. */
type Running = Promise<{ readonly stdout: string }> & { readonly child: ChildProcess };

/**
 * Moves a few keys of every type, and serves the page meanwhile.
 * @param start starts the command with more words than these.
 * @param meanwhile what else is looked at while it is up, by the address of its page.
 */
export async function expectWatchedMove(
  stage: Stage,
  start: (words: readonly string[]) => Running,
  meanwhile: (at: string) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  await fillMixed(stage.source, 600);
  const before = await snapshot(stage.source.client);
  const port = await freePort();
  const at = `http://127.0.0.1:${String(port)}`;
  const lingering = ['--metrics', String(port), '--metrics-linger', '60'];
  const moving = start([...stage.endpoints, ...lingering]);
  const ended = moving.catch((error: unknown) => error as { readonly stdout: string });
  const page = await waitFor('the page', () => fetch(`${at}/`));
  expect(await page.text()).toContain('<title>');
  await meanwhile(at);
  await waitFor('the end of the move', async () => {
    const report = await fetch(`${at}/report.json`);
    return ((await report.json()) as { readonly status: string }).status === 'complete';
  });
  moving.child.kill('SIGINT');
  expect((await ended).stdout).toContain('Complete');
  expect(await stage.missingIn(before)).toEqual([]);
  expect(await stage.source.client.dbsize()).toBe(0);
}

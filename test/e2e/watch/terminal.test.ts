/** The view, on real terminals. */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { fillStrings } from '../../support/bulk.js';
import { program } from '../../support/cli.js';
import { setFolder } from '../../support/folder.js';
import { type Proxy, startProxy } from '../../support/proxy.js';
import { setStage } from '../../support/stage.js';
import { runOnTerminal } from '../../support/terminal.js';
import { withTools } from '../../support/tools.js';
import { waitFor } from '../../support/wait.js';

const conflicting = 'key:7';

withTools(['script'], 'the view on a terminal', ({ script }) => {
  const stage = setStage();
  const newPath = setFolder();
  let proxy: Proxy;
  let words: readonly string[];
  beforeEach(async () => {
    proxy = await startProxy(stage.source);
    proxy.faults.delayMs.down = 50;
    await fillStrings(stage.source, { count: 20_000, valueBytes: 64 });
    await stage.cluster.clientFor(conflicting).set(conflicting, 'other');
    words = ['--from', proxy.address, '--to', stage.cluster.seed, '--mover', 'relay'];
  });
  afterEach(() => proxy.stop());

  it.each([40, 80, 140])(
    'fits into %d columns, and leaves nothing behind but the report',
    async (columns) => {
      const size = { columns, rows: 24 };
      const { raw, lines } = await runOnTerminal(script, size, [...words, '--no-replace']);
      const bars = lines.filter((line) => /^━*─* [\d.]+ %$/.test(line));
      expect(bars.length).toBeGreaterThan(1);
      expect(Math.max(...bars.map(({ length }) => length))).toBeLessThan(columns);
      expect(lines.some((line) => line.startsWith(stage.cluster.seed))).toBe(true);
      expect(raw).toContain('\u001b[36m');
      // The view itself is gone when the report comes, which has the colour of the end.
      const ended = raw.indexOf('\u001b[33m! Incomplete: ');

      expect(raw.slice(0, ended)).toMatch(/\u001b\[2K\u001b\[G\u001b\[\?2026l$/);
      expect(raw.slice(ended)).not.toMatch(/━|\u001b\[2K/);
    },
  );

  it('has no colours where NO_COLOR is set, and nothing at all when it is to be quiet', async () => {
    const size = { columns: 80, rows: 24 };
    const plain = await runOnTerminal(script, size, [...words, '--copy', '--replace'], {
      NO_COLOR: '1',
    });
    expect(plain.raw).toContain('━');

    expect(plain.raw).not.toMatch(/\u001b\[[\d;]*m/);
    const quiet = await runOnTerminal(script, size, [...words, '--replace', '--quiet']);
    expect(quiet.raw).not.toMatch(/━|\u001b\[2K/);
  });

  it('takes keys, which pause the run, let it go on, tell how it stands, and stop it', async () => {
    const command = [process.execPath, program, ...words, '--replace', '--max-rate', '500'].join(
      ' ',
    );
    const terminal = spawn(script, ['-qefc', `stty cols 120 rows 24; ${command}`, '/dev/null'], {
      env: { ...process.env, CI: undefined, TERM: 'xterm-256color' },
    });
    let raw = '';
    terminal.stdout.on('data', (text: Buffer) => (raw += text.toString()));
    const ended = new Promise<number | null>((resolve) => terminal.on('exit', resolve));
    const shows = (pattern: RegExp) => waitFor(String(pattern), () => pattern.test(raw));
    await shows(/p pause · r resume · s status · q stop/);
    terminal.stdin.write('p');
    await shows(/PAUSED for/);
    raw = '';
    terminal.stdin.write('s');
    await shows(/paused · [\d.]+ %[^]*limits: 500 keys\/s/);
    raw = '';
    terminal.stdin.write('r');
    await shows(/Going on\.[^]* left/);
    terminal.stdin.write('q');
    expect(await ended).toBe(130);
    expect(raw).toContain('Stopping after the batches in flight');
    expect(raw).toContain('! Interrupted');
  });

  it('is nothing that a run needs: one that is closed changes no exit code', async () => {
    const told = newPath('exit-code');
    const command = [process.execPath, program, ...words, '--replace'].join(' ');
    // A shell that outlives its terminal, and does not hand on that this was closed.
    const shell = `trap : HUP; stty cols 80 rows 24; ${command}; echo $? > '${told}'`;
    const terminal = spawn(script, ['-qfc', shell, '/dev/null']);
    await new Promise<void>((resolve) => {
      terminal.stdout.on('data', (text: Buffer) => {
        if (text.includes('━')) resolve();
      });
    });
    terminal.kill('SIGKILL');
    const code = await waitFor('its end', () => readFile(told, 'utf8').catch(() => undefined));
    expect(code).toBe('0\n');
    expect(await stage.cluster.size()).toBe(20_000);
  });
});

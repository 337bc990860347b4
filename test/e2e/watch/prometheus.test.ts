/**
 * What Prometheus makes of a real run: the metrics' names, the alert rules, and whether each query of
 * the dashboard finds data.
 */
import { execFile, execFileSync, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeEach, expect, it } from 'vitest';
import { startApplication } from '../../support/application.js';
import { fillStrings } from '../../support/bulk.js';
import { runCli, startCli } from '../../support/cli.js';
import { type HeldRun, holdRun } from '../../support/held-run.js';
import { freePort } from '../../support/ports.js';
import { setStage } from '../../support/stage.js';
import { withTools } from '../../support/tools.js';
import { waitFor } from '../../support/wait.js';

const monitoring = fileURLToPath(new URL('../../../monitoring', import.meta.url));

interface Dashboard {
  readonly panels: readonly {
    readonly title: string;
    readonly targets: readonly { readonly expr: string }[];
  }[];
}

async function queries(): Promise<readonly (readonly [string, string])[]> {
  const file = join(monitoring, 'grafana/dashboards/cluster-import.json');
  const { panels } = JSON.parse(await readFile(file, 'utf8')) as Dashboard;
  return panels.flatMap(({ title, targets }) =>
    targets.map(({ expr }) => {
      const concrete = expr.replaceAll('$instance', '.*').replaceAll('$__rate_interval', '10s');
      return [title, concrete] as const;
    }),
  );
}

withTools(['promtool'], 'the files of monitoring/', ({ promtool }) => {
  const check = promisify(execFile);

  it('are what Prometheus understands', async () => {
    const { stdout } = await check(promtool, ['check', 'config', 'prometheus.yml'], {
      cwd: monitoring,
    });
    expect(stdout).toContain('9 rules found');
  });

  it('alarm when they should, and only then', async () => {
    const { stdout } = await check(promtool, ['test', 'rules', 'alerts.test.yml'], {
      cwd: monitoring,
    });
    expect(stdout).toContain('SUCCESS');
  });
});

withTools(['promtool', 'prometheus'], 'a run under Prometheus', ({ promtool, prometheus }) => {
  const stage = setStage();
  beforeEach(() => fillStrings(stage.source, { count: 20_000, valueBytes: 64 }));

  /** An import goes on for as long as there is something to move. */
  async function keepWriting(isOver: () => boolean): Promise<void> {
    for (let first = 20_000; !isOver(); first += 2000) {
      await fillStrings(stage.source, { count: 2000, valueBytes: 64, first });
    }
  }

  /** Looks at a run's metrics as Prometheus does, and puts these queries. */
  async function expectData(
    runUrl: string,
    asked: readonly (readonly [string, string])[],
  ): Promise<void> {
    const directory = await mkdtemp(join(tmpdir(), 'cluster-import-prometheus-'));
    const port = await freePort();
    const config = {
      global: { scrape_interval: '1s' },
      scrape_configs: [
        { job_name: 'cluster-import', static_configs: [{ targets: [new URL(runUrl).host] }] },
      ],
    };
    // YAML is a superset of JSON.
    await writeFile(join(directory, 'prometheus.yml'), JSON.stringify(config));
    const address = `127.0.0.1:${String(port)}`;
    const words = [
      `--config.file=${join(directory, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(directory, 'data')}`,
      `--web.listen-address=${address}`,
    ];
    const server = spawn(prometheus, words, { cwd: directory, stdio: 'ignore' });
    const ended = new Promise((resolve) => server.once('close', resolve));
    try {
      const text = await (await fetch(`${runUrl}/metrics`)).text();
      // Throws, with what it says, when it finds something.
      execFileSync(promtool, ['check', 'metrics'], { input: text, encoding: 'utf8' });
      for (const [title, query] of asked) {
        const url = `http://${address}/api/v1/query?${String(new URLSearchParams({ query }))}`;
        await waitFor(`data for "${title}": ${query}`, async () => {
          const answer = (await (await fetch(url)).json()) as {
            data: { result: { value: [number, string] }[] };
          };
          const values = answer.data.result.map(({ value }) => Number(value[1]));
          // A share or a time that nobody knows yet is no data.
          return values.length > 0 && values.every((value) => !Number.isNaN(value));
        });
      }
    } finally {
      server.kill();
      await ended;
      await rm(directory, { recursive: true, force: true });
    }
  }

  const isOfFollowing = ([, query]: readonly [string, string]): boolean =>
    /_phase|_feed_|_changed_keys|_writes_held/.test(query);

  it('has metrics with proper names, and data for every panel', async () => {
    // More comes than may go, so that there is always something to move.
    const held: HeldRun = await holdRun(stage, { words: ['--max-rate', '2000'] });
    held.release();
    let isOver = false;
    const writing = keepWriting(() => isOver);
    try {
      const all = await queries();
      await expectData(
        held.url,
        all.filter((query) => !isOfFollowing(query)),
      );
    } finally {
      isOver = true;
      await writing;
      await held.stop();
    }
  });

  it('has data for the panels of a source that is followed', async () => {
    const words = [...stage.endpoints, '--follow', '--metrics', '0', '--quiet'];
    const run = startCli(words);
    const application = startApplication(stage.source);
    try {
      const [, url = ''] = await run.output(/(http:\/\/[\d.:]+)\/metrics/);
      const asked = (await queries()).filter(isOfFollowing);
      expect(asked).toHaveLength(6);
      await expectData(url, asked);
    } finally {
      await application.stop();
      run.signal('SIGINT');
      await run.done;
    }
  });
});

withTools(['pushgateway'], 'a run that pushes to a Pushgateway', ({ pushgateway }) => {
  const stage = setStage();

  it('leaves its final state there, in the place of the one before', async () => {
    const address = `127.0.0.1:${String(await freePort())}`;
    const server = spawn(pushgateway, [`--web.listen-address=${address}`], { stdio: 'ignore' });
    const ended = new Promise((resolve) => server.once('close', resolve));
    const metrics = async () => (await fetch(`http://${address}/metrics`)).text();
    try {
      await waitFor('the gateway', metrics);
      for (const count of [300, 200]) {
        await fillStrings(stage.source, { count, valueBytes: 8 });
        const words = [...stage.endpoints, '--replace', '--quiet', '--push', `http://${address}`];
        expect((await runCli(words)).stderr).toBe('');
        const text = await metrics();
        expect(text).toMatch(
          new RegExp(`cluster_import_keys_total\\{[^}]*outcome="moved"\\} ${String(count)}\n`),
        );
        expect(text).toContain(`instance="${stage.source.address}"`);
      }
    } finally {
      server.kill();
      await ended;
    }
  });
});

/**
 * Servers that close connections on which nothing happens (their `timeout`), and runs that stand still
 * for longer than that: they go on afterwards, over new connections.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fillMixed, fillStrings } from '../../support/bulk.js';
import { type Snapshot, snapshot } from '../../support/compare.js';
import { type CliRun, runCli, startCli } from '../../support/cli.js';
import { unlessEnded } from '../../support/halfway.js';
import { type Reported, reportOf, runJson } from '../../support/reports.js';
import { setStage } from '../../support/stage.js';
import { waitFor } from '../../support/wait.js';

const stage = setStage();
const count = 6000;
let before: Snapshot;
let run: CliRun | undefined;

const clients = () => [stage.source.client, ...stage.cluster.masters.map(({ client }) => client)];
const setTimeouts = (seconds: number) =>
  Promise.all(clients().map((client) => client.config('SET', 'timeout', String(seconds))));

beforeEach(async () => {
  await fillMixed(stage.source, count);
  before = await snapshot(stage.source.client);
  await setTimeouts(1);
});
afterEach(async () => {
  run?.signal('SIGKILL');
  await run?.done;
  run = undefined;
  await setTimeouts(0);
});

const expectComplete = (run: Reported) => stage.expectComplete(before, run);

/**
 * All that is left are questions of this test, PINGs of whoever measures how the source does, and the INFO
 * of whoever looks once a second whether a node evicts.
 */
async function onlyWatchers(): Promise<boolean> {
  const [source = '', ...nodes] = await Promise.all(
    clients().map(async (client) => String(await client.client('LIST'))),
  );
  const commandsIn = (list: string) => [...list.matchAll(/ cmd=(\S+)/g)].map(([, one = '']) => one);
  const isWatching = (command: string) =>
    /^(client|ping|config|cluster|flushall|dbsize)/.test(command);
  return (
    commandsIn(source).every(isWatching) &&
    commandsIn(nodes.join('\n')).every((one) => isWatching(one) || one === 'info')
  );
}

interface Way {
  /** Keys a second: the run must not come to its end before it has been told. */
  readonly rate: number;
  readonly steer: (run: CliRun, order: 'pause' | 'resume') => Promise<void>;
}

const ways: Readonly<Record<string, Way>> = {
  SIGUSR2: {
    rate: 2000,
    steer: (run) => {
      run.signal('SIGUSR2');
      return Promise.resolve();
    },
  },
  ctl: {
    // It is a process of its own, which takes seconds to start on a busy machine.
    rate: 100,
    steer: async ({ pid }, order) => {
      const limits = order === 'resume' ? ['--rate', 'none'] : [];
      const { code, stderr } = await runCli(['ctl', order, '--pid', String(pid), ...limits]);
      expect([code, stderr]).toEqual([0, '']);
    },
  },
};

describe.each(['relay', 'migrate', 'auto'])('a pause of --mover %s', (mover) => {
  it.each(Object.keys(ways))('by %s lasts as long as it is meant to', async (way) => {
    const { rate, steer } = ways[way] as Way;
    const words = ['--mover', mover, '--max-rate', String(rate), '--json', '--quiet'];
    run = startCli([...stage.endpoints, ...words]);
    const hasBegun = async () => (await stage.source.client.dbsize()) < count;
    await unlessEnded(run, waitFor('keys to leave', hasBegun));
    await steer(run, 'pause');
    await unlessEnded(run, waitFor('its connections to be closed', onlyWatchers));
    await steer(run, 'resume');
    await expectComplete(reportOf(await run.done));
  });
});

it.each(['relay', 'migrate'])(
  'a rate so low that each key finds them closed (%s)',
  async (mover) => {
    await stage.source.client.flushall();
    await fillStrings(stage.source, { count: 3, valueBytes: 40 });
    before = await snapshot(stage.source.client);
    await expectComplete(
      await runJson([...stage.endpoints, '--mover', mover, '--max-bandwidth', '10']),
    );
  },
);

it('a run that is stopped while it is paused tells how it stands', async () => {
  run = startCli([...stage.endpoints, '--max-rate', '1000', '--json']);
  const hasBegun = async () => (await stage.source.client.dbsize()) < count * 0.9;
  await unlessEnded(run, waitFor('keys to leave', hasBegun));
  run.signal('SIGUSR2');
  await unlessEnded(run, waitFor('its connections to be closed', onlyWatchers));
  run.signal('SIGINT');
  const { code, report } = reportOf(await run.done);
  expect({ code, status: report.status }).toEqual({ code: 130, status: 'interrupted' });
  await expectComplete(await runJson([...stage.endpoints]));
});

it('a run that has nothing to wait for any more, and is not at its end, says so', async () => {
  // Nothing of it keeps the process alive: neither its connections nor its timers.
  const preload = `import net from 'node:net';
    const { connect } = net.Socket.prototype;
    net.Socket.prototype.connect = function (...args) { this.unref(); return connect.apply(this, args); };
    for (const name of ['setTimeout', 'setInterval']) {
      const real = globalThis[name];
      globalThis[name] = (...args) => { const timer = real(...args); timer.unref(); return timer; };
    }`;
  const options = `--import=data:text/javascript,${encodeURIComponent(preload)}`;
  run = startCli([...stage.endpoints, '--json'], { NODE_OPTIONS: options });
  expect(await run.done).toEqual({
    code: 3,
    stdout: '',
    stderr:
      'cluster-import: it waits for something that can never come. Nothing is lost; the same command goes on.\n',
  });
});

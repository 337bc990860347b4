/**
 * What most end-to-end tests play on: a source and a cluster of three, started once for a file; before
 * each test they are whole, and empty.
 */
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { type ClusterOptions, isWell, startCluster, type TestCluster } from './cluster.js';
import { differences, type Snapshot, snapshot, snapshotOfAll } from './compare.js';
import type { Reported } from './reports.js';
import { type Server, type ServerOptions, startServer } from './servers.js';
import { forgetRuns } from './state.js';

export interface Stage {
  readonly source: Server;
  readonly cluster: TestCluster;
  /** `--from … --to …` */
  readonly endpoints: readonly string[];
  /** How the cluster differs from what the source once held: nothing, when all arrived. */
  missingIn(before: Snapshot): Promise<readonly string[]>;
  /** That a run ended well, and all that the source held before it is in the cluster, and only there. */
  expectComplete(before: Snapshot, run: Reported): Promise<void>;
  /** How the source differs from what it once held. */
  changedAtSource(before: Snapshot): Promise<readonly string[]>;
}

interface StageOptions {
  readonly source?: ServerOptions;
  readonly cluster?: ClusterOptions;
  /** Servers of its own for each test: for those that change the cluster itself. */
  readonly anew?: boolean;
}

/** To be called at the top of a test file; the stage can be used inside of tests. */
export function setStage(options: StageOptions = {}): Stage {
  let source: Server | undefined;
  let cluster: TestCluster | undefined;
  const [before, after] = options.anew ? [beforeEach, afterEach] : [beforeAll, afterAll];
  before(async () => {
    // One after the other, so that one of them is stopped when the other could not be started.
    source = await startServer(options.source);
    cluster = await startCluster(options.cluster);
  });
  after(async () => {
    await Promise.all([source?.stop(), cluster?.stop()]);
    source = cluster = undefined;
  });
  beforeEach(async () => {
    forgetRuns();
    // A test before may have left nodes that others take for dead yet.
    await Promise.all(cluster?.nodes.map(isWell) ?? []);
    await Promise.all([...(source ? [source] : []), ...(cluster?.nodes ?? [])].map(forget));
    await Promise.all([source?.client.flushall(), cluster?.flush()]);
  });
  const up = <T>(what: T | undefined): T => {
    if (what === undefined) throw new Error('the stage is set only inside of tests');
    return what;
  };
  async function missingIn(before: Snapshot): Promise<readonly string[]> {
    const clients = up(cluster).masters.map((node) => node.client);
    return differences(before, await snapshotOfAll(clients));
  }
  return {
    get source() {
      return up(source);
    },
    get cluster() {
      return up(cluster);
    },
    get endpoints() {
      return ['--from', up(source).address, '--to', up(cluster).seed];
    },
    missingIn,
    async expectComplete(before, { code, report }) {
      expect(report.error).toBeUndefined();
      expect(report.failures).toEqual([]);
      expect(code).toBe(0);
      expect(await up(source).client.dbsize()).toBe(0);
      expect(await missingIn(before)).toEqual([]);
    },
    async changedAtSource(before) {
      return differences(before, await snapshot(up(source).client));
    },
  };
}

/** What a run that was killed has sent, and the server has not read yet, is carried out no more. */
async function forget({ client }: Server): Promise<void> {
  await client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
}

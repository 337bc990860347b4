/** The words of the benchmark. A dataset is moved by rivals, in rounds of one trial each. */
import type { Redis } from 'ioredis';
import type { TestCluster } from '../test/support/cluster.js';
import type { Server } from '../test/support/servers.js';

/** What `npm run bench -- <name>` runs. main.ts names them all. */
export interface Benchmark {
  /** What may follow the name. */
  readonly usage: string;
  /**
   * Sets `process.exitCode` if what was demanded did not hold.
   * @throws Error with one plain sentence if it can't be measured.
   */
  readonly run: (args: readonly string[]) => Promise<void>;
}

/** What is moved. Each one is a file of datasets/. */
export interface Dataset {
  /** As `--only` and the results' files name it. */
  readonly name: string;
  readonly title: string;
  readonly keys: number;
  /** For rivals that would take minutes: they are measured on a part, as a rate. */
  readonly slowKeys: number;
  /** The same two with `--quick`. */
  readonly quickKeys: number;
  readonly quickSlowKeys: number;
  /** What a value holds on average, without its key. */
  readonly bytesPerKey: number;
  /** How the floor reads it (rivals/floor.ts). */
  readonly read: 'GET' | 'DUMP';
  /** Whether keys have TTLs, so that these must be read too. */
  readonly expires: boolean;
  fill(source: Server, keys: number): Promise<void>;
}

/** The servers of one trial, and where a rival finds them. */
export interface Scene {
  readonly source: Server;
  readonly from: string;
  readonly to: string;
  /** For the rival's own files; removed afterwards. */
  readonly directory: string;
  readonly dataset: Dataset;
}

/** A program to run. */
export interface Invocation {
  readonly program: string;
  readonly args: readonly string[];
  /** A file; nothing if left out. */
  readonly stdin?: string;
}

/** What moves it. Each one is a file of rivals/. */
export interface Rival {
  /** As `--rivals` names it. */
  readonly name: string;
  readonly title: string;
  readonly isSlow: boolean;
  /** Whether it takes part in `--quick` without being named. */
  readonly isQuick: boolean;
  /** Where all keys must be when it has ended. */
  readonly keysEnd: 'in the cluster' | 'on both sides' | 'nowhere';
  /** Why it can't be run here; undefined when it can. */
  missing(): string | undefined;
  prepare(scene: Scene): Promise<Invocation>;
}

/** The servers that all trials share, and the way to them: a source is made for each trial. */
export interface Arena {
  readonly cluster: TestCluster;
  /** Any node of it, as rivals are told. */
  readonly to: string;
  /** Where rivals find this source. */
  reach(source: Server): Promise<{ readonly from: string; close(): Promise<void> }>;
}

export interface CpuSeconds {
  readonly source: number;
  readonly targets: number;
  readonly client: number;
}

/** How long the source took to answer another client meanwhile. */
export interface Latency {
  readonly samples: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** One rival, run once. */
export interface Trial {
  readonly seconds: number;
  readonly cpuSeconds: CpuSeconds;
  /** Undefined where the system doesn't say. */
  readonly peakBytes: number | undefined;
  readonly latency: Latency | undefined;
}

/** What a program takes before and after its work: a run on an empty source. */
export type StartUp = Pick<Trial, 'seconds' | 'cpuSeconds'>;

/** One rival on one dataset: medians of the rounds. */
export interface Standing {
  readonly rival: string;
  readonly title: string;
  readonly keys: number;
  /** Of the whole process; the rate leaves the start-up out. */
  readonly seconds: number;
  readonly startUpSeconds: number;
  readonly keysPerSecond: number;
  readonly megabytesPerSecond: number;
  /** This rival's rate by another's, round by round, then the median. */
  readonly ratios: Readonly<Record<string, number>>;
  readonly cpuSeconds: CpuSeconds;
  /** Without the start-up. */
  readonly cpuMicrosPerKey: CpuSeconds;
  readonly peakBytes: number | undefined;
  readonly latency: Latency | undefined;
  /** In the order of the rounds. */
  readonly trials: readonly Trial[];
}

/** What follows a source. Each one is a file of followers/. */
export interface Follower {
  readonly name: string;
  /** Why it can't be run here; undefined when it can. */
  missing(): string | undefined;
  start(scene: FollowScene): Promise<Following>;
}

export interface FollowScene {
  readonly source: Server;
  readonly cluster: TestCluster;
  /** For the follower's own files. One that is started again has the same. */
  readonly directory: string;
}

export interface Following {
  readonly service: Service;
  /** Waits until the first copy is made, or it has ended by itself. */
  isFollowing(): Promise<void>;
  /** Where the key is to be found that it has copied. */
  readonly clientFor: (key: string) => Redis;
}

/** A program that runs beside a measurement until it is told to stop. */
export interface Service {
  readonly pid: number;
  /** Whether it has ended by itself. */
  readonly hasEnded: boolean;
  /** The last line of what it said, on either output, that is not indented as a stack is. */
  lastLine(): string;
  /** Kills it without a warning, and waits until it is gone. */
  kill(): Promise<void>;
}

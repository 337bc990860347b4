/**
 * What the compiler takes from programs, and what it does not: `npm run typecheck` is the test, and
 * fails where a line compiles that says it must not.
 */
import { expectTypeOf, it } from 'vitest';
import type * as library from '../../src/index.js';
import type {
  AssessOptions,
  Bytes,
  CheckOptions,
  Duration,
  ImportLimits,
  ImportOptions,
  ImportRun,
  Report,
  ReportedDifference,
  ReportedFailure,
  Snapshot,
  VerifyContext,
  VerifyOptions,
} from '../../src/index.js';
import type { ImportPlan } from '../../src/run/source-runs.js';
import type { SourceJob } from '../../src/workers/source-job.js';

const ends = { from: 'a:1', to: 'b:2' };

/** Compiles what its callers write; that is all it is for. */
type Taker<T> = (...given: readonly T[]) => void;

const takesDuration: Taker<Duration> = () => undefined;
const takesBytes: Taker<Bytes> = () => undefined;
const takesImport: Taker<ImportOptions> = () => undefined;
const takesVerify: Taker<VerifyOptions> = () => undefined;
const takesCheck: Taker<CheckOptions> = () => undefined;
const takesAssess: Taker<AssessOptions> = () => undefined;
const takesLimits: Taker<ImportLimits> = () => undefined;

it('takes times in milliseconds or with a unit, and bytes likewise', () => {
  takesDuration(10_000, '500', '500ms', '10s', '1.5m', '2h');
  takesBytes(4096, '4096', '512b', '64kb', '16mb', '1gb');
  // @ts-expect-error no unit of time
  takesDuration('10mb');
  // @ts-expect-error it is no number
  takesDuration('ten');
  // @ts-expect-error no unit of bytes
  takesBytes('10s');
});

it('takes the options of an import', () => {
  takesImport(
    ends,
    { fromCluster: 'a:1', to: 'b:2', replace: false },
    { ...ends, from: ['a:1', 'a:2'], db: '0,3', copy: true, mover: 'relay', timeoutMs: '10s' },
    { ...ends, splitAboveBytes: '64mb', maxBandwidth: '20mb', maxRate: 5000, minTtlMs: 1000 },
    { ...ends, state: true, control: true, measureLatency: true, metrics: undefined },
    { ...ends, state: './job.state' },
  );
  // @ts-expect-error it needs a target
  takesImport({ from: 'a:1' });
  // @ts-expect-error no such mover
  takesImport({ ...ends, mover: 'teleport' });
  // @ts-expect-error it is true or false
  takesImport({ ...ends, copy: 'yes please' });
  // @ts-expect-error it is a number
  takesImport({ ...ends, maxRate: 'fast' });
  // @ts-expect-error it is no time
  takesImport({ ...ends, timeoutMs: '10 parsecs' });
  // @ts-expect-error it is no amount of bytes
  takesImport({ ...ends, maxBandwidth: '20 MB/s' });
  // @ts-expect-error endpoints are text
  takesImport({ ...ends, from: 6379 });
  // @ts-expect-error it is misspelt
  takesImport({ ...ends, mvoer: 'relay' });
  // @ts-expect-error of the command line
  takesImport({ ...ends, json: true });
  // @ts-expect-error for tests alone
  takesImport({ ...ends, byElements: true });
});

it('takes the options of the other verbs', () => {
  takesVerify(
    { ...ends, sample: '1%' },
    { ...ends, sample: 10_000, ttlToleranceMs: '2s', fast: true, repair: true },
  );
  takesCheck({ to: 'b:2' }, { to: 'b:2', fixKeys: true, toPassword: 'p', timeoutMs: '3s' });
  takesAssess({ from: 'a:1' }, { ...ends, watchMs: '60s', sample: 100, html: 'a.html' });
  // @ts-expect-error it is misspelt
  takesVerify({ ...ends, smaple: '1%' });
  // @ts-expect-error it is no share
  takesVerify({ ...ends, sample: 'some' });
  // @ts-expect-error it is misspelt
  takesCheck({ to: 'b:2', fixkeys: true });
  // @ts-expect-error a check has no source
  takesCheck({ to: 'b:2', fromPassword: 'p' });
  // @ts-expect-error one server after the other
  takesAssess({ from: ['a:1', 'a:2'] });
  // @ts-expect-error it is misspelt
  takesAssess({ ...ends, watch: '60s' });
});

it('takes these very types in its functions', () => {
  expectTypeOf<typeof library.importKeys>().parameter(0).toEqualTypeOf<ImportOptions>();
  expectTypeOf<typeof library.startImport>().parameter(0).toEqualTypeOf<ImportOptions>();
  expectTypeOf<typeof library.verifyKeys>().parameter(0).toEqualTypeOf<VerifyOptions>();
  expectTypeOf<typeof library.checkCluster>().parameter(0).toEqualTypeOf<CheckOptions>();
  expectTypeOf<typeof library.assess>().parameter(0).toEqualTypeOf<AssessOptions>();
});

it('types the events by their names', () => {
  const listen = (run: ImportRun): void => {
    run.on('start', (now) => {
      expectTypeOf(now).toEqualTypeOf<Snapshot>();
    });
    run.on('warning', ({ message }) => {
      expectTypeOf(message).toEqualTypeOf<string>();
    });
    run.on('failure', (failure) => {
      expectTypeOf(failure).toEqualTypeOf<ReportedFailure>();
    });
    run.on('end', (report) => {
      expectTypeOf(report).toEqualTypeOf<Report>();
    });
    run.on('error', (error) => {
      expectTypeOf(error).toEqualTypeOf<Error>();
    });
    // @ts-expect-error no such event
    run.on('ending', () => undefined);
  };
  expectTypeOf(listen).parameter(0).toEqualTypeOf<ImportRun>();
  takesLimits(
    { keysPerSecond: 5000, bytesPerSecond: '20mb', sourceLatencyMs: '5ms' },
    { keysPerSecond: null },
    {},
  );
  // @ts-expect-error the command line's name
  takesLimits({ rate: 5000 });
  // @ts-expect-error it is a number
  takesLimits({ keysPerSecond: 'fast' });
});

/** Of objects, all that they hold, as deep as it goes. */
type Deep<T> = T extends readonly (infer Item)[]
  ? Deep<Item>
  : T extends object
    ? T | { [Name in keyof T]: Deep<T[Name]> }[keyof T]
    : T;

type Foreign = Uint8Array | Date | bigint | ((...words: never[]) => unknown);

it('gives nothing that JSON can not hold', () => {
  type Difference = Parameters<NonNullable<VerifyContext['onDifference']>>[0];
  expectTypeOf<Difference>().toEqualTypeOf<ReportedDifference>();
  type Held = Deep<Snapshot | Report | ReportedFailure | ReportedDifference>;
  expectTypeOf<Extract<Held, Foreign>>().toBeNever();
});

it('plans a run in words of JSON alone', () => {
  expectTypeOf<Extract<Deep<ImportPlan | Omit<SourceJob, 'origins'>>, Foreign>>().toBeNever();
});

import { describe, expect, it } from 'vitest';
import { UsageError } from '../../../src/errors.js';
import { readCliOptions, readOptions } from '../../../src/options/options.js';
import { readVerifyOptions } from '../../../src/options/verb-options.js';

const pair = { from: 'a:1', to: 'b:2' };

it('fills in the defaults', () => {
  expect(readOptions(pair)).toMatchObject({
    from: ['a:1'],
    to: 'b:2',
    fromPassword: undefined,
    toPassword: undefined,
    copy: false,
    replace: undefined,
    mover: 'auto',
    timeoutMs: 10_000,
    metrics: undefined,
    report: undefined,
    quiet: false,
  });
  expect(readCliOptions({})).toMatchObject({ json: false });
});

describe('durations', () => {
  it.each([
    [250, 250],
    ['500', 500],
    ['500ms', 500],
    ['1.5s', 1500],
    ['2m', 120_000],
    ['1 H', 3_600_000],
  ])('reads %s', (timeoutMs, expected) => {
    expect(readOptions({ ...pair, timeoutMs }).timeoutMs).toBe(expected);
  });

  it.each([0, -1, 1.5, NaN, '', '10 parsecs', '0.5ms', '2h', 'ten', '1e3'])(
    'refuses %s',
    (timeoutMs) => {
      expect(() => readOptions({ ...pair, timeoutMs })).toThrow(UsageError);
      expect(() => readOptions({ ...pair, timeoutMs })).toThrow(/--timeout must be from 1 to/);
    },
  );
});

describe('a time without a unit', () => {
  it.each(['5', '60', '99'])('%s is asked back where it is most likely seconds', (timeoutMs) => {
    expect(() => readOptions({ ...pair, timeoutMs })).toThrow(
      `--timeout ${timeoutMs} is ${timeoutMs} ms: give its unit, as in ${timeoutMs}s or ${timeoutMs}ms.`,
    );
  });

  it('is asked back where it is below what is allowed, and of the tolerance of verify', () => {
    expect(() => readOptions({ ...pair, maxHoldMs: '5' })).toThrow(
      '--max-hold 5 is 5 ms: give its unit, as in 5s.',
    );
    expect(() => readOptions({ ...pair, maxHoldMs: '5ms' })).toThrow(/must be from 10 to/);
    expect(() => readVerifyOptions({ ...pair, ttlToleranceMs: '5' })).toThrow(
      '--ttl-tolerance 5 is 5 ms: give its unit, as in 5s or 5ms.',
    );
    expect(readVerifyOptions({ ...pair, ttlToleranceMs: '0' }).ttlToleranceMs).toBe(0);
  });

  it('is taken as it is where it says what it is, from programs, and where it is short by nature', () => {
    expect(readOptions({ ...pair, timeoutMs: '5ms' }).timeoutMs).toBe(5);
    expect(readOptions({ ...pair, timeoutMs: 5 }).timeoutMs).toBe(5);
    expect(readOptions({ ...pair, retryForMs: '0' }).retryForMs).toBe(0);
    expect(readOptions({ ...pair, maxSourceLatencyMs: '5' }).maxSourceLatencyMs).toBe(5);
  });
});

describe('what it refuses, naming the flag', () => {
  it.each([
    [
      { ...pair, metricsLingerSeconds: 'foo' },
      /^--metrics-linger must be from 0 to 86400, written as a whole number, and not "foo"\.$/,
    ],
    [{ from: 'a:1' }, /^--to is missing/],
    [{ from: '', to: 'b:2' }, /^--from is empty/],
    [
      { ...pair, mover: 'carrier-pigeon' },
      /^--mover must be one of auto, relay, migrate, and not "carrier-pigeon"\.$/,
    ],
    [
      { ...pair, mover: 'rely' },
      /^--mover must be one of auto, relay, migrate: did you mean relay\?$/,
    ],
    [
      { ...pair, maxBandwidth: 'much' },
      /^--max-bandwidth must be from 0 bytes up, written as .*, and not "much"\.$/,
    ],
    [{ ...pair, copy: 'yes' }, /^--copy is true or false/],
    [{ ...pair, replace: 1 }, /^--replace is true or false/],
    [{ ...pair, speed: 9 }, /no option named speed/],
  ])('%o', (options, message) => {
    expect(() => readOptions(options)).toThrow(UsageError);
    expect(() => readOptions(options)).toThrow(message);
  });
});

it('takes an empty password variable for an unset one', () => {
  expect(readOptions({ ...pair, fromPassword: '' }).fromPassword).toBeUndefined();
});

import { describe, expect, it } from 'vitest';
import { summarizeVerify, type VerifyReport } from '../../../src/verify/verify-report.js';

const counts = { missing: 0, extra: 0, type: 0, value: 0, ttl: 0, misplaced: 0 };

function reportOf(
  keys: Partial<VerifyReport['keys']>,
  more: Partial<VerifyReport> = {},
): VerifyReport {
  return {
    ...{ status: 'different', from: ['a:1/0'], to: 'b:2', fast: false, durationMs: 1000 },
    keys: { compared: 10, gone: 0, lookedBack: 12, repaired: 0, ...counts, ...keys },
    ...{ keysPerSecond: 10, differences: [], version: '1.2.3', ...more },
  };
}

const withRepair = /The same command with --repair copies/;
const withDelete = /--repair deletes no extra keys/;

describe('the report of a comparison', () => {
  it('says what was looked up where', () => {
    expect(summarizeVerify(reportOf({}, { status: 'equal' }))).toContain(
      '\n  looked up    12  keys of the cluster, at the source\n',
    );
  });

  it('ends with what to do about each kind of difference', () => {
    const missing = summarizeVerify(reportOf({ missing: 1 }));
    expect(missing).toMatch(withRepair);
    expect(missing).not.toMatch(withDelete);
    const extra = summarizeVerify(reportOf({ extra: 2 }));
    expect(extra).toMatch(withDelete);
    expect(extra).not.toMatch(withRepair);
    const misplaced = summarizeVerify(reportOf({ misplaced: 1 }));
    expect(misplaced).toMatch(/check --fix-keys takes misplaced keys/);
  });

  it('does not send what was just repaired to be repaired', () => {
    const text = summarizeVerify(reportOf({ value: 1, extra: 1 }), undefined, true);
    expect(text).not.toMatch(withRepair);
    expect(text).toMatch(withDelete);
  });

  it.each(['interrupted', 'failed'] as const)('gives no such advice where it was %s', (status) => {
    const text = summarizeVerify(reportOf({ missing: 1, extra: 1 }, { status }));
    expect(text).not.toMatch(/--repair/);
  });

  it('has nobody delete what a move has taken from the source', () => {
    const text = summarizeVerify(reportOf({ compared: 0, extra: 5 }));
    expect(text).toContain('No source holds a key.');
    expect(text).not.toMatch(withDelete);
  });
});

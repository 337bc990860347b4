import colours from 'picocolors';
import { describe, expect, it } from 'vitest';
import { type CheckReport, summarizeCheck } from '../../../src/check/check-report.js';

const node = {
  role: 'master',
  slots: 8192,
  replicas: 1,
  strayKeys: 0,
  product: 'Redis 7.0.15',
  keys: 1000,
  memory: { usedBytes: 2_000_000, limitBytes: null },
  master: null,
  lagBytes: null,
} as const;
const sound: CheckReport = {
  status: 'sound',
  to: 'a:1',
  nodes: [
    { ...node, address: 'a:1' },
    { ...node, address: 'a:2', replicas: 0, memory: { usedBytes: 95, limitBytes: 100 } },
    {
      ...{ ...node, address: 'a:3', role: 'replica', slots: 0, replicas: 0 },
      master: 'a:1',
      lagBytes: 2048,
    },
  ],
  ownerless: { count: 0, slots: '' },
  problems: [{ kind: 'no-replicas', node: 'a:2', message: 'a:2 has no replica.' }],
  version: '1.2.3',
};

describe('the report of a check', () => {
  it('says what holds, and shows each node with its replicas below it', () => {
    const lines = summarizeCheck(sound).split('\n');
    expect(lines).toEqual([
      '✓ Sound: the cluster of a:1, 2 masters, 2,000 keys',
      '✓ 16,384 of 16,384 slots have one owner each',
      '',
      '  ✓ a:1  master   8,192 slots  1 replica      1,000 keys  2.0 MB         Redis 7.0.15',
      '  ✓ a:3  replica               2.0 KB behind  1,000 keys  2.0 MB         Redis 7.0.15',
      '  ! a:2  master   8,192 slots  0 replicas     1,000 keys  95 B of 100 B  Redis 7.0.15',
      '',
      '  ! no-replicas       a:2 has no replica.',
      '',
    ]);
  });

  it('is green, yellow and red', () => {
    const bright = colours.createColors(true);
    const text = summarizeCheck(sound, bright);
    expect(text).toMatch(/^\u001b\[32m✓ Sound/);
    expect(text).toContain('\u001b[33m!\u001b[39m a:2');
    const message = 'No node owns 5 slots (1-5), says a:1.';
    const unsound = summarizeCheck(
      { ...sound, status: 'unsound', problems: [{ kind: 'slots-uncovered', count: 5, message }] },
      bright,
    );
    expect(unsound).toMatch(/^\u001b\[31m✗ Unsound/);
    expect(unsound).toContain(`\u001b[31m  ✗ slots-uncovered   ${message}`);
  });

  it('names the slots whose owner does not answer, and is not green there', () => {
    const bright = colours.createColors(true);
    const text = summarizeCheck(
      { ...sound, status: 'unsound', ownerless: { count: 5461, slots: '0-5460' } },
      bright,
    );
    expect(text).toContain(
      '\u001b[31m✗ 10,923 of 16,384 slots have an owner that answers: none has 0-5460\u001b[39m',
    );
    expect(text).not.toContain('one owner each');
  });

  it('says once what several nodes lack, or say', () => {
    const problems = ['a:1', 'a:2'].flatMap((address) => [
      { kind: 'no-replicas', node: address, message: 'none' } as const,
      { kind: 'state', node: address, message: 'fail' } as const,
    ]);
    const text = summarizeCheck({ ...sound, status: 'unsound', problems });
    expect(text.match(/no-replicas/g)).toHaveLength(1);
    expect(text).toContain('2 masters have no replica: if one is lost, so are its keys.');
    expect(text).toContain('The cluster is not "ok", say a:1, a:2.');
  });
});

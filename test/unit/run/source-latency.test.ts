import { expect, it } from 'vitest';
import { createAllowance } from '../../../src/limits/limits.js';
import type { ServerSourceFacts } from '../../../src/plan/source-facts.js';
import { probeServers } from '../../../src/run/source-latency.js';
import { answering, mockServer } from '../../support/mock-server.js';

async function limitAt(...answers: string[]): Promise<number | undefined> {
  const { endpoint } = await mockServer(answering(...answers));
  const source = { endpoint } as ServerSourceFacts;
  const latency = probeServers([{ source, allowance: createAllowance() }], {
    maxSourceLatencyMs: 'auto',
    timeoutMs: 300,
  } as Parameters<typeof probeServers>[1]);
  try {
    await latency.ready(AbortSignal.timeout(20_000));
    return latency.limitMs;
  } finally {
    latency.stop();
  }
}

it('spares nobody at a source that does not answer', async () => {
  expect(await limitAt()).toBeUndefined();
});

it('spares whoever may be there where it may not be asked', async () => {
  const no = '-NOPERM no\r\n';
  expect(await limitAt('+OK\r\n', no, no, no, no)).toBe(2);
});

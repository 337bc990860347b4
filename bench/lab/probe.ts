/** Starts the probe (probe-process.ts), and asks it what it saw. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Server } from '../../test/support/servers.js';
import type { Latency } from '../types.js';

const program = fileURLToPath(new URL('./probe-process.ts', import.meta.url));

export interface Probe {
  /** Begins to count; before, it has asked for nothing but to be warm. */
  record(): void;
  stop(): Promise<Latency>;
}

/** @param perSecond how often it asks; 1,000 if not given, and no less. */
export async function startProbe(source: Server, perSecond = 1000): Promise<Probe> {
  const child = fork(program, [source.host, String(source.port), String(perSecond / 1000)], {
    execArgv: ['--import', 'tsx'],
    detached: true,
  });
  await once(child, 'message');
  try {
    // A client on another machine would not wait for a core of this one. Only root may.
    if (child.pid !== undefined) setPriority(child.pid, -10);
  } catch {
    // Then some of what it sees is its own waiting.
  }
  return {
    record() {
      child.send('record');
    },
    async stop() {
      child.send('stop');
      const [latency] = (await once(child, 'message')) as [Latency];
      return latency;
    },
  };
}

/** What the numbers were measured on: without that they mean nothing. */
import { execFileSync } from 'node:child_process';
import { availableParallelism, cpus, release, totalmem, type } from 'node:os';
import { findRedis } from '../../scripts/find-redis.mjs';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly system: string;
  readonly node: string;
  readonly redisServer: string;
  readonly redisCli: string;
}

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    system: `${type()} ${release()}`,
    node: process.versions.node,
    redisServer: versionOf('redis-server'),
    redisCli: versionOf('redis-cli'),
  };
}

export function machineLine(machine: Machine): string {
  const memory = `${String(Math.round(machine.memoryBytes / 2 ** 30))} GiB`;
  return (
    `${machine.cpu}, ${String(machine.cores)} cores, ${memory}, ${machine.system}; ` +
    `Node ${machine.node}, redis-server ${machine.redisServer}, redis-cli ${machine.redisCli}; ` +
    'source, three masters and client on this one machine'
  );
}

function versionOf(name: 'redis-server' | 'redis-cli'): string {
  const program = findRedis(name);
  if (program === undefined) return 'none';
  const words = execFileSync(program, ['--version'], { encoding: 'utf8' });
  return /\d+\.\d+\.\d+/.exec(words)?.[0] ?? 'unknown';
}

/**
 * RedisShake 4, when REDIS_SHAKE names its program. It copies and never deletes, so it does less than
 * the others. Its scan reader DUMPs key by key; its sync reader is a replica that reads the RDB file,
 * and is told not to go on with what is written later, so that it ends.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Rival, Scene } from '../types.js';

function redisShake(reader: 'scan' | 'sync', settings: readonly string[]): Rival {
  return {
    name: `shake-${reader}`,
    title: `RedisShake, ${reader} (copies only)`,
    isSlow: false,
    isQuick: true,
    keysEnd: 'on both sides',
    missing: absence,
    async prepare(scene) {
      const file = join(scene.directory, 'shake.toml');
      await writeFile(file, shakeConfig(scene, reader, settings));
      return { program: shakeProgram(), args: [file] };
    },
  };
}

/** '' where it is not known. */
export function shakeProgram(): string {
  return process.env['REDIS_SHAKE'] ?? '';
}

/** Why it can't be run; undefined when it can. */
export function absence(): string | undefined {
  return shakeProgram() === '' ? 'REDIS_SHAKE does not name its program' : undefined;
}

/** The text of its shake.toml. */
export function shakeConfig(
  scene: Pick<Scene, 'directory' | 'from' | 'to'>,
  reader: 'scan' | 'sync',
  settings: readonly string[],
): string {
  return [
    `[${reader}_reader]`,
    'cluster = false',
    `address = "${scene.from}"`,
    ...settings,
    '[redis_writer]',
    'cluster = true',
    `address = "${scene.to}"`,
    '[advanced]',
    `dir = "${join(scene.directory, 'shake')}"`,
    'log_level = "warn"',
    'rdb_restore_command_behavior = "rewrite"',
    '',
  ].join('\n');
}

export const shakeScan = redisShake('scan', ['scan = true', 'ksn = false', 'count = 1000']);
export const shakeSync = redisShake('sync', ['sync_rdb = true', 'sync_aof = false']);

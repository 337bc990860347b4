/**
 * Installs redis-server and redis-cli with the system's package manager, where there is one.
 *
 * No service may come with it: a Redis on port 6379 that nobody asked for is worse than none. Debian
 * and Ubuntu start one as soon as the package `redis-server` is installed. Their package
 * `redis-tools` holds no service, but the whole server all the same: it is one program that looks
 * at the name it was called by, and there it is called redis-check-rdb. So we install that, and
 * link it under its other name into the project's own folder. The other package managers listed
 * here start nothing by themselves.
 */
import { mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { findProgram, findRedis, toolsDirectory } from './find-redis.mjs';
import { runs } from './runs.mjs';

const systemPlaces = ['/usr/bin', '/bin', '/usr/sbin', '/sbin', '/usr/local/bin'];
const brewPlaces = ['/opt/homebrew/bin', '/home/linuxbrew/.linuxbrew/bin'];

/** How each package manager is asked; the first that is there is taken, its lines one by one. */
const managers = [
  {
    name: 'apt-get',
    steps: [
      ['update', '-q'],
      ['install', '-q', '-y', '--no-install-recommends', 'redis-tools'],
    ],
    finish: linkDebianServer,
  },
  { name: 'dnf', steps: [['install', '-y', 'redis']] },
  { name: 'yum', steps: [['install', '-y', 'redis']] },
  { name: 'apk', steps: [['add', '--no-cache', 'redis']] },
  { name: 'pacman', steps: [['-S', '--noconfirm', '--needed', 'valkey']] },
  // Homebrew installs into the user's own folder, and refuses to run as root.
  { name: 'brew', steps: [['install', 'redis']], asUser: true },
];

/** Does what it can; the caller looks again whether the programs are there now. */
export function installRedis() {
  const path = (process.env['PATH'] ?? '').split(delimiter).filter((place) => place !== '');
  const places = [...path, ...systemPlaces, ...brewPlaces];
  for (const manager of managers) {
    const program = findProgram([manager.name], places);
    if (program === undefined) continue;
    console.error(`setup: installing Redis with ${manager.name}`);
    const command = manager.asUser ? [program] : asRoot(program, places);
    if (command === undefined) {
      console.error(`setup: ${manager.name} needs root, and sudo would ask for a password`);
      return;
    }
    if (manager.steps.every((step) => runs([...command, ...step]))) manager.finish?.();
    return;
  }
}

/**
 * @param {string} program
 * @param {readonly string[]} places
 * @returns {string[] | undefined}
 */
function asRoot(program, places) {
  if (process.getuid?.() === 0) return [program];
  const sudo = findProgram(['sudo'], places);
  return sudo !== undefined && runs([sudo, '-n', 'true']) ? [sudo, '-n', program] : undefined;
}

function linkDebianServer() {
  if (findRedis('redis-server') !== undefined) return;
  mkdirSync(toolsDirectory, { recursive: true });
  const link = join(toolsDirectory, 'redis-server');
  rmSync(link, { force: true });
  symlinkSync('/usr/bin/redis-check-rdb', link);
  if (!runs([link, '--version'])) {
    rmSync(link);
    console.error('setup: redis-tools holds no server here');
  }
}

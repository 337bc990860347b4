/**
 * Makes a fresh clone ready: packages, the build, redis-server and redis-cli.
 *
 * `npm test` and `npm run demo` begin with it, so that each works as the only command anybody runs.
 * It runs when node_modules may not exist yet, so it is plain Node; and it runs every time, so it is
 * quick and says nothing when there is nothing to do.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { findRedis } from './find-redis.mjs';
import { installRedis } from './install-redis.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

try {
  checkNode();
  if (!packagesAreCurrent()) installPackages();
  build();
  if (!hasRedis()) {
    installRedis();
    if (!hasRedis()) {
      throw new Error(
        'redis-server and redis-cli are missing: install Redis 6.0 or newer (for example ' +
          '"apt-get install redis-server", "dnf install redis" or "brew install redis"), name them ' +
          'in REDIS_SERVER and REDIS_CLI, or try the tool with docker-compose.yml.',
      );
    }
  }
} catch (error) {
  console.error(`setup: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}

function checkNode() {
  const major = Number(process.versions.node.split('.', 1)[0]);
  if (major < 20) {
    throw new Error(`Node ${process.versions.node} is too old: install Node 20 or newer.`);
  }
}

function hasRedis() {
  return findRedis('redis-server') !== undefined && findRedis('redis-cli') !== undefined;
}

/**
 * Whether node_modules holds what package-lock.json says. npm leaves a lock of what it installed
 * there; comparing the two is exact, where comparing their times is not (a checkout changes times).
 */
function packagesAreCurrent() {
  const installedLock = `${root}node_modules/.package-lock.json`;
  if (!existsSync(installedLock)) return false;
  const wanted = readLock(`${root}package-lock.json`);
  const installed = readLock(installedLock);
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '') return true;
    const present = installed[path];
    // Packages for other platforms stand in the lock, and are rightly absent.
    if (present === undefined) return entry.optional === true;
    return present.version === entry.version && present.integrity === entry.integrity;
  });
}

/**
 * The packages of a lock file, by their paths.
 * @param {string} path
 */
function readLock(path) {
  /** @type {{ packages: Record<string, { version?: string, integrity?: string, optional?: boolean }> }} */
  const lock = JSON.parse(readFileSync(path, 'utf8'));
  return lock.packages;
}

function installPackages() {
  console.error('setup: installing packages (npm ci)');
  // As the npm that runs this script, whichever it is; shell: npm is a .cmd file on Windows.
  const npm = process.env['npm_execpath'];
  const words = ['ci', '--include=dev', '--no-audit', '--no-fund'];
  if (npm?.endsWith('.js')) run(process.execPath, [npm, ...words]);
  else run('npm', words, { shell: process.platform === 'win32' });
}

/** With nothing changed this takes a second or two. */
function build() {
  run(process.execPath, [`${root}scripts/build.mjs`]);
}

/**
 * Standard output belongs to whoever asked for the setup, so everything goes to standard error.
 * @param {string} program
 * @param {readonly string[]} words
 * @param {{ shell?: boolean }} [options]
 */
function run(program, words, options = {}) {
  try {
    execFileSync(program, words, { cwd: root, stdio: ['ignore', 2, 2], ...options });
  } catch (error) {
    throw new Error(`${[program, ...words].join(' ')} failed`, { cause: error });
  }
}

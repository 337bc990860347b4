/**
 * Fetches the servers of Debian's present and next release (Redis 8, Valkey 8 and 9), for the tests that
 * need them, with the system's own apt-get.
 *
 * Nothing of the system is changed: apt-get works in a folder of its own, with the machine's mirror and
 * keys, and only downloads. The packages are unpacked into the project's folder, with the C library that they were
 * built for, and started through its loader, so they run whatever this machine's release is.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serversDirectory } from './find-tools.mjs';

/** Later ones win where both have a server of the same name. */
const suites = ['stable', 'testing'];
/** As with the system's own Redis, the tools' package holds the whole server under another name. */
const products = [
  { name: 'redis', package: 'redis-tools', programs: ['redis-server', 'redis-check-rdb'] },
  { name: 'valkey', package: 'valkey-tools', programs: ['valkey-server', 'valkey-check-rdb'] },
];

/** @returns why there are none; undefined: they are there now. */
export function installServers() {
  const mirror = mirrorOf();
  if (mirror === undefined) return 'apt-get has no mirror of Debian here';
  const work = mkdtempSync(join(tmpdir(), 'cluster-import-apt-'));
  try {
    for (const suite of suites) installSuite(work, mirror, suite);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message.split('\n', 1)[0] : String(error);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** The one from which this machine's own packages come. */
function mirrorOf() {
  try {
    const format = '$(REPO_URI) $(LABEL)';
    const lines = run('apt-get', ['indextargets', '--format', format, 'Created-By: Packages']);
    return lines
      .split('\n')
      .find((line) => line.endsWith(' Debian'))
      ?.split(' ', 1)[0];
  } catch {
    return undefined;
  }
}

/**
 * @param {string} work
 * @param {string} mirror
 * @param {string} suite
 */
function installSuite(work, mirror, suite) {
  const folder = join(work, suite);
  for (const part of ['lists/partial', 'archives/partial']) {
    mkdirSync(join(folder, part), { recursive: true });
  }
  writeFileSync(join(folder, 'sources.list'), `deb ${mirror} ${suite} main\n`);
  writeFileSync(join(folder, 'status'), '');
  writeFileSync(
    join(folder, 'apt.conf'),
    [
      `Dir::Etc::sourcelist "${folder}/sources.list";`,
      'Dir::Etc::sourceparts "-";',
      'Dir::Etc::preferencesparts "-";',
      `Dir::State::lists "${folder}/lists";`,
      `Dir::State::status "${folder}/status";`,
      `Dir::Cache "${folder}";`,
      `Dir::Cache::archives "${folder}/archives";`,
      // Its user could not write to a folder of ours.
      'APT::Sandbox::User "root";',
      'Acquire::Languages "none";',
      'Debug::NoLocking "1";',
    ].join('\n'),
  );
  const env = { APT_CONFIG: join(folder, 'apt.conf') };
  run('apt-get', ['update', '-q'], { env });
  for (const product of products) installServer(folder, env, product);
}

/**
 * @param {string} folder
 * @param {Record<string, string>} env
 * @param {(typeof products)[number]} product
 */
function installServer(folder, env, product) {
  const asked = ['install', '-s', '-q', '--no-install-recommends', product.package];
  const needed = run('apt-get', asked, { env })
    .split('\n')
    .flatMap((line) => /^Inst (\S+)/.exec(line)?.[1] ?? [])
    // Nothing is installed, so nothing but libraries is needed.
    .filter((name) => name === product.package || name.startsWith('lib'));
  const archives = join(folder, 'archives');
  const root = join(folder, product.name);
  mkdirSync(root);
  run('apt-get', ['download', '-q', ...needed], { env, cwd: archives });
  for (const file of readdirSync(archives).filter((one) => one.endsWith('.deb'))) {
    run('dpkg-deb', ['-x', join(archives, file), root]);
    rmSync(join(archives, file));
  }
  const program = product.programs
    .map((name) => join('usr', 'bin', name))
    .find((path) => existsSync(join(root, path)));
  const loader = loaderIn(root);
  if (program === undefined || loader === undefined) {
    throw new Error(`${product.package} holds no server`);
  }
  keep(root, program, loader, product.name);
}

/**
 * The C library's loader, below a root.
 * @param {string} root
 */
function loaderIn(root) {
  for (const place of ['lib64', 'lib', 'usr/lib64', 'usr/lib']) {
    const folder = join(root, place);
    const names = existsSync(folder) ? readdirSync(folder) : [];
    const name = names.find((one) => one.startsWith('ld-linux'));
    if (name !== undefined) return join(place, name);
  }
  return undefined;
}

/**
 * Takes what was unpacked over under the server's name, `redis-8` say, with a program that starts it.
 * @param {string} root
 * @param {string} program
 * @param {string} loader
 * @param {string} product
 */
function keep(root, program, loader, product) {
  const said = run(...started(root, program, loader, product, ['--version']));
  const major = /v=(\d+)/.exec(said)?.[1];
  if (major === undefined) throw new Error(`${product} does not start here`);
  const name = `${product}-${major}`;
  const home = join(serversDirectory, `${name}.d`);
  mkdirSync(serversDirectory, { recursive: true });
  rmSync(home, { recursive: true, force: true });
  run('cp', ['-a', root, home]);
  rmSync(join(home, 'usr', 'share'), { recursive: true, force: true });
  const [words, args] = started(home, program, loader, product, []);
  const command = [words, ...args].map((word) => `'${word}'`).join(' ');
  const file = join(serversDirectory, name);
  // Whoever looks for it finds it whole.
  writeFileSync(`${file}.new`, `#!/bin/sh\nexec ${command} "$@"\n`);
  chmodSync(`${file}.new`, 0o755);
  renameSync(`${file}.new`, file);
}

/**
 * @param {string} root
 * @param {string} program
 * @param {string} loader
 * @param {string} product
 * @param {readonly string[]} words
 * @returns {[string, readonly string[]]}
 */
function started(root, program, loader, product, words) {
  const libraries = ['lib', 'usr/lib']
    .map((place) => join(root, place))
    .flatMap((place) => {
      const below = existsSync(place) ? readdirSync(place) : [];
      return below.filter((one) => one.includes('-linux-')).map((one) => join(place, one));
    });
  const how = ['--argv0', `${product}-server`, '--library-path', libraries.join(':')];
  return [join(root, loader), [...how, join(root, program), ...words]];
}

/**
 * What a command prints; it throws when the command fails.
 * @param {string} program
 * @param {readonly string[]} words
 * @param {{ env?: Record<string, string>, cwd?: string }} [options]
 */
function run(program, words, { env = {}, ...options } = {}) {
  return execFileSync(program, words, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', ...env },
    ...options,
  });
}

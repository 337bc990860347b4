/**
 * `npm run setup:tools`: what some tests need besides Redis. promtool, Prometheus and its Pushgateway
 * prove the metrics, the rules and the dashboard; Chromium proves the page; RediSearch is a module with
 * types of its own; Redis 8 and Valkey 8 and 9 are what people move between today. Where one is missing, `npm test` says so and leaves those tests out; continuous integration runs this first.
 *
 * Debian's packages of all but Chromium start services when they are installed, or bring what does, so
 * they are only unpacked, into the project's own folder, without root. Chromium starts nothing, and is installed.
 */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { toolsDirectory } from './find-redis.mjs';
import { findTool, toolNames } from './find-tools.mjs';
import { installServers } from './install-servers.mjs';
import { runs } from './runs.mjs';

const packages = {
  promtool: 'prometheus',
  pushgateway: 'prometheus-pushgateway',
  redisearch: 'redis-redisearch',
};
/** What apt-get downloads lands where it is run. */
const inTools = { cwd: toolsDirectory };
const missing = toolNames.filter((name) => findTool(name) === undefined);

if (missing.length > 0) install();
if (missing.some((name) => /^(redis|valkey)-\d/.test(name))) {
  const why = installServers();
  if (why !== undefined) console.error(`setup: no later servers: ${why}`);
}
for (const name of toolNames) {
  if (findTool(name) === undefined) console.error(`setup: ${name} is not installed`);
}

function install() {
  mkdirSync(toolsDirectory, { recursive: true });
  runs(['apt-get', 'update', '-q'], inTools);
  for (const [name, pack] of Object.entries(packages)) {
    if (!missing.some((one) => one === name)) continue;
    if (!runs(['apt-get', 'download', '-q', pack], inTools)) continue;
    const file = readdirSync(toolsDirectory).find((one) => one.startsWith(`${pack}_`));
    if (file === undefined) continue;
    runs(['dpkg-deb', '-x', join(toolsDirectory, file), toolsDirectory], inTools);
    rmSync(join(toolsDirectory, file));
  }
  if (missing.includes('chromium')) {
    runs(['apt-get', 'install', '-q', '-y', '--no-install-recommends', 'chromium'], inTools);
  }
}

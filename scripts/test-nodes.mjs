/**
 * `npm run test:nodes`: the unit suite and a few whole runs with other releases of Node (22 and 24, or those that are
 * named: `npm run test:nodes -- 22`). npm fetches them: its packages `node` carry the program.
 */
import { spawnSync } from 'node:child_process';

const usual = ['22', '24'];
/** From options and a dump to moving, following and verifying; the whole suite takes too long for each. */
const runs = [
  'test/e2e/import/values.test.ts',
  'test/e2e/import/elements.test.ts',
  'test/e2e/import/tls.test.ts',
  'test/e2e/verify/verify-imports.test.ts',
  'test/e2e/files/dump.test.ts',
  'test/e2e/package.test.ts',
];

const asked = process.argv.slice(2);
let hasFailed = false;
for (const release of asked.length > 0 ? asked : usual) {
  for (const words of [
    ['run', '--project', 'unit'],
    ['run', '--project', 'e2e', ...runs],
  ]) {
    console.log(`Node ${release}: vitest ${words.join(' ')}`);
    const vitest = ['node', 'node_modules/vitest/vitest.mjs', ...words];
    // The tests start the command line with the Node that they run on.
    const { status } = spawnSync('npx', ['--yes', '-p', `node@${release}`, '--', ...vitest], {
      stdio: 'inherit',
    });
    if (status !== 0) hasFailed = true;
  }
}
process.exitCode = hasFailed ? 1 : 0;

/** `npm run demo:live` keeps what it says, finds what is missing, and leaves nothing behind. */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { startApplication } from '../../../scripts/demo-application.js';
import { ping } from '../../support/ping.js';
import { startServer, using } from '../../support/servers.js';
import { waitFor } from '../../support/wait.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));

/** @param stopAt a signal is sent once this was said. */
async function demo(stopAt?: RegExp): Promise<{ code: number | null; said: string }> {
  const child = spawn(process.execPath, ['--import', 'tsx', 'scripts/demo-live.ts'], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  let hasStopped = false;
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      if (hasStopped || stopAt?.test(said) !== true) return;
      hasStopped = true;
      child.kill('SIGTERM');
    });
  }
  return new Promise((resolve) => {
    child.once('close', (code) => {
      resolve({ code, said });
    });
  });
}

/** The servers that it has named are gone. */
async function expectNothingLeft(said: string): Promise<void> {
  const [, from = '', to = ''] =
    /--from 127\.0\.0\.1:(\d+) --to 127\.0\.0\.1:(\d+)/.exec(said) ?? [];
  for (const port of [Number(from), Number(to)]) {
    expect(port).toBeGreaterThan(0);
    expect(await ping('127.0.0.1', port, 1000)).toBe(false);
  }
}

it('moves an application that goes on writing, and finds all of its writes', async () => {
  const { code, said } = await demo();
  expect(said).toMatch(/^Cut over: writes were held for \d+ ms\.$/m);
  const [, acknowledged] = /^Acknowledged to the application: ([\d,]+) writes/m.exec(said) ?? [];
  expect(said).toContain(`Found in the cluster:            ${acknowledged ?? '?'}, `);
  expect(said).toMatch(/the application waited \d+ ms at most for a write\.$/m);
  expect(code).toBe(0);
  await expectNothingLeft(said);
});

it('stops what it has started when it is interrupted', async () => {
  const { code, said } = await demo(/follows the source\./);
  expect(said).toContain('Interrupted: the servers are stopped');
  expect(code).toBe(143);
  await expectNothingLeft(said);
});

it('names what was acknowledged and is not there', async () => {
  await using(startServer(), async ({ address, client, directory }) => {
    const file = join(directory, 'redis-address');
    writeFileSync(file, address);
    const application = startApplication(file);
    await waitFor('a counter and a list', async () => {
      const keys = (await client.keys('*')).map((key) => key.split(':', 1)[0]);
      return keys.includes('counter') && keys.includes('list');
    });
    await application.stop();
    expect(application.isSwitched).toBe(false);
    expect(application.keys).toBe(await client.dbsize());
    expect(await application.missingIn(client)).toEqual([]);
    const [counter = ''] = await client.keys('counter:*');
    const [list = ''] = await client.keys('list:*');
    await client.decr(counter);
    await client.rpop(list);
    expect(await application.missingIn(client)).toEqual(
      expect.arrayContaining([
        expect.stringMatching(`^${counter}: `),
        expect.stringMatching(`^${list}: `),
      ]),
    );
  });
});

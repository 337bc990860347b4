/** The commands of docs/moving.md do what the page says, as they are written there. */
import { readFile } from 'node:fs/promises';
import { delimiter, dirname } from 'node:path';
import { expect, it } from 'vitest';
import { findRedis } from '../../../scripts/find-redis.mjs';
import { fillMixed } from '../../support/bulk.js';
import { runCli } from '../../support/cli.js';
import { freePort } from '../../support/ports.js';
import { startServer, using } from '../../support/servers.js';
import { setStage } from '../../support/stage.js';

const stage = setStage();
/** Files are loaded by the server that is found there. */
const path = [dirname(findRedis('redis-server') ?? ''), process.env['PATH']].join(delimiter);

/** The commands below each heading. */
async function commands(): Promise<ReadonlyMap<string, readonly string[]>> {
  const page = await readFile(new URL('../../../docs/moving.md', import.meta.url), 'utf8');
  const sections = page.split(/^## /m).slice(1);
  return new Map(
    sections.map((section) => [
      section.slice(0, section.indexOf('\n')),
      [...section.matchAll(/^ *cluster-import (.*)$/gm)].map(([, words = '']) => words),
    ]),
  );
}

it('runs every command of the page', async () => {
  await using(startServer({ config: ['appendonly yes'] }), async (other) => {
    const sections = await commands();
    expect([...sections.values()].map(({ length }) => length)).toEqual([5, 5, 3, 2, 0, 4, 0]);
    for (const [heading, lines] of sections) {
      await Promise.all([stage.source.client.flushall(), stage.cluster.flush()]);
      await fillMixed(stage.source, 600);
      await other.client.set('of the other', 1);
      // What earlier sections did is no part of what the application does.
      for (const { client } of [stage.source, other]) await client.config('RESETSTAT');
      for (const line of lines) {
        const words = line
          .replaceAll('10.0.0.5:6379', stage.source.address)
          .replaceAll('10.0.0.6:6379', other.address)
          .replaceAll('10.0.1.1:7000', stage.cluster.seed)
          // Of one old master that nobody knows; the page has two.
          .replace('old-1/', `${other.directory}/`)
          .replace('--from old-2/appendonlydir/ ', '')
          .replace('assessment.html', `${stage.source.directory}/assessment.html`)
          .replace('report.json', `${stage.source.directory}/report.json`)
          .replace('failed.jsonl', `${stage.source.directory}/failed.jsonl`)
          .replace('--metrics 9090', `--metrics ${String(await freePort())}`)
          // Nobody waits a minute for this.
          .replace('--watch 60s', '--watch 1s');
        // The second import of the page is another way, into a cluster that is still empty.
        if (line.startsWith('--from') && !line.includes('--copy')) await stage.cluster.flush();
        const { code, stderr } = await runCli(words.split(' '), { PATH: path });
        expect(`${heading}: ${line}: ${String(code)} ${code === 0 ? '' : stderr}`.trim()).toBe(
          `${heading}: ${line}: 0`,
        );
      }
    }
  });
});

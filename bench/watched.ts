/**
 * `npm run bench:watched -- [keys] [rounds]`: what an import costs more when it is watched by everything at
 * once: a view on a terminal, a browser that has the page open, and Prometheus. Runs with all three
 * and with none take turns; it must be under two percent.
 *
 * Busy machines vary by more than that: then the CPU that the process took is the better guide. What each of the three takes for itself tells `bench:watching`.
 */
import { mix } from './datasets/mix.js';
import { withArena } from './lab/arena.js';
import { type Compared, costOf } from './lab/compared.js';
import { findTool } from '../scripts/find-tools.mjs';
import { program } from '../test/support/cli.js';
import { freePort } from '../test/support/ports.js';

const [givenKeys = '1000000', givenRounds = '7'] = process.argv.slice(2);
const [keys, rounds] = [Number(givenKeys), Number(givenRounds)];
const mostShare = 0.02;
/** As often as the page asks, and as Prometheus is set to in monitoring/. */
const pageEveryMs = 1000;
const scrapeEveryMs = 5000;

const script = findTool('script');
if (script === undefined)
  throw new Error('there is no script (util-linux), which gives a terminal');
const terminal: string = script;

const words = (from: string, to: string): string[] => [
  ...[process.execPath, program, '--from', from, '--to', to],
  ...['--mover', 'relay', '--json'],
];

/** On a terminal as well, so that this makes no difference. */
const onTerminal = (command: readonly string[]) => ({
  program: terminal,
  args: ['-qefc', `stty cols 120 rows 40; exec ${command.join(' ')}`, '/dev/null'],
});

const unwatched: Compared = {
  title: 'watched by nobody',
  prepare: ({ from, to }) => Promise.resolve(onTerminal([...words(from, to), '--quiet'])),
};

const watched: Compared = {
  title: 'view, page and metrics',
  async prepare({ from, to }) {
    const port = await freePort();
    lookOn(`http://127.0.0.1:${String(port)}`);
    return onTerminal([...words(from, to), '--metrics', String(port)]);
  },
};

/** A browser and Prometheus, for as long as there is an answer. */
function lookOn(url: string): void {
  let wasUp = false;
  const ask = (path: string, everyMs: number): void => {
    const timer = setInterval(() => {
      fetch(`${url}${path}`)
        .then((answer) => answer.arrayBuffer())
        .then(
          () => (wasUp = true),
          () => {
            if (wasUp) clearInterval(timer);
          },
        );
    }, everyMs);
  };
  ask('/live.json', pageEveryMs);
  ask('/metrics', scrapeEveryMs);
}

await withArena(async (arena) => {
  const comparison = { dataset: mix, keys, rounds, without: unwatched, withIt: watched };
  const isCheap = (await costOf(arena, comparison)).time < mostShare;
  console.log(isCheap ? 'under 2 %' : 'NOT under 2 %');
  process.exitCode = isCheap ? 0 : 1;
});
process.exit();

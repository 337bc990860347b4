/**
 * `npm run bench -- watched [keys] [rounds]`: what an import costs more when it is watched by everything
 * at once: a view on a terminal, a browser that has the page open, and Prometheus. Runs with all three
 * and with none take turns; it must be under two percent.
 *
 * Busy machines vary by more than that: then the CPU that the process took is the better guide.
 * `npm run bench -- watching` measures what each of the three takes by itself.
 */
import { mix } from './datasets/mix.js';
import { withArena } from './lab/arena.js';
import { type Compared, costOf } from './lab/compared.js';
import { findTool } from '../scripts/find-tools.mjs';
import { program } from '../test/support/cli.js';
import { freePort } from '../test/support/ports.js';
import type { Benchmark } from './types.js';

const mostShare = 0.02;
/** As often as the page asks, and as Prometheus is set to in monitoring/. */
const pageEveryMs = 1000;
const scrapeEveryMs = 5000;

export const watched: Benchmark = {
  usage: '[keys] [rounds]   (1000000 and 7 if not given)',
  run: ([keys = '1000000', rounds = '7']) => measureWatched(Number(keys), Number(rounds)),
};

async function measureWatched(keys: number, rounds: number): Promise<void> {
  const terminal = findTool('script');
  if (terminal === undefined) {
    throw new Error('the program script (util-linux), which provides a terminal, is missing.');
  }
  await withArena(async (arena) => {
    const [without, withIt] = [byNobody(terminal), byAll(terminal)];
    const comparison = { dataset: mix, keys, rounds, without, withIt };
    const isCheap = (await costOf(arena, comparison)).time < mostShare;
    console.log(isCheap ? 'under 2 %' : 'NOT under 2 %');
    process.exitCode = isCheap ? 0 : 1;
  });
}

const words = (from: string, to: string): string[] => [
  ...[process.execPath, program, '--from', from, '--to', to],
  ...['--mover', 'relay', '--json'],
];

/** On a terminal as well, so that this makes no difference. */
const onTerminal = (terminal: string, command: readonly string[]) => ({
  program: terminal,
  args: ['-qefc', `stty cols 120 rows 40; exec ${command.join(' ')}`, '/dev/null'],
});

const byNobody = (terminal: string): Compared => ({
  title: 'watched by nobody',
  prepare: ({ from, to }) => Promise.resolve(onTerminal(terminal, [...words(from, to), '--quiet'])),
});

const byAll = (terminal: string): Compared => ({
  title: 'view, page and metrics',
  async prepare({ from, to }) {
    const port = await freePort();
    lookOn(`http://127.0.0.1:${String(port)}`);
    return onTerminal(terminal, [...words(from, to), '--metrics', String(port)]);
  },
});

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

/** `cluster-import ctl`: speaks to runs that are up on this machine, over their sockets. */
import { UsageError } from '../errors.js';
import { followWords } from '../format.js';
import { flag, optionalCount, readRows, type Rows, text } from '../options/rows.js';
import { causeWords } from '../watch/view.js';
import { numbersLine } from '../watch/progress.js';
import { findRuns, limitRows, type Orders, type State, tell } from '../watch/run-sockets.js';
import { healthWords, limitWords, routeWords, whyWords } from '../watch/words.js';
import type { Standing } from '../watch/live.js';
import type { Shell, Verb } from './verb.js';

const ctlRows = {
  ...limitRows,
  pid: optionalCount(
    { flag: '--pid <pid>', help: 'which run, where several are up' },
    { min: 1, max: 2 ** 31 },
  ),
  socket: text({ flag: '--socket <path>', help: 'which run, by the path of its socket' }),
  json: flag({ flag: '--json', help: 'print how it stands as JSON' }, false),
} satisfies Rows;

const orders = ['status', 'pause', 'resume', 'stop', 'cutover', 'release', 'list'];

const afterHelp = `
Orders: ${orders.join(', ')}. Without one, status, once the limits are set.

Examples:
  How does it stand?
    $ cluster-import ctl

  Slower, for as long as it takes; then as fast as it goes:
    $ cluster-import ctl --rate 5000
    $ cluster-import ctl --rate none

  Hold it, and let it go on:
    $ cluster-import ctl pause
    $ cluster-import ctl resume

  End it after the batches in flight; the same command goes on later:
    $ cluster-import ctl stop

  Of a run with --follow: let the cluster take over, and wait until it has:
    $ cluster-import ctl cutover

  Call that off: writes that are held go on at the source, and it is followed as before:
    $ cluster-import ctl release

Exit codes: 0 done; 2 wrong usage, no such run, or no cutover (the reason is given).
`;

const ordersOf: Readonly<Record<string, Orders>> = {
  pause: { paused: true },
  resume: { paused: false },
  stop: { stop: true },
  cutover: { cutover: true },
  release: { release: true },
};

export const ctlVerb: Verb = {
  name: 'ctl',
  description: 'Asks a run that is up on this machine how it stands, or steers it.',
  usage: '[order] [options]',
  rows: ctlRows,
  groups: [
    { title: 'Limits', names: Object.keys(limitRows) },
    { title: 'Which run, and output', names: ['pid', 'socket', 'json'] },
  ],
  words: [
    {
      name: '[order]',
      help: 'status, pause, resume, stop, cutover, release or list',
      choices: orders,
    },
  ],
  afterHelp,
  run,
};

async function run(typed: Readonly<Record<string, unknown>>, { words }: Shell): Promise<number> {
  const { pid, socket, json, ...limits } = readRows(ctlRows, typed);
  const [order = 'status', more] = words;
  if (!orders.includes(order) || more !== undefined) {
    const known = orders.join(', ');
    throw new UsageError(`ctl takes one of ${known}, and not "${words.join(' ')}".`);
  }
  if (order === 'list') return list(json);
  const path = socket ?? (await choose(pid));
  const setsLimit = Object.values(limits).some((limit) => limit !== undefined);
  const before = setsLimit && !json ? await tell(path, {}) : undefined;
  const state = await tell(path, { ...limits, ...ordersOf[order] } satisfies Orders);
  if (json) process.stdout.write(`${JSON.stringify(state)}\n`);
  else process.stdout.write((before ? changeOf(before, state) : '') + describe(state));
  return 0;
}

async function list(json: boolean): Promise<number> {
  const runs = await findRuns();
  for (const { path, state } of runs) {
    process.stdout.write(json ? `${JSON.stringify({ path, ...state })}\n` : `${title(state)}\n`);
  }
  if (runs.length === 0 && !json) process.stdout.write('No run is up.\n');
  return 0;
}

async function choose(pid: number | undefined): Promise<string> {
  const runs = await findRuns(pid);
  const [only, ...others] = runs;
  if (only && others.length === 0) return only.path;
  if (only) {
    const names = runs.map(({ state }) => `--pid ${String(state.pid)}: ${title(state)}`);
    throw new UsageError(`Several runs are up, choose one of them: ${names.join('; ')}.`);
  }
  if (pid === undefined) throw new UsageError('No run of yours is up on this machine: start one.');
  throw new UsageError(
    `No run of yours has the pid ${String(pid)} on this machine: \`cluster-import ctl list\` lists those that are up.`,
  );
}

/** Several lines, each ended. */
function describe(state: State): string {
  return `${title(state)}\n${statusWords(state)}`;
}

/** The same without what names the run. */
export function statusWords(state: Standing): string {
  const { report, limits, nodes, sources, atMs } = state;
  const held = limitWords(limits);
  const unwell = [
    ...sources.map(({ name, health }) => ({ name, health })),
    ...nodes.map(({ address, health }) => ({ name: address, health })),
  ].filter(({ health }) => health.state !== 'ok');
  const lines = [
    `${state.paused ? 'paused' : report.status} · ${numbersLine(state)}`,
    ...(state.follow ? [followWords(state.follow)] : []),
    `limits: ${held.length === 0 ? 'none' : held.join(' · ')}`,
    ...unwell.map(({ name, health }) => {
      return `${name} ${healthWords(health, atMs).text}: ${whyWords(name, health)}`;
    }),
    ...(report.causes ?? []).map((cause) => `left behind: ${causeWords(cause)}`),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

/** Which run it is, on one line. */
function title(state: State): string {
  return `${routeWords(state)} by ${state.report.mover} (pid ${String(state.pid)})`;
}

/** What an order has changed: `limit: 60,000 keys/s -> none`. */
function changeOf(before: State, { limits }: State): string {
  const [was, is] = [before.limits, limits].map((those) => limitWords(those).join(' · ') || 'none');
  return `limits: ${was ?? ''} → ${is ?? ''}\n`;
}

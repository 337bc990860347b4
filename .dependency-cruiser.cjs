/**
 * Who may import whom: downward only,
 *
 *   cli → commands → workers → run → plan → { engine → limits, sources, follow → feed, movers, verify, check, assess, watch, journal, report } → compare → redis → { options, errors, types, async }
 *
 * and each outside package only where it belongs. Imports of types count as well: what a file has to
 * know is what matters here, not what is loaded.
 */
const middle = [
  'engine',
  'sources',
  'feed',
  'follow',
  'movers',
  'verify',
  'check',
  'assess',
  'watch',
  'journal',
  'report',
];
const ground = '^src/(options/|(errors|types|async)\\.ts$)';

/** The files of some of the middle layer's parts, be they folders or single files. */
const parts = (names) => `^src/(${names.join('|')})(/|\\.ts$)`;

/** @type {(name: string, comment: string, from: object, to: object) => object} */
const forbid = (name, comment, from, to) => ({ name, comment, severity: 'error', from, to });

module.exports = {
  forbidden: [
    forbid('no-cycles', 'Nothing may lead back to itself.', {}, { circular: true }),
    forbid('resolvable', 'What is imported must exist.', {}, { couldNotResolve: true }),
    forbid(
      'only-real-dependencies',
      'What is shipped may import only what package.json lists under dependencies.',
      { path: '^src/', pathNot: '^src/workers/queue/bullmq\\.ts$' },
      { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'] },
    ),
    forbid(
      'source-knows-no-tests',
      'What is shipped knows nothing of tests, benchmarks and scripts.',
      { path: '^src/' },
      { path: '^(test|bench|scripts)/' },
    ),
    forbid(
      'cli-is-the-top',
      'Nobody imports the command line, but the executable, which is the command line in one file.',
      { path: '^src/', pathNot: '^src/(cli(/|\\.ts$)|executable/)' },
      { path: '^src/cli(/|\\.ts$)' },
    ),
    forbid(
      'commands-are-for-cli-and-index',
      'Only the command line and the library’s face know the commands.',
      { path: '^src/', pathNot: '^src/(cli\\.ts$|cli/|index\\.ts$|commands/)' },
      { path: '^src/(commands/|index\\.ts$)' },
    ),
    forbid(
      'run-is-for-commands',
      'Runs are put together for the commands, and by nobody below.',
      { path: '^src/', pathNot: '^src/(cli/|index\\.ts$|commands/|workers/|run/)' },
      { path: '^src/run/' },
    ),
    forbid(
      'workers-are-for-commands',
      'That a run is spread over processes only the commands know, which begin it.',
      { path: '^src/', pathNot: '^src/(executable/|cli/|index\\.ts$|commands/|workers/)' },
      { path: '^src/workers/' },
    ),
    forbid(
      'plan-stands-on-the-middle',
      'What is found out before the start is asked for by commands and runs, never by the parts.',
      { path: '^src/', pathNot: '^src/(cli/|index\\.ts$|commands/|workers/|run/|plan/)' },
      { path: '^src/plan/' },
    ),
    forbid(
      'compare-is-below-the-middle',
      'compare/ says whether two values are the same, and knows nothing of who asks: it stands on redis/.',
      { path: '^src/compare/' },
      { path: '^src/', pathNot: `^src/(compare|redis)/|^src/format\\.ts$|${ground}` },
    ),
    forbid(
      'compare-is-for-the-middle',
      'What keys are the same is asked by those who move, verify, check and put these together.',
      { path: '^src/(redis|sources|engine)/' },
      { path: '^src/compare/' },
    ),
    forbid(
      'limits-stand-alone',
      'limits/ says how much may be under way, and knows nothing of what is.',
      { path: '^src/limits/' },
      { path: '^src/', pathNot: `^src/limits/|${ground}` },
    ),
    forbid(
      'redis-is-below-the-middle',
      'redis/ speaks to servers, and knows nothing of what for.',
      { path: '^src/redis/' },
      { path: parts(middle) },
    ),
    forbid(
      'the-ground-stands-alone',
      'Options, errors and types import only one another.',
      { path: ground },
      { path: '^src/', pathNot: ground },
    ),
    forbid(
      'types-import-nothing',
      'The glossary has no need of anything.',
      { path: '^src/types\\.ts$' },
      { path: '.' },
    ),
    ...['sources', 'movers'].map((name) =>
      forbid(
        `${name}-meet-others-in-types`,
        'Sources and movers know neither each other nor the engine: they meet in types.ts.',
        { path: parts([name]) },
        { path: parts(middle.filter((other) => other !== name)) },
      ),
    ),
    forbid(
      'feed-stands-on-redis',
      'feed/ hears what changes at a source, and knows nothing of who wants to know.',
      { path: '^src/feed/' },
      { path: '^src/', pathNot: `^src/(feed|redis|limits)/|${ground}` },
    ),
    forbid(
      'follow-stands-on-feed',
      'follow/ keeps a cluster up to date with a feed; pages of keys are all that it gives the engine.',
      { path: '^src/follow/' },
      { path: '^src/', pathNot: `^src/(follow|feed|compare|redis)/|${ground}` },
    ),
    forbid(
      'commander-in-cli',
      'Only cli.ts knows commander.',
      { path: '^src/', pathNot: '^src/cli\\.ts$' },
      { path: 'node_modules/commander/' },
    ),
    forbid(
      'prom-client-in-metrics',
      'Only the metrics of watch/ know prom-client.',
      { path: '^src/', pathNot: '^src/watch/metrics\\.ts$' },
      { path: 'node_modules/prom-client/' },
    ),
    forbid(
      'bullmq-in-queue',
      'Only workers/queue/bullmq.ts loads BullMQ, which need not be there.',
      { path: '^src/', pathNot: '^src/workers/queue/bullmq\\.ts$' },
      { path: 'node_modules/bullmq/' },
    ),
    forbid(
      'ioredis-in-control',
      'Only redis/control.ts makes ioredis clients.',
      { path: '^src/', pathNot: '^src/redis/control\\.ts$' },
      { path: 'node_modules/ioredis/', dependencyTypesNot: ['type-only'] },
    ),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|coverage|bin|\\.cache|\\.tools)/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.test.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'types'] },
  },
};

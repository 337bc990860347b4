/**
 * What an assessment has to say, each in one sentence (what blocks, what is not known, what to note),
 * and the verdict: whether the application can move, and which case it is.
 */
import { formatCount } from '../format.js';
import type {
  AssessReport,
  Case,
  Finding,
  Known,
  TargetNode,
  WatchReport,
} from './assess-report.js';
import { clientWords } from './monitor.js';
import { type CommandCount, isDecisive } from './stats.js';

/** Commands that may have several keys, were counted, and none of them was seen in the watch. */
function unseenOf(counts: readonly CommandCount[]): readonly CommandCount[] {
  return counts.filter((one) => isDecisive(one) && !one.watched && one.own !== true);
}

function findingsOf(known: Known): readonly Finding[] {
  const { watch, nodes = [] } = known;
  return [
    ...(watch ? ofWatch(watch) : []),
    ...ofCounts(known),
    ...ofDatabases(known),
    ...ofData(known),
    ...nodes.flatMap(ofNode),
  ];
}

const blocking = (message: string): Finding => ({ blocking: true, message });
const open = (message: string): Finding => ({ blocking: false, open: true, message });
const note = (message: string): Finding => ({ blocking: false, message });

/** Patterns that a cluster refuses for their keys. */
export function troubledPatterns(patterns: WatchReport['patterns']): WatchReport['patterns'] {
  return patterns.filter(({ trouble }) => trouble !== undefined && trouble !== 'database');
}

function ofWatch(watch: WatchReport): Finding[] {
  const { patterns, databases, cut, leftOut, endedBy, error, commands } = watch;
  const findings: Finding[] = [];
  const count = troubledPatterns(patterns).length;
  if (count > 0) {
    findings.push(
      blocking(
        `${formatCount(count)} ${count === 1 ? 'pattern uses' : 'patterns use'} keys of several slots at one time: a cluster refuses that.`,
      ),
    );
  }
  const others = [
    ...databases.flatMap(({ db, clients }) =>
      db === 0 ? [] : [`db${String(db)} by ${clientWords(clients)}`],
    ),
    ...patterns.flatMap(({ trouble, pattern, clients }) =>
      trouble === 'database' && !pattern.startsWith('SELECT')
        ? [`${pattern} by ${clientWords(clients)}`]
        : [],
    ),
  ];
  if (others.length > 0) {
    findings.push(
      blocking(
        `A cluster has only database 0, and others were used while watching: ${others.join('; ')}. The application must keep to database 0.`,
      ),
    );
  }
  if (cut.length > 0) {
    const names = cut.map((one) => `${one.command} ${formatCount(one.count)}×`).join(', ');
    findings.push(
      open(
        `Commands of more than 256 KB were not read to their end (${names}): keys that stand there were not seen.`,
      ),
    );
  }
  const left = leftOut.inTrouble + leftOut.others;
  if (left > 0) {
    findings.push(
      note(
        `There were too many patterns to report all: ${formatCount(left)} commands, transactions and scripts are in none of them, ${formatCount(leftOut.inTrouble)} of these with keys of several slots.`,
      ),
    );
  }
  if (endedBy === 'latency') {
    findings.push(note('Watching was ended early because the source became slow.'));
  }
  if (endedBy === 'lost') {
    findings.push(note(`The source was lost while it was watched: ${error ?? ''}.`));
  }
  if (commands === 0) findings.push(note('No command was seen while watching.'));
  return findings;
}

/** Assessments and imports use these themselves, so that their number says nothing. */
const ownToo: ReadonlySet<string> = new Set(['randomkey', 'scan', 'dbsize']);

function ofCounts({ commandStats, watch, importedFrom }: Known): Finding[] {
  const findings: Finding[] = [];
  const named = (some: readonly CommandCount[]): string =>
    some.map(({ command, calls }) => `${command} ${formatCount(calls)}×`).join(', ');
  const unseen = unseenOf(commandStats);
  if (unseen.length > 0) {
    const whose = importedFrom
      ? ' An import has worked here since the server was started, and some of these may be its own.'
      : '';
    findings.push(
      open(
        watch
          ? `Commands that may have several keys were counted, but not seen while watching (${named(unseen)}): watch longer, when they are used. If they are from long ago or from an import, reset the counts with CONFIG RESETSTAT.${whose}`
          : `Commands that may have several keys were used (${named(unseen)}): pass --watch 60s to see with which keys.${whose}`,
      ),
    );
  }
  const imports = commandStats.filter(
    (one) => isDecisive(one) && one.own === true && one.concern !== 'script',
  );
  if (imports.length > 0) {
    findings.push(
      note(
        `Commands that may have several keys were counted (${named(imports)}), and nothing besides that an import does not do as well: they are taken for an import's.`,
      ),
    );
  }
  const between = commandStats.filter(
    ({ command, watched }) => ['move', 'swapdb'].includes(command) && !watched,
  );
  if (between.length > 0) {
    findings.push(
      open(
        `Commands that a cluster refuses were counted, but not seen while watching (${named(between)}): it has only database 0.`,
      ),
    );
  }
  const countOf = (...names: string[]): number =>
    commandStats
      .filter(({ command }) => names.includes(command))
      .reduce((sum, { calls }) => sum + calls, 0);
  const refused = commandStats.filter(({ concern }) => concern === 'refused');
  if (refused.length > 0) {
    findings.push(
      note(
        `${named(refused)}: a node of a cluster refuses that; replicas are set with CLUSTER REPLICATE.`,
      ),
    );
  }
  const selects = commandStats.find(({ command }) => command === 'select');
  if (selects && !selects.watched) {
    const how = watch ? 'it was not seen while watching' : 'pass --watch 60s to see which';
    findings.push(
      note(
        `SELECT was used (${formatCount(selects.calls)}×): a cluster takes SELECT 0 only; ${how}.`,
      ),
    );
  }
  if (countOf('wait', 'waitaof') > 0) {
    findings.push(
      note(
        'WAIT or WAITAOF was used: in a cluster it covers only the node that it is sent to, so it has to follow the write on the same connection.',
      ),
    );
  }
  if (countOf('subscribe', 'psubscribe') > 0) {
    findings.push(
      note(
        'Subscriptions were used: messages reach every node of a cluster, but events of keys (__keyspace@0__, __keyevent@0__) only come from the node that has the key, so they have to be subscribed to at every master.',
      ),
    );
  }
  const perNode = commandStats
    .filter(({ concern, command, watched }) => {
      return concern === 'per-node' && (!ownToo.has(command) || watched);
    })
    .map(({ command }) => command);
  if (perNode.length > 0) {
    findings.push(
      note(
        `${perNode.join(', ')} ${perNode.length === 1 ? 'answers' : 'answer'} for one node only: the application has to ask every master.`,
      ),
    );
  }
  return findings;
}

function ofDatabases({ data }: Known): Finding[] {
  const { databases, collisions, compared } = data;
  const findings: Finding[] = [];
  if (databases.some(({ db }) => db !== 0)) {
    const names = databases.map(({ db }) => `db${String(db)}`).join(', ');
    findings.push(
      note(
        `${names} ${databases.length === 1 ? 'holds' : 'hold'} keys; a cluster has database 0 only: their keys come together there, under prefixes if need be, and the application must not select another.`,
      ),
    );
  }
  if (collisions.length > 0) {
    findings.push(
      blocking(
        'The same names are in several databases: in a cluster each would be one key; give prefixes (--key-prefix).',
      ),
    );
  }
  const partly = compared.filter(({ names, keys }) => names < keys);
  if (collisions.length === 0 && partly.length > 0) {
    const told = partly.map(
      ({ db, names, keys }) =>
        `${formatCount(names)} of ${formatCount(keys)} names of db${String(db)}`,
    );
    findings.push(
      open(
        `Just ${told.join(', ')} ${told.length === 1 ? 'was' : 'were'} looked for in the larger databases: whether others are in several is not known; prefixes (--key-prefix) keep them apart.`,
      ),
    );
  }
  return findings;
}

function ofData({ data, nodes }: Known): Finding[] {
  const findings = data.loadedSlots.map(({ slot, share, shape }) =>
    note(
      `Slot ${String(slot)} holds ${percent(share)} of the keys (such as ${shape}): its node will carry them all.`,
    ),
  );
  if (nodes && data.sizesBy === 'used_memory' && data.databases.length > 0) {
    findings.push(
      note(
        data.sampled === 0
          ? "No keys were looked at: sizes are the source's memory, divided among its keys."
          : "MEMORY USAGE may not be asked of the source, or is not there (before Redis 4.0): sizes are the source's memory, divided among its keys.",
      ),
    );
  }
  return findings;
}

function ofNode(node: TargetNode): Finding[] {
  const { address, freeBytes, expectedBytes, evictionPolicy } = node;
  if (freeBytes === undefined) return [];
  return [
    ...(expectedBytes > freeBytes
      ? [
          blocking(
            `${address} has too little memory below its maxmemory for what would come to it.`,
          ),
        ]
      : []),
    ...(evictionPolicy === 'noeviction'
      ? []
      : [note(`${address} evicts keys when it is full (${evictionPolicy}).`)]),
  ];
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
}

/** @param more findings about both sides together. */
export function buildAssessReport(known: Known, more: readonly Finding[] = []): AssessReport {
  const found = caseOf(known);
  const rank = (one: Finding): number => (one.blocking ? 0 : one.open ? 1 : 2);
  const findings = [...findingsOf(known), ...more].sort((one, other) => rank(one) - rank(other));
  const isOpen = found === undefined || findings.some(({ open }) => open === true);
  const cannot = findings.some(({ blocking }) => blocking);
  const status = cannot ? 'cannot-move' : isOpen ? 'undecided' : 'can-move';
  return { status, ...(found !== undefined && { case: found }), ...known, findings };
}

function caseOf({ watch, commandStats }: Known): Case | undefined {
  const troubles = (watch?.patterns ?? []).map(({ trouble }) => trouble);
  if (troubles.some((trouble) => trouble !== undefined && trouble !== 'database')) return 3;
  if (unseenOf(commandStats).length > 0 || (watch?.cut.length ?? 0) > 0) return undefined;
  return troubles.includes(undefined) ? 2 : 1;
}

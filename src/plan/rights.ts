/**
 * Which commands a run needs of each side, and whether it may use them: found out before anything
 * has moved, because half-way through is no time to learn that keys can't be deleted.
 */
import { PreflightError } from '../errors.js';
import type { SourceFence } from '../follow/fence.js';
import { guardScript, guardScriptSha } from '../movers/relay/guard-by-counter.js';
import type {
  ImportOptions,
  JobOptions,
  PatienceOptions,
  SafetyOptions,
  SelectionOptions,
  TransferOptions,
} from '../options/options.js';
import { addressOf, type Endpoint } from '../redis/endpoint.js';
import type { Features } from '../redis/server.js';
import { nameOfCommand, ruleFor, type Side } from '../redis/sentences.js';
import { type Trial, type Verdict, withTrial, type Words } from '../redis/trial.js';
import { temporaryPrefix } from '../movers/elements/writer.js';
import { trialName, trialNames } from '../sources/glob.js';
import { replicasToWaitFor, type WaitOptions, waitsForDisks } from './options-checks.js';

/** What the keys are called that a run uses; a user may be restricted to them. */
export type NameOptions = Pick<SelectionOptions, 'match' | 'keyPrefix'>;

/** What decides which commands a run needs, and for which keys. */
export type RightsOptions = JobOptions &
  SafetyOptions &
  TransferOptions &
  PatienceOptions &
  NameOptions;

interface Place {
  readonly endpoint: Endpoint;
  readonly side: Side;
  /** Globs of the keys that the run uses there. */
  readonly globs: readonly string[];
}

/** All that temporary keys are called. */
const temporaryGlob = `${temporaryPrefix}*`;

function sourcePlace(endpoint: Endpoint, { match }: Pick<NameOptions, 'match'>): Place {
  return { endpoint, side: 'from', globs: match };
}

/** Keys may get other names in the cluster. */
function nodePlace(endpoint: Endpoint, options: NameOptions): Place {
  return { endpoint, side: 'to', globs: namesAtNodes(options) };
}

/** What keys may be called in the cluster, as globs; none: anything. */
export function namesAtNodes({ match, keyPrefix = '' }: NameOptions): readonly string[] {
  if (keyPrefix === '') return match;
  const literal = keyPrefix.replace(/[*?[\\]/g, '\\$&');
  // A database's number, or an address.
  const prefix = literal.replaceAll('{db}', '*').replaceAll('{from}', '*');
  return (match.length > 0 ? match : ['*']).map((glob) => prefix + glob);
}

/**
 * That keys can be listed, read, and deleted in move mode.
 * @returns the server's features, less those that we may not use.
 * @throws PreflightError naming the user, the commands and what would allow them.
 */
export async function checkSourceRights(
  endpoint: Endpoint,
  has: Features,
  options: RightsOptions,
): Promise<Features> {
  const place = sourcePlace(endpoint, options);
  const [key] = keysOf(place);
  return withTrial(endpoint, { side: 'from', timeoutMs: options.timeoutMs }, async (trial) => {
    const reads = (name: string): Words[] => [
      ['SCAN', 0, 'COUNT', 1],
      ...readsOf(name),
      ...(options.verify ? comparedBy(name) : []),
    ];
    await need(trial, place, keysOf(place).flatMap(reads));
    const [migrate] = await trial.verdictsOf([['MIGRATE', '127.0.0.1', 1, key, 0, 1]]);
    const mayMigrate = has.migrate && isAllowed(place, migrate);
    if (options.mover === 'migrate' && has.migrate && !mayMigrate) {
      await need(trial, place, [['MIGRATE', '127.0.0.1', 1, key, 0, 1]]);
    }
    if (options.copy) return { ...has, migrate: mayMigrate };

    const [unlink, del] = await trial.verdictsOf([
      ['UNLINK', key],
      ['DEL', key],
    ]);
    const mayUnlink = isAllowed(place, unlink);
    if (!mayUnlink && !isAllowed(place, del)) await need(trial, place, [['DEL', key]]);
    const scripts = await guardWorks(trial);
    if (!scripts && options.guard) await needWatch(trial, place, key);
    return { ...has, migrate: mayMigrate, unlink: mayUnlink, eval: scripts };
  });
}

/**
 * That writes can be held for a cutover: that this can't be had would show only when it is wanted. It is tried
 * with what is no time and no number, so that nothing is held.
 * @throws PreflightError naming what would allow it.
 */
export async function checkFenceRights(
  endpoint: Endpoint,
  { name: fence, holdsAll }: SourceFence,
  options: Pick<PatienceOptions, 'timeoutMs'>,
): Promise<void> {
  if (fence === 'none') return;
  const [words, rules]: readonly [Words, string] =
    fence === 'pause'
      ? holdsAll
        ? [['CLIENT', 'PAUSE', 'no time'], '+client|pause +monitor']
        : [['CLIENT', 'PAUSE', 'no time', 'WRITE'], '+client|pause +client|unpause']
      : [['CONFIG', 'SET', 'min-replicas-to-write', 'no number'], '+config|get +config|set'];
  await withTrial(endpoint, { side: 'from', timeoutMs: options.timeoutMs }, async (trial) => {
    const [verdict] = await trial.verdictsOf([words]);
    if (verdict === 'allowed') return;
    const place = sourcePlace(endpoint, { match: [] });
    const { address, user } = who(place);
    const name = nameOfCommand(words);
    throw new PreflightError(
      verdict === 'absent'
        ? `${address} has no command ${name}, by which writes are held for the cutover: pass another --fence.`
        : `${address} does not let ${user} run ${name}, by which writes are held for the cutover: allow it with ACL SETUSER ${nameOf(place)} ${rules}, or pass another --fence.`,
    );
  });
}

/**
 * That keys can be stored at a node, be looked at where an answer was lost, and be waited for.
 * (A key of somebody else's slot will do: rights are looked at before slots.)
 * @param replicasInSync how many replicas follow the node.
 * @returns whether a source may log in as this user for its MIGRATE as well.
 */
export async function checkNodeRights(
  endpoint: Endpoint,
  replicasInSync: number,
  options: RightsOptions,
): Promise<boolean> {
  const selected = nodePlace(endpoint, options);
  // What is verified stands under temporary names first (movers/relay/verify-before-delete.ts).
  const place = options.verify ? withTemporary(selected) : selected;
  return withTrial(endpoint, { side: 'to', timeoutMs: options.timeoutMs }, async (trial) => {
    const stores = (key: string): Words[] => [
      ['SET', key, '', 'XX'],
      ['RESTORE', key, 0, 'no payload'],
      ['DEL', key],
      ...readsOf(key),
      ...waitsOf(replicasInSync, options),
      // What was stored is replaced only where nobody has touched it since (movers/relay/node-copy.ts).
      ...watchWords(key),
      ...(options.verify ? [...renamingWords(key), ...comparedBy(key)] : []),
    ];
    await need(trial, place, keysOf(place).flatMap(stores));
    const [select] = await trial.verdictsOf([['SELECT', 0]]);
    if (options.mover === 'migrate' && select !== 'allowed') {
      await need(trial, place, [['SELECT', 0]]);
    }
    return select === 'allowed';
  });
}

/**
 * What a run can't do that may store the keys of `--match` at a node, and no temporary ones: what is written to while
 * it moves is compared with its copy under such a name (movers/relay/node-copy.ts).
 * @returns what to say; undefined: nothing.
 */
export async function lacksTemporaryKeys(
  endpoint: Endpoint,
  options: RightsOptions,
): Promise<string | undefined> {
  if (options.match.length === 0 || options.copy || !options.guard) return undefined;
  const place: Place = { endpoint, side: 'to', globs: [temporaryGlob] };
  return withTrial(endpoint, { side: 'to', timeoutMs: options.timeoutMs }, async (trial) => {
    const [key] = keysOf(place);
    const [verdict] = await trial.verdictsOf([['RESTORE', key, 0, 'no payload']]);
    if (verdict !== 'keys') return undefined;
    const { address, user } = who(place);
    return `${address} does not let ${user} use the keys ${temporaryGlob}, so what is written to at the source while it moves stays there, and is named: allow it with ACL SETUSER ${nameOf(place)} ~${temporaryGlob}, or see that nobody writes.`;
  });
}

/**
 * What the source must let us use besides where values travel element by element. Commands that it does
 * not have are told with the keys that need them.
 */
export async function checkSourceElements(
  endpoint: Endpoint,
  has: Features,
  options: Pick<ImportOptions, 'guard' | 'timeoutMs' | 'match'>,
): Promise<void> {
  const place = sourcePlace(endpoint, options);
  const [key] = keysOf(place);
  await withTrial(endpoint, { side: 'from', timeoutMs: options.timeoutMs }, async (trial) => {
    const reads = (name: string): Words[] => [
      ...elementReads(name),
      ...fieldDeadlineReads(has, name),
    ];
    const sizes = await sizeWords(trial, place, has);
    await need(trial, place, [...keysOf(place).flatMap(reads), ...sizes], false);
    if (options.guard) await need(trial, place, watchWords(key));
  });
}

/** The same of a node. */
export async function checkNodeElements(
  endpoint: Endpoint,
  options: Pick<PatienceOptions, 'timeoutMs'> & NameOptions,
): Promise<void> {
  // Large values are put together under temporary names (movers/elements/writer.ts).
  const place = withTemporary(nodePlace(endpoint, options));
  await withTrial(endpoint, { side: 'to', timeoutMs: options.timeoutMs }, async (trial) => {
    await need(trial, place, [['EXEC'], ['MULTI']]);
    // Queued from here on, and never run: rights are looked at before.
    await need(trial, place, keysOf(place).flatMap(elementWrites), false);
  });
}

/** Sizes are told by MEMORY USAGE; where that may not be used, by the number of elements. */
async function sizeWords(trial: Trial, place: Place, has: Features): Promise<readonly Words[]> {
  const [key] = keysOf(place);
  const memory: Words[] = has.memory ? [['MEMORY', 'USAGE', key]] : [];
  const lengths = ['STRLEN', 'LLEN', 'SCARD', 'ZCARD', 'HLEN', 'XLEN'].map((word): Words => [
    word,
    key,
  ]);
  for (const words of [memory, lengths]) {
    const verdicts = await trial.verdictsOf(words);
    if (words.length > 0 && verdicts.every((verdict) => isAllowed(place, verdict))) return [];
  }
  return has.memory ? memory : lengths;
}

/** One key for each glob; where what they match may be keys, one that just any user may use. */
function keysOf({ globs }: Place): readonly [string, ...string[]] {
  const [first, ...others] = trialNames(globs);
  return first === undefined ? [trialName()] : [first, ...others];
}

/** Whether the keys on which commands are tried are like those that will be used. */
function areTrialsLike({ globs }: Place): boolean {
  return trialNames(globs).length > 0 || globs.length === 0;
}

/** Where no key can be tried, it has to do that the command is allowed. */
function isAllowed(place: Place, verdict: Verdict | undefined): boolean {
  return verdict === 'allowed' || (verdict === 'keys' && !areTrialsLike(place));
}

/** The place, where temporary keys are used besides. */
function withTemporary(place: Place): Place {
  return place.globs.length === 0 ? place : { ...place, globs: [...place.globs, temporaryGlob] };
}

function readsOf(key: string): Words[] {
  return [
    ['MGET', key],
    ['GET', key],
    ['DUMP', key],
    ['PTTL', key],
    ['TYPE', key],
    ['EXISTS', key],
  ];
}

function elementReads(key: string): Words[] {
  return [
    ['GETRANGE', key, 0, 0],
    ['LRANGE', key, 0, 0],
    ['SSCAN', key, 0],
    ['HSCAN', key, 0],
    ['ZSCAN', key, 0],
    ['XRANGE', key, '-', '+', 'COUNT', 1],
    ['XINFO', 'STREAM', key],
    ['XPENDING', key, 'group'],
  ];
}

/** What is asked where the payloads of equal values may have other bytes (compare/). */
function comparedBy(key: string): Words[] {
  return [
    ...elementReads(key),
    ...['STRLEN', 'LLEN', 'SCARD', 'ZCARD', 'HLEN', 'XLEN'].map((word): Words => [word, key]),
    ['SMEMBERS', key],
    ['SISMEMBER', key, 'value'],
    ['HGETALL', key],
    ['HMGET', key, 'field'],
    ['ZRANGE', key, 0, 0],
  ];
}

function fieldDeadlineReads(has: Features, key: string): Words[] {
  return has.hpexpiretime ? [['HPEXPIRETIME', key, 'FIELDS', 1, 'field']] : [];
}

function elementWrites(key: string): Words[] {
  return [
    ['APPEND', key, 'value'],
    ['RPUSH', key, 'value'],
    ['SADD', key, 'value'],
    ['HMSET', key, 'field', 'value'],
    ['ZADD', key, 1, 'value'],
    ['XADD', key, '1-1', 'field', 'value'],
    ['XTRIM', key, 'MAXLEN', 0],
    ['XSETID', key, '1-1'],
    ['XGROUP', 'DESTROY', key, 'group'],
    ['XCLAIM', key, 'group', 'consumer', 0, '1-1'],
    ['PEXPIREAT', key, 1],
    ['UNLINK', key],
    ...renamingWords(key),
  ];
}

function renamingWords(key: string): Words[] {
  return [
    ['PEXPIRE', key, 1],
    ['PERSIST', key],
    ['RENAME', key, key],
    ['RENAMENX', key, key],
  ];
}

function watchWords(key: string): Words[] {
  return [['WATCH', key], ['UNWATCH'], ['MULTI'], ['EXEC']];
}

/** What is asked for durability, in words that are answered at once. */
function waitsOf(replicasInSync: number, options: WaitOptions): Words[] {
  if (waitsForDisks(options)) return [['WAITAOF', 0, 0, 1]];
  return replicasToWaitFor(replicasInSync, options) > 0 ? [['WAIT', 0, 1]] : [];
}

/** Scripts may be forbidden, and so may INFO in them, and INFO may lack what the guard compares. */
async function guardWorks(trial: Trial): Promise<boolean> {
  await trial.answerTo(['SCRIPT', 'LOAD', guardScript]);
  const answer = await trial.answerTo(['EVALSHA', guardScriptSha, 0, 'never', 'never', 'DEL']);
  return Array.isArray(answer) && /^\d+$/.test(String(answer[0]));
}

async function needWatch(trial: Trial, place: Place, key: string): Promise<void> {
  const verdicts = await trial.verdictsOf(watchWords(key));
  if (verdicts.every((verdict) => isAllowed(place, verdict))) return;
  const { address, user } = who(place);
  throw new PreflightError(
    `${address} lets ${user} run neither scripts nor WATCH, so what is written while keys move could be lost: allow one with ACL SETUSER ${nameOf(place)} +evalsha +script|load, or +watch +unwatch +multi +exec; or pass --no-guard if nobody writes.`,
  );
}

/**
 * @param mustExist whether the server has to have them all.
 * @throws PreflightError unless all of these are allowed.
 */
async function need(
  trial: Trial,
  place: Place,
  commands: readonly Words[],
  mustExist = true,
): Promise<void> {
  const verdicts = await trial.verdictsOf(commands);
  const namesOf = (wanted: Verdict): string[] =>
    commands.flatMap((words, at) => (verdicts[at] === wanted ? [nameOfCommand(words)] : []));
  const { address, user } = who(place);
  const absent = mustExist ? namesOf('absent') : [];
  if (absent.includes('WAITAOF')) {
    throw new PreflightError(
      `${address} has no command WAITAOF (Redis 7.2 and later), which --wait-fsync needs: leave it out.`,
    );
  }
  if (absent.length > 0) {
    throw new PreflightError(
      `${address} has no ${absent.length === 1 ? 'command' : 'commands'} ${absent.join(', ')}: renamed, or disabled by its administrator.`,
    );
  }
  const forbidden = namesOf('forbidden');
  const noKeys = verdicts.includes('keys') && areTrialsLike(place);
  if (forbidden.length === 0 && !noKeys) return;
  const { globs } = place;
  const keyRules = globs.length === 0 ? ['~*'] : globs.map((glob) => `~${glob}`);
  const rules = [...forbidden.map(ruleFor), ...(noKeys ? keyRules : [])];
  const keys = globs.length === 0 ? 'use every key' : `use the keys ${globs.join(' and ')}`;
  const what = [
    ...(forbidden.length > 0 ? [`run ${forbidden.join(', ')}`] : []),
    ...(noKeys ? [keys] : []),
  ];
  throw new PreflightError(
    `${address} does not let ${user} ${what.join(', or ')}: allow it with ACL SETUSER ${nameOf(place)} ${rules.join(' ')}.`,
  );
}

function nameOf({ endpoint }: Place): string {
  return endpoint.username ?? 'default';
}

function who(place: Place): { address: string; user: string } {
  const { username } = place.endpoint;
  return {
    address: addressOf(place.endpoint),
    user: username === undefined ? 'the default user' : `user ${username}`,
  };
}

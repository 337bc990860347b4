/**
 * What single options come to, and whether they can be what was meant: slips that no server would
 * refuse, and defaults that depend on what servers have.
 */
import { PreflightError, UsageError } from '../errors.js';
import type {
  EndpointOptions,
  FollowOptions,
  ImportOptions,
  JobOptions,
  SelectionOptions,
} from '../options/options.js';
import { nearest } from '../options/rows.js';
import { measureRoundTrip } from '../redis/ask.js';
import type { Control } from '../redis/control.js';
import { addressOf } from '../redis/endpoint.js';
import type { NodeLine } from '../redis/topology.js';
import { dumpsIn } from './endpoints.js';

const ownTypes = ['string', 'list', 'set', 'zset', 'hash', 'stream'];
/** Modules name theirs as they like, with capitals and dashes mostly. */
const ofModules = /[^a-z]|^vectorset$/;
/** All names of modules' types have so many characters (moduleTypeEncodeId in Redis's module.c). */
const moduleTypeLength = 9;

function isOfModule(type: string): boolean {
  return type.length === moduleTypeLength && ofModules.test(type);
}

/**
 * Whether `--type` names what servers know: a slip selects nothing, and looks like a success.
 * @returns what to tell of names that may be slips; undefined: there are none.
 * @throws UsageError where it is plain what was meant.
 */
export function unknownTypes(types: readonly string[]): string | undefined {
  const unknown = types.filter((type) => !ownTypes.includes(type) && !isOfModule(type));
  if (unknown.length === 0) return undefined;
  for (const type of unknown) {
    const meant = nearest(type, ownTypes);
    if (meant !== undefined) {
      throw new UsageError(`--type ${type} is no type of Redis: did you mean ${meant}?`);
    }
    if (type.length !== moduleTypeLength) {
      throw new UsageError(
        `--type ${type} is no type of Redis: they are ${ownTypes.join(', ')}, and those of modules, whose names have ${String(moduleTypeLength)} characters.`,
      );
    }
  }
  return `--type ${unknown.join(', ')}: no Redis has such a type; they are ${ownTypes.join(', ')}, and those of modules.`;
}

/**
 * A word in braces that is no placeholder is most likely a slip, and a costly one: braces are a hash
 * tag, so all keys would be of one slot. Who means that doubles them.
 * @throws UsageError
 */
export function checkPrefix(prefix: string | undefined): void {
  const words = prefix?.matchAll(/(?<!\{)\{([a-z]+)\}(?!\})/gi) ?? [];
  for (const [placeholder, word] of words) {
    if (word === 'db' || word === 'from') continue;
    throw new UsageError(
      `--key-prefix knows {db} and {from}, and not ${placeholder}: correct it, or write {${placeholder}} if it is to be a hash tag, which puts all keys into one slot.`,
    );
  }
}

/**
 * What `--follow` does not go together with, and what goes only together with it.
 * @throws UsageError naming both flags.
 */
export function checkFollow(
  options: EndpointOptions &
    JobOptions &
    FollowOptions &
    SelectionOptions &
    Pick<ImportOptions, 'onlyKeys' | 'mover' | 'verify'>,
): void {
  const { follow, from, mover } = options;
  if (!follow) {
    const alone = [
      ['--on-cutover', options.onCutover !== undefined],
      ['--cutover', options.cutover !== 'manual'],
      ['--fence', options.fence !== 'auto'],
      ['--feed', options.feed !== 'auto'],
    ] as const;
    const [flag] = alone.find(([, isGiven]) => isGiven) ?? [];
    if (flag !== undefined) throw new UsageError(`${flag} is for --follow: pass that too.`);
    return;
  }
  const others = [
    ['--replace and --no-replace', options.replace !== undefined],
    ['--type', options.type.length > 0],
    ['--min-ttl', options.minTtlMs > 0],
    ['--only-keys', options.onlyKeys !== undefined],
    ['--dry-run', options.dryRun],
    ['--verify', options.verify],
    ['--mover migrate', mover === 'migrate'],
  ] as const;
  const [flag] = others.find(([, isGiven]) => isGiven) ?? [];
  if (flag !== undefined) {
    throw new UsageError(`--follow and ${flag} do not go together: leave one of them out.`);
  }
  const [dump] = dumpsIn({ from });
  if (dump === undefined) return;
  throw new UsageError(
    `--follow is for servers, and ${dump} is a file: import it by a command of its own.`,
  );
}

/** @param from the address, or the name of the file, that the keys are from. */
export function filledPrefix(prefix: string, db: number, from: string): Buffer {
  const filled = prefix.replaceAll('{db}', String(db)).replaceAll('{from}', from);
  return Buffer.from(filled.replace(/\{(\{[a-z]+\})\}/gi, '$1'));
}

/** Above this share of the limit nothing more is ever sent at one time (limits/limits.ts). */
const usableShare = 0.5;

/**
 * Whether `--max-source-latency` leaves time for anything but the way there and back.
 * @returns what to say; undefined: the limit can be kept.
 */
export async function limitBelowDistance(
  control: Control,
  limitMs: number,
): Promise<string | undefined> {
  const tripMs = await measureRoundTrip(control).catch(() => 0);
  if (tripMs < limitMs * usableShare) return undefined;
  return (
    `A PING to ${control.address} takes ${tripMs.toFixed(1)} ms there and back when nothing is moved, ` +
    `so --max-source-latency ${String(limitMs)} would hold the run to a key at a time: ` +
    `give more than ${String(Math.ceil(tripMs / usableShare))} ms, or run it nearer to the source.`
  );
}

/** What decides who else must have a key before the source deletes it. */
export type WaitOptions = Pick<ImportOptions, 'copy' | 'follow' | 'waitReplicas' | 'waitFsync'>;

/**
 * How many replicas of a node must have a key before the source deletes it.
 * By default one, where the node has one that follows: a node alone can't promise anything.
 * @param inSync how many follow the node.
 */
export function replicasToWaitFor(inSync: number, options: WaitOptions): number {
  if (!isLastCopy(options)) return 0;
  return options.waitReplicas ?? Math.min(1, inSync);
}

/** What the job does with keys: the same at each of its starts. */
export function jobModeOf({
  copy,
  follow,
}: Pick<JobOptions, 'copy' | 'follow'>): 'move' | 'copy' | 'follow' {
  if (follow) return 'follow';
  return copy ? 'copy' : 'move';
}

/** Whether a key's copy is all there is of it in the end: what is left at a source that was followed is old. */
export function isLastCopy({ copy, follow }: Pick<JobOptions, 'copy' | 'follow'>): boolean {
  return !copy || follow;
}

/** Whether what a node stores is to be on its disk as well. */
export function waitsForDisks(options: WaitOptions): boolean {
  return options.waitFsync && isLastCopy(options);
}

/**
 * Whether each node can have as many replicas as `--wait-replicas` asks for. Where one has too few, no batch would
 * ever be confirmed, and the run would try again until it gives up.
 * @param nodes by what the seed says.
 * @throws PreflightError where one has too few.
 */
export function checkReplicaCount(nodes: readonly NodeLine[], options: WaitOptions): void {
  const wanted = replicasToWaitFor(0, options);
  const found = wanted === 0 ? undefined : tooFewReplicas(nodes, wanted);
  if (found === undefined) return;
  const { address, replicas } = found;
  const has = `${replicas === 0 ? 'no' : String(replicas)} replica${replicas > 1 ? 's' : ''}`;
  throw new PreflightError(
    `--wait-replicas ${String(wanted)} can't be kept, as ${address} has ${has}: give each master as many by CLUSTER REPLICATE, or leave it out, which waits for one where there is one.`,
  );
}

const unsettled = ['fail', 'fail?', 'handshake', 'noaddr'];

/**
 * @returns the first master with fewer replicas than are wanted; undefined: none, or it is not known. What fails, or
 *   has no slots, may be about to become a replica, as old masters do after a failover.
 */
export function tooFewReplicas(
  lines: readonly NodeLine[],
  wanted: number,
): { readonly address: string; readonly replicas: number } | undefined {
  const isUnsettled = lines.some(
    ({ flags, masterId, slots }) =>
      unsettled.some((flag) => flags.has(flag)) || (masterId === undefined && slots.length === 0),
  );
  if (isUnsettled) return undefined;
  return lines
    .filter(({ masterId }) => masterId === undefined)
    .map(({ id, place }) => ({
      address: addressOf(place),
      replicas: lines.filter(({ masterId }) => masterId === id).length,
    }))
    .find(({ replicas }) => replicas < wanted);
}

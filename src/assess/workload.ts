/**
 * What an application does, from the commands that a server was seen to run: each unit that a cluster
 * would have to run on one node (a command, a transaction, a script with all that it ran), the slots
 * that its keys are in, and a pattern for units that are alike.
 */
import { slotOf } from '../redis/slot.js';
import type { KeyFinder } from './key-positions.js';
import type { Seen } from './monitor-line.js';
import { joinShapes, shapeOf, taggedShapes } from './shapes.js';

export type Trouble =
  | 'cross-slot' // keys of several slots in one unit
  | 'undeclared' // a script uses keys that it did not declare, of another slot
  | 'keyless-script'; // a script declares no keys, and uses some

export interface Pattern {
  /** `SUNION user:<n>:a user:<n>:b`; a transaction's commands are joined by `;`. */
  readonly pattern: string;
  readonly kind: 'command' | 'transaction' | 'script';
  /** Undefined: all its keys are of one slot. */
  readonly trouble?: Trouble;
  readonly count: number;
  /** The first few that did it. */
  readonly clients: readonly string[];
  /** What would repair it. */
  readonly repair?: string;
}

export interface Workload {
  readonly add: (seen: Seen) => void;
  /** Commands so far. */
  readonly commands: number;
  /** How often each command was seen, outside of scripts. */
  readonly counts: ReadonlyMap<string, number>;
  readonly databases: ReadonlySet<number>;
  /** Units with several keys, those in trouble first. */
  patterns(): readonly Pattern[];
}

interface Transaction {
  readonly shapes: string[];
  readonly keys: string[];
}

interface Script extends Transaction {
  readonly client: string;
  readonly name: string;
  readonly declared: readonly string[];
}

interface Told {
  count: number;
  readonly kind: Pattern['kind'];
  readonly trouble: Trouble | undefined;
  readonly clients: Set<string>;
  /** The keys with a hash tag; undefined: not all of its units have a part in common. */
  tagged: string | undefined;
}

const patternsAtMost = 10_000;
const clientsTold = 5;
const scriptNames = /^(eval|evalsha|fcall)(_ro)?$/;

export function createWorkload(keysOf: KeyFinder): Workload {
  const told = new Map<string, Told>();
  const counts = new Map<string, number>();
  const databases = new Set<number>();
  const open = new Map<string, Transaction>();
  const watched = new Map<string, string[]>();
  let script: Script | undefined;
  let commands = 0;

  function add({ db, client, words }: Seen): void {
    const name = (words[0] ?? '').toLowerCase();
    if (client === 'lua') {
      script?.keys.push(...(keysOf(words) ?? []));
      return;
    }
    endScript();
    commands++;
    counts.set(name, (counts.get(name) ?? 0) + 1);
    databases.add(db);
    const keys = keysOf(words) ?? [];
    if (name === 'watch') watched.set(client, [...(watched.get(client) ?? []), ...keys]);
    else if (name === 'unwatch') watched.delete(client);
    else if (name === 'multi') open.set(client, { shapes: [], keys: [] });
    else if (name === 'discard') end(client);
    else if (name === 'exec') {
      const transaction = end(client);
      if (transaction) note('transaction', transaction.shapes.join('; '), transaction.keys, client);
    } else if (scriptNames.test(name)) {
      script = { client, name: name.toUpperCase(), declared: keys, keys: [...keys], shapes: [] };
    } else {
      const transaction = open.get(client);
      transaction?.shapes.push(patternOf(name, keys));
      transaction?.keys.push(...keys);
      note('command', patternOf(name, keys), keys, client);
    }
  }

  /** Everything between MULTI and EXEC, and what was watched before it. */
  function end(client: string): Transaction | undefined {
    const transaction = open.get(client);
    const before = watched.get(client) ?? [];
    transaction?.keys.push(...before);
    if (before.length > 0) transaction?.shapes.unshift(patternOf('watch', before));
    open.delete(client);
    watched.delete(client);
    return transaction;
  }

  /** A script is over when somebody else's command is seen. */
  function endScript(): void {
    if (!script) return;
    const { client, name, declared, keys } = script;
    script = undefined;
    const used = keys.slice(declared.length).filter((key) => !declared.includes(key));
    const pattern = [patternOf(name, declared), ...(used.length > 0 ? [usingText(used)] : [])];
    const transaction = open.get(client);
    transaction?.shapes.push(pattern.join(' '));
    transaction?.keys.push(...keys);
    let trouble: Trouble | undefined;
    if (declared.length === 0 && used.length > 0) trouble = 'keyless-script';
    else if (isCrossSlot(keys) && !isCrossSlot(declared)) trouble = 'undeclared';
    note('script', pattern.join(' '), keys, client, trouble);
  }

  function note(
    kind: Pattern['kind'],
    pattern: string,
    keys: readonly string[],
    client: string,
    found?: Trouble,
  ): void {
    const trouble = found ?? (isCrossSlot(keys) ? 'cross-slot' : undefined);
    if (trouble === undefined && new Set(keys).size < 2) return;
    const id = `${trouble ?? ''} ${kind} ${pattern}`;
    let one = told.get(id);
    if (!one && told.size >= patternsAtMost) return;
    const tagged = trouble === undefined ? undefined : taggedText([...new Set(keys)]);
    if (!one) told.set(id, (one = { count: 0, kind, trouble, clients: new Set(), tagged }));
    one.count++;
    if (tagged === undefined) one.tagged = undefined;
    if (one.clients.size < clientsTold) one.clients.add(client);
  }

  return {
    add,
    counts,
    databases,
    get commands() {
      return commands;
    },
    patterns() {
      endScript();
      return [...told]
        .map(([id, { count, kind, trouble, clients, tagged }]): Pattern => {
          const pattern = id.slice(`${trouble ?? ''} ${kind} `.length);
          const repair = trouble === undefined ? undefined : repairOf(trouble, tagged);
          return {
            ...{ pattern, kind, count, clients: [...clients] },
            ...(trouble !== undefined && { trouble }),
            ...(repair !== undefined && { repair }),
          };
        })
        .sort(
          (a, b) =>
            Number(b.trouble !== undefined) - Number(a.trouble !== undefined) || b.count - a.count,
        );
    },
  };
}

function patternOf(name: string, keys: readonly string[]): string {
  return [name.toUpperCase(), joinShapes(keys.map(shapeOf))].filter(Boolean).join(' ');
}

function usingText(keys: readonly string[]): string {
  return `(using ${joinShapes([...new Set(keys.map(shapeOf))])})`;
}

function taggedText(keys: readonly string[]): string | undefined {
  const tagged = taggedShapes(keys);
  return tagged && joinShapes([...new Set(tagged)]);
}

function repairOf(trouble: Trouble, tagged: string | undefined): string {
  const declare = 'declare its keys when it is called';
  if (tagged !== undefined) {
    const tag = `give the keys a hash tag: ${tagged}`;
    return trouble === 'cross-slot' ? tag : `${declare}, and ${tag}`;
  }
  const apart =
    'the keys have no part in common: do it key by key, or give them a constant hash tag';
  return trouble === 'cross-slot' ? apart : `${declare}; ${apart}`;
}

function isCrossSlot(keys: readonly string[]): boolean {
  if (keys.length < 2) return false;
  const first = slotAt(keys[0] ?? '');
  return keys.some((key) => slotAt(key) !== first);
}

function slotAt(key: string): number {
  const bytes = Buffer.from(key, 'latin1');
  return slotOf(bytes, 0, bytes.length);
}

/**
 * What an application does, from the commands that a server was seen to run: each unit that a cluster
 * would have to run on one node (a command, a transaction, a script with all that it ran), the slots
 * that its keys are in, and a pattern for units that are alike.
 */
import { createHash } from 'node:crypto';
import { harmless } from '../format.js';
import { slotOf } from '../redis/frames.js';
import type { KeyFinder } from '../redis/command-keys.js';
import { type ClientIdentity, connectionsKept, type Seen } from './monitor.js';
import { createPatterns, type Pattern, type Patterns } from './patterns.js';
import { type Refusal, refusalOf, type Trouble } from './refusals.js';
import { joinShapes, shapeOf, taggedShapes } from './key-shapes.js';
import { mayHaveSeveralKeys } from './stats.js';

export interface Workload extends Pick<Patterns, 'leftOut'> {
  readonly add: (seen: Seen) => void;
  /** Commands so far, those of scripts not counted. */
  readonly commands: number;
  /** How often each command was seen, those of scripts included, as INFO commandstats counts. */
  readonly counts: ReadonlyMap<string, number>;
  /** The databases that were worked in, with the connections that did. */
  readonly databases: ReadonlyMap<number, ReadonlySet<string>>;
  /** Commands that were too long to be read to their end, and may have keys there. */
  readonly cut: ReadonlyMap<string, number>;
  /**
   * Units with several keys, those in trouble first.
   * @param known what connections are called; without it only their hosts are told.
   */
  patterns(known?: ReadonlyMap<string, ClientIdentity>): readonly Pattern[];
}

interface Transaction {
  /** Its commands' patterns, made only if they are needed. */
  readonly shapes: (() => string)[];
  readonly keys: string[];
}

interface Script {
  readonly client: string;
  readonly name: string;
  readonly id: string;
  readonly declared: readonly string[];
  readonly keys: string[];
  readonly refusals: Refusal[];
}

/** A client that writes each script anew would fill the table. */
const scriptsAtMost = 1000;
const shapesAtMost = 12;
const scriptNames = /^(eval|evalsha|fcall)(_ro)?$/;

export function createWorkload(keysOf: KeyFinder): Workload {
  const patterns = createPatterns();
  const counts = new Map<string, number>();
  const databases = new Map<number, Set<string>>();
  const cut = new Map<string, number>();
  const open = new Map<string, Transaction>();
  const watched = new Map<string, string[]>();
  const scripts = createScriptNames();
  let script: Script | undefined;
  let commands = 0;

  function add({ db, client, words, isCut = false }: Seen): void {
    const name = (words[0] ?? '').toLowerCase();
    counts.set(name, (counts.get(name) ?? 0) + 1);
    if (isCut && mayHaveMoreKeys(name, words)) cut.set(name, (cut.get(name) ?? 0) + 1);
    const keys = keysOf(words) ?? [];
    const refusal = refusalOf(words);
    if (client === 'lua') {
      script?.keys.push(...keys);
      if (refusal) script?.refusals.push(refusal);
      return;
    }
    endScript();
    commands++;
    noteDatabase(db, client);
    if (refusal) note('command', () => refusal.pattern, keys, client, { found: refusal.trouble });
    if (name === 'watch') watched.set(client, [...(watched.get(client) ?? []), ...keys]);
    else if (name === 'unwatch') watched.delete(client);
    else if (name === 'multi') open.set(client, { shapes: [], keys: [] });
    else if (name === 'discard' || name === 'reset') end(client);
    else if (name === 'exec') {
      const { shapes, keys: all } = end(client) ?? { shapes: [], keys: [] };
      const pattern = (): string =>
        joinShapes(
          shapes.map((shape) => shape()),
          '; ',
        );
      note('transaction', pattern, all, client);
    } else if (scriptNames.test(name)) {
      const id = scripts.idOf(name, words[1] ?? '');
      script = { client, name, id, declared: keys, keys: [...keys], refusals: [] };
    } else {
      const transaction = open.get(client);
      transaction?.shapes.push(() => patternOf(name, keys));
      transaction?.keys.push(...keys);
      note('command', () => patternOf(name, keys), keys, client);
    }
  }

  function noteDatabase(db: number, client: string): void {
    const clients = databases.get(db) ?? new Set();
    databases.set(db, clients);
    if (clients.size < connectionsKept) clients.add(client);
  }

  /** Everything between MULTI and EXEC, and what was watched before it. */
  function end(client: string): Transaction | undefined {
    const transaction = open.get(client);
    const before = watched.get(client) ?? [];
    transaction?.keys.push(...before);
    if (before.length > 0) transaction?.shapes.unshift(() => patternOf('watch', before));
    open.delete(client);
    watched.delete(client);
    return transaction;
  }

  /** A script is over when somebody else's command is seen. */
  function endScript(): void {
    if (!script) return;
    const { client, name, id, declared, keys, refusals } = script;
    script = undefined;
    const used = keys.slice(declared.length).filter((key) => !declared.includes(key));
    const pattern = (): string =>
      [`${name.toUpperCase()} ${shortened(id)}`, shapesText(declared), usingText(used)]
        .filter(Boolean)
        .join(' ');
    const transaction = open.get(client);
    transaction?.shapes.push(pattern);
    transaction?.keys.push(...keys);
    let found: Trouble | undefined;
    if (declared.length === 0 && used.length > 0) found = 'keyless-script';
    else if (isCrossSlot(keys) && !isCrossSlot(declared)) found = 'undeclared';
    note('script', pattern, keys, client, { found, script: id });
    for (const { trouble, pattern: text } of refusals) {
      const doing = (): string => `${pattern()} (doing ${text})`;
      note('script', doing, keys, client, { found: trouble, script: id });
    }
  }

  function note(
    kind: Pattern['kind'],
    pattern: () => string,
    keys: readonly string[],
    client: string,
    { found, script: id }: { found?: Trouble | undefined; script?: string } = {},
  ): void {
    const trouble = found ?? (isCrossSlot(keys) ? 'cross-slot' : undefined);
    const distinct = new Set(keys);
    if (trouble === undefined && distinct.size < 2) return;
    patterns.note({
      kind,
      client,
      pattern: pattern(),
      shapes: () => [...new Set([...distinct].map(shapeOf))].slice(0, shapesAtMost),
      tagged: () => taggedText([...distinct]),
      ...(trouble !== undefined && { trouble }),
      ...(id !== undefined && { script: id }),
    });
  }

  return {
    add,
    counts,
    databases,
    cut,
    get commands() {
      return commands;
    },
    get leftOut() {
      return patterns.leftOut;
    },
    patterns(known = new Map()) {
      endScript();
      return patterns.list(known);
    },
  };
}

/** Scripts by their SHA1, functions by their names. */
function createScriptNames() {
  const known = new Map<string, string>();
  return {
    idOf(name: string, text: string): string {
      if (!name.startsWith('eval') || name.startsWith('evalsha'))
        return name.startsWith('eval') ? text.toLowerCase() : harmless(text);
      const id = known.get(text);
      if (id !== undefined) return id;
      if (known.size >= scriptsAtMost) return 'others';
      const sha = createHash('sha1').update(Buffer.from(text, 'latin1')).digest('hex');
      known.set(text, sha);
      return sha;
    },
  };
}

/** Of a command that was not read to its end. A script's keys stand ahead of what makes it long. */
function mayHaveMoreKeys(name: string, words: readonly string[]): boolean {
  if (scriptNames.test(name)) return !(words.length >= 3 + Number(words[2]));
  return mayHaveSeveralKeys(name);
}

/** So much of a SHA1 tells scripts apart. */
function shortened(id: string): string {
  return /^[0-9a-f]{40}$/.test(id) ? id.slice(0, 10) : id;
}

function patternOf(name: string, keys: readonly string[]): string {
  return [name.toUpperCase(), shapesText(keys)].filter(Boolean).join(' ');
}

function shapesText(keys: readonly string[]): string {
  return joinShapes(keys.map(shapeOf));
}

function usingText(keys: readonly string[]): string {
  return keys.length === 0 ? '' : `(using ${joinShapes([...new Set(keys.map(shapeOf))])})`;
}

function taggedText(keys: readonly string[]): string | undefined {
  const tagged = taggedShapes(keys);
  return tagged && joinShapes([...new Set(tagged)]);
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

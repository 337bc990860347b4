/**
 * The patterns of what was seen, within bounds: names are folded when there are many, and what finds
 * no place is counted. What is in trouble has a table of its own, which nothing else can fill.
 */
import { type ClientGroup, type ClientIdentity, connectionsKept, groupClients } from './monitor.js';
import { foldNames, type Nameable } from './key-shapes.js';
import { repairOf, type Trouble } from './refusals.js';

export interface Pattern {
  /** `SUNION user:<n>:a user:<n>:b`; a transaction's commands are joined by `;`. */
  readonly pattern: string;
  readonly kind: 'command' | 'transaction' | 'script';
  /** Undefined: all its keys are of one slot. */
  readonly trouble?: Trouble;
  readonly count: number;
  /** Who did it. */
  readonly clients: readonly ClientGroup[];
  /** What would repair it. */
  readonly repair?: string;
  /** A script's SHA1 as SCRIPT EXISTS takes it, or a function's name. */
  readonly script?: string;
}

/** One unit that was seen. */
interface Noted extends Pick<Pattern, 'kind' | 'pattern' | 'script' | 'trouble'> {
  /** `host:port` */
  readonly client: string;
  /** The shapes of its keys; made only if they are needed. */
  readonly shapes: () => readonly string[];
  /** Its keys with a hash tag around a number that all have in common, if there is one. */
  readonly tagged: () => string | undefined;
}

export interface Patterns {
  note(unit: Noted): void;
  /** Those in trouble first. */
  list(known: ReadonlyMap<string, ClientIdentity>): readonly Pattern[];
  /** Units that are in no pattern: in trouble, and not. */
  readonly leftOut: { readonly inTrouble: number; readonly others: number };
}

interface Told extends Nameable {
  count: number;
  tagged: string | undefined;
  readonly kind: Pattern['kind'];
  readonly trouble: Trouble | undefined;
  readonly script: string | undefined;
  readonly clients: Set<string>;
}

/** Of each table. Folding more would keep the watch waiting. */
const patternsAtMost = 4000;
/** Fewer are not folded before the end. */
const foldedFrom = 1000;
const taggedChecks = 1000;

export function createPatterns(): Patterns {
  const inTrouble = createTable();
  const others = createTable();
  return {
    note(unit) {
      (unit.trouble === undefined ? others : inTrouble).note(unit);
    },
    list(known) {
      const patterns = [...inTrouble.list(), ...others.list()];
      return patterns.map((told) => publicOf(told, known));
    },
    get leftOut() {
      return { inTrouble: inTrouble.leftOut, others: others.leftOut };
    },
  };
}

function createTable() {
  let table = new Map<string, Told>();
  let foldAt = foldedFrom;
  let leftOut = 0;

  function fold(): void {
    table = new Map(foldNames([...table.values()], merged).map((told) => [idOf(told), told]));
    // What does not fold is not tried again with each one that is new.
    const isFull = table.size > patternsAtMost * 0.9;
    foldAt = isFull ? Infinity : Math.min(patternsAtMost, Math.max(foldedFrom, table.size * 2));
  }

  return {
    get leftOut() {
      return leftOut;
    },
    list() {
      fold();
      return [...table.values()].sort((a, b) => b.count - a.count);
    },
    note({ client, kind, pattern, script, trouble, shapes, tagged }: Noted): void {
      const group = `${trouble ?? ''} ${kind} ${script ?? ''}`;
      const id = idOf({ group, pattern });
      let told = table.get(id);
      if (!told && table.size >= patternsAtMost) {
        leftOut++;
        return;
      }
      if (!told) {
        told = {
          group,
          pattern,
          kind,
          trouble,
          script,
          shapes: shapes(),
          tagged: trouble && tagged(),
          count: 0,
          clients: new Set(),
        };
        table.set(id, told);
      }
      told.count++;
      // That so many have a part in common is no chance.
      if (told.tagged !== undefined && told.count < taggedChecks) told.tagged = tagged();
      if (told.clients.size < connectionsKept) told.clients.add(client);
      if (table.size >= foldAt) fold();
    },
  };
}

function idOf({ group, pattern }: Pick<Told, 'group' | 'pattern'>): string {
  return `${group} ${pattern}`;
}

function merged(some: readonly Told[], folded: Nameable): Told {
  const [first] = some as [Told];
  const clients = some.flatMap((one) => [...one.clients]);
  return {
    ...first,
    ...folded,
    count: some.reduce((sum, { count }) => sum + count, 0),
    clients: new Set(clients.slice(0, connectionsKept)),
  };
}

function publicOf(
  { pattern, kind, trouble, count, clients, shapes, tagged, script }: Told,
  known: ReadonlyMap<string, ClientIdentity>,
): Pattern {
  return {
    pattern,
    kind,
    count,
    clients: groupClients(clients, known),
    ...(trouble !== undefined && {
      trouble,
      repair: repairOf({ kind, pattern, trouble, shapes, tagged }),
    }),
    ...(script !== undefined && { script }),
  };
}

/** What CLUSTER NODES says: one line for each node that the asked one knows, itself among them. */
import type { Place } from './nat.js';

export interface NodeLine {
  readonly id: string;
  readonly place: Place;
  readonly flags: ReadonlySet<string>;
  /** The id of the master that it replicates; undefined: it is one. */
  readonly masterId: string | undefined;
  readonly epoch: number;
  readonly connected: boolean;
  /** Ranges, first and last included. */
  readonly slots: readonly (readonly [number, number])[];
  /** Slots that it gives away or takes, and whose they are or become; only in a node's own line. */
  readonly migrating: ReadonlyMap<number, string>;
  readonly importing: ReadonlyMap<number, string>;
}

/** @param askedHost stands in for an address that the node itself does not know. */
export function parseNodes(text: string, askedHost: string): readonly NodeLine[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => parseLine(line, askedHost));
}

/** The line of the node that was asked. */
export function ownLine(lines: readonly NodeLine[]): NodeLine | undefined {
  return lines.find(({ flags }) => flags.has('myself'));
}

function parseLine(line: string, askedHost: string): NodeLine {
  const [id = '', address = '', flags = '', master = '-', , , epoch, link, ...rest] =
    line.split(' ');
  const migrating = new Map<number, string>();
  const importing = new Map<number, string>();
  const slots: (readonly [number, number])[] = [];
  for (const word of rest) {
    const [, slot, sign, other = ''] = /^\[(\d+)-([<>])-(\w+)\]$/.exec(word) ?? [];
    if (slot !== undefined) (sign === '>' ? migrating : importing).set(Number(slot), other);
    else if (word !== '') {
      const [first = '', last = first] = word.split('-');
      slots.push([Number(first), Number(last)]);
    }
  }
  return {
    id,
    place: parsePlace(address, askedHost),
    flags: new Set(flags.split(',')),
    masterId: master === '-' ? undefined : master,
    epoch: Number(epoch),
    connected: link === 'connected',
    slots,
    migrating,
    importing,
  };
}

/** `ip:port@cport,hostname`; IPv6 has no brackets here, and 3.2 no cport. */
function parsePlace(address: string, askedHost: string): Place {
  const [where = ''] = address.split(/[@,]/, 1);
  const colon = where.lastIndexOf(':');
  const host = where.slice(0, Math.max(0, colon));
  return { host: host === '' ? askedHost : host, port: Number(where.slice(colon + 1)) };
}

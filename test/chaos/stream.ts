/**
 * What a stream and its consumer group hold, as text, and the writes to it: entries are added, handed
 * out and acknowledged. Ids are given, so that what each write makes of a stream can be foretold.
 */
import type { State, Write } from './state.js';

export interface Stream {
  readonly entries: readonly (readonly [id: string, token: string])[];
  /** Undefined: nobody has made it. */
  readonly group: Group | undefined;
}

interface Group {
  readonly lastDelivered: string;
  readonly pending: readonly string[];
}

export const groupName = 'group';
const deliveredAtOnce = 2;

export function streamText({ entries, group }: Stream): string {
  return JSON.stringify([entries, group ? [group.lastDelivered, group.pending] : null]);
}

const entryId = (number: number): string => `${String(number)}-1`;

export function addEntry(key: string, number: number, token: string): Write {
  const id = entryId(number);
  return changing(['XADD', key, id, 'token', token], ({ entries, group }) => ({
    entries: [...entries, [id, token]],
    group,
  }));
}

/** Is refused when there is one. */
export function makeGroup(key: string): Write {
  return changing(['XGROUP', 'CREATE', key, groupName, '0', 'MKSTREAM'], (stream) => ({
    ...stream,
    group: stream.group ?? { lastDelivered: '0-0', pending: [] },
  }));
}

/** Is refused when there is no group. */
export function handOut(key: string): Write {
  const words = ['XREADGROUP', 'GROUP', groupName, 'consumer', 'COUNT', deliveredAtOnce] as const;
  return {
    words: [...words, 'STREAMS', key, '>'],
    leaves: (before) =>
      before &&
      changed(before, ({ entries, group }) => ({ entries, group: delivered(entries, group) })),
  };
}

export function acknowledge(key: string, number: number): Write {
  const id = entryId(number);
  return {
    words: ['XACK', key, groupName, id],
    leaves: (before) =>
      before &&
      changed(before, ({ entries, group }) => ({
        entries,
        group: group && { ...group, pending: group.pending.filter((one) => one !== id) },
      })),
    answer: (before) =>
      before && streamOf(before.value).group?.pending.includes(id) === true ? 1 : 0,
  };
}

/** The entries that no consumer has been given yet. */
export function undelivered({ entries, group }: Stream): readonly string[] {
  const after = numberOf(group?.lastDelivered ?? '0');
  return entries.map(([id]) => id).filter((id) => numberOf(id) > after);
}

function delivered(entries: Stream['entries'], group: Group | undefined): Group | undefined {
  if (!group) return undefined;
  const handed = undelivered({ entries, group }).slice(0, deliveredAtOnce);
  return {
    lastDelivered: handed.at(-1) ?? group.lastDelivered,
    pending: [...group.pending, ...handed],
  };
}

const numberOf = (id: string): number => Number(id.split('-', 1)[0]);

export function streamOf(value: string): Stream {
  if (value === '') return { entries: [], group: undefined };
  const [entries, group] = JSON.parse(value) as [Stream['entries'], [string, string[]] | null];
  return { entries, group: group ? { lastDelivered: group[0], pending: group[1] } : undefined };
}

function changed(before: State, change: (stream: Stream) => Stream): State {
  return { ...before, value: streamText(change(streamOf(before.value))) };
}

/** A write that makes the stream when there is none. */
function changing(words: Write['words'], change: (stream: Stream) => Stream): Write {
  return {
    words,
    leaves: (before) => changed(before ?? { value: '', deadline: undefined }, change),
  };
}

/** Gathers what became of a batch's keys while a mover works on it. */
import { chosen, keyAt } from '../redis/frames.js';
import type { FailureClass, KeyFailure, Keys, Outcome, Retry } from '../types.js';

export interface OutcomeBuilder {
  moved: number;
  gone: number;
  repeated: number;
  deleted: number;
  bytes: number;
  /** These keys go round again. */
  retry(keys: Keys, why: Omit<Retry, 'keys'>): void;
  /** These keys stay where they are, all for the same reason. */
  fail(keys: Keys, why: { class: FailureClass; message: string }): void;
  /** Takes over what became of some of the batch's keys. */
  add(part: Outcome): void;
  /** The two sides have these keys with values that may not give way: they stay on both. */
  leaveBoth(keys: Keys, why: keyof typeof reasons): void;
  build(): Outcome;
}

const reasons = {
  conflict: {
    class: 'conflict',
    message: 'the cluster has this key with another value',
  },
  recreated: {
    class: 'recreated',
    message: 'written again at the source after it was moved; the cluster has a copy of its own',
  },
  'in-doubt': {
    class: 'recreated',
    message:
      'a connection was lost while the source was to delete it: it was written to afterwards, whether it had left or not; the cluster has the copy of before',
  },
  diverged: {
    class: 'diverged',
    message:
      'written to at the source after it was copied, and changed in the cluster as well: both were left as they are',
  },
  deleted: {
    class: 'diverged',
    message:
      'written to at the source after it was copied, and deleted in the cluster: it was left at the source, and the next start copies it again',
  },
  missing: {
    class: 'diverged',
    message:
      'copied to a node that another one has replaced since, and not in the cluster any more: it was left at the source, and the next start copies it again',
  },
} as const satisfies Record<string, { class: FailureClass; message: string }>;

export function outcomeBuilder(): OutcomeBuilder {
  const retries: Retry[] = [];
  const failures: KeyFailure[] = [];
  let conflicting = 0;

  return {
    add(part) {
      this.moved += part.moved;
      this.gone += part.gone;
      this.repeated += part.repeated;
      this.deleted += part.deleted ?? 0;
      this.bytes += part.bytes;
      conflicting += part.conflicting;
      retries.push(...part.retries);
      failures.push(...part.failures);
    },
    leaveBoth(keys, why) {
      this.fail(keys, reasons[why]);
    },
    moved: 0,
    gone: 0,
    repeated: 0,
    deleted: 0,
    bytes: 0,
    retry(keys, why) {
      if (keys.count > 0) retries.push({ keys, ...why });
    },
    fail(keys, why) {
      if (Object.hasOwn(reasons, why.class)) conflicting += keys.count;
      // Copied, because a view would keep the whole batch's buffer as long as the report lives.
      for (let index = 0; index < keys.count; index++) {
        failures.push({ key: Buffer.from(keyAt(keys, index)), ...why });
      }
    },
    build() {
      return {
        moved: this.moved,
        gone: this.gone,
        repeated: this.repeated,
        deleted: this.deleted,
        conflicting,
        failed: failures.length - conflicting,
        bytes: this.bytes,
        retries,
        failures,
      };
    },
  };
}

/** Groups refused keys by what was said of them, so that each group is told once. */
export function byReason<T>(
  keys: Keys,
  refusals: readonly { readonly index: number; readonly reason: T; readonly id: string }[],
): { keys: Keys; reason: T }[] {
  const groups = new Map<string, { indexes: number[]; reason: T }>();
  for (const { index, reason, id } of refusals) {
    const group = groups.get(id);
    if (group) group.indexes.push(index);
    else groups.set(id, { indexes: [index], reason });
  }
  return [...groups.values()].map((group) => ({
    keys: chosen(keys, group.indexes),
    reason: group.reason,
  }));
}

/** Whether what was found of a key after a round is what its writer was promised. */
import type { Run } from './importer.js';
import { type History, mergesOf, type World } from './ledger.js';
import { isState, mayHaveExpired, type State } from './state.js';

export interface Found {
  readonly key: string;
  readonly source: State | undefined;
  readonly cluster: State | undefined;
  /** That is what the cluster had before the import. */
  readonly isPreexistingValue: boolean;
  /** Runs that nothing interrupted: they know which keys they have moved. */
  readonly calmRuns: readonly Run[];
  /** By how much the TTL of a copy that was given up may be stretched. */
  readonly lateMs: number;
}

export interface Judgement {
  /** `lost`: an acknowledged write is nowhere; `doubled`: the key is where it must not be. */
  readonly verdict: 'right' | 'lost' | 'doubled';
  readonly reason: string;
  /** Written again at the source after it was moved; both copies are what they should be. */
  readonly recreated: boolean;
  /** The cluster has an earlier state of what is whole at the source, or was deleted there. */
  readonly leftover: 'stale' | 'ghost' | undefined;
  /** It is lost, and a node that evicted the key explains that: what it has is right. */
  readonly isEvictable: boolean;
}

/** The best that any of the worlds makes of it. */
export function judge(worlds: readonly World[], found: Found, nowMs: number): Judgement {
  const all = worlds.map((world) => judgeWorld(world, found, nowMs));
  const right = all.filter(({ verdict }) => verdict === 'right');
  const plain = right.filter(({ leftover }) => !leftover);
  const wrong = all.find(({ isEvictable }) => isEvictable) ?? all[0];
  const best = plain.find(({ recreated }) => !recreated) ?? plain[0] ?? right[0] ?? wrong;
  if (!best) throw new Error('there is always a world');
  return best;
}

function judgeWorld(
  world: World,
  { key, source, cluster, isPreexistingValue, calmRuns, lateMs }: Found,
  nowMs: number,
): Judgement {
  const { alive, moved, history } = world;
  const say = (verdict: Judgement['verdict'], reason: string): Judgement => ({
    verdict,
    reason,
    recreated: alive !== undefined && source !== undefined && moved.length > 0,
    leftover: undefined,
    isEvictable: false,
  });
  const over = (state: State): boolean => mayHaveExpired(state, nowMs);

  if (source && !alive) return say('doubled', 'it is back at the source');
  if (source && alive && !isState(source, alive)) {
    return say('lost', 'the source lacks what was written there');
  }
  const isMerged = mergesOf(world, source !== undefined, nowMs).some((merge) =>
    calmRuns.some(
      ({ startedMs, endedMs, left }) =>
        startedMs <= merge.before.sentMs &&
        (merge.missedMs <= endedMs ||
          (merge.between.heardMs <= endedMs && left?.has(key) === false)),
    ),
  );
  if (isMerged) return say('lost', 'it came back after it was moved, and was taken for its copy');
  const owed = source || !alive ? moved : [...moved, alive];
  const missing = owed.find((state) => !over(state) && !(cluster && isState(cluster, state)));
  if (missing) {
    // Or a later copy, which a run that was cut off has put there since.
    const isEvictable =
      !cluster || owed.some((state) => isState(cluster, state)) || knows(history, cluster, lateMs);
    return { ...say('lost', `nobody has ${stateText(missing)}`), isEvictable };
  }
  if (!cluster || isPreexistingValue || owed.some((state) => isState(cluster, state)))
    return say('right', '');
  if (knows(history, cluster, lateMs)) {
    return { ...say('right', ''), leftover: source ? 'stale' : 'ghost' };
  }
  return say('doubled', 'the cluster has what was never written');
}

/**
 * Whether the key once had this value. A copy that was cut off may lack the deadline, or have that of
 * another moment: value and TTL are read one behind the other, and only the guard, which the import
 * never came to ask, tells whether somebody wrote in between. MIGRATE sends what is left of a TTL, and
 * a node that stood still counts that from when it goes on.
 */
function knows(history: History | undefined, { value, deadline }: State, lateMs: number): boolean {
  let valueIsKnown = false;
  let deadlineIsKnown = deadline === undefined;
  for (let past = history; past; past = past.earlier) {
    valueIsKnown ||= past.state.value === value;
    const known = past.state.deadline && {
      ...past.state.deadline,
      toMs: past.state.deadline.toMs + lateMs,
    };
    deadlineIsKnown ||= isState({ value: '', deadline }, { value: '', deadline: known });
  }
  return valueIsKnown && deadlineIsKnown;
}

export function stateText(state: State | undefined): string {
  if (!state) return 'nothing';
  const { value, deadline } = state;
  const until = deadline ? ` until ${String(Math.round(deadline.fromMs))}` : '';
  return `${value.length > 120 ? `${value.slice(0, 60)}…${value.slice(-50)}` : value}${until}`;
}

/**
 * Holds the writes of the source's clients, so that the source stands still while the last of its changes
 * are copied; and keeps writers off once the cluster has taken over.
 *
 * `pause`   CLIENT PAUSE … WRITE (Redis 6.2): writes wait, reads go on. The pause ends by itself soon after
 *           this process dies, so it is short, and renewed as long as it lasts. From 3.0 to 6.0 CLIENT PAUSE holds
 *           reads too, ours among them: they go by a side door (side-door.ts). It can't be ended there, so each
 *           one is shorter.
 * `refuse`  min-replicas-to-write: writes are answered with -NOREPLICAS. Up to 5.0, scripts and EXEC slip
 *           through, which is why the offset is read once more after the last round. It outlives this
 *           process.
 * `none`    their owner has stopped them.
 *
 * Where the connection is lost, another one takes its place. Whether the source was started again meanwhile, and
 * has forgotten the fence, can't be told: so the fence counts as a new one.
 */
import { RefusedError } from '../errors.js';
import type { Control } from '../redis/control.js';
import type { FenceName } from '../types.js';
import type { SourceLine } from './source-line.js';

export interface Fence {
  readonly name: FenceName;
  /**
   * From the moment at which it resolves no client's write is carried out. May be called again, after the
   * source may have forgotten it. @throws RefusedError
   */
  hold(): Promise<void>;
  /** Whether no write can have been carried out since then, in ms of `performance.now()`. */
  hasHeldSince(ms: number): boolean;
  /**
   * Leaves the source so that it refuses writes: who comes late gets an error instead of losing data, and a later
   * start knows that the cluster has taken over.
   * @returns how many replicas it wanted for a write before; undefined: it does not let us.
   */
  shut(): Promise<number | undefined>;
  /** Lets go what waits behind a pause: it is refused, if the source has been shut. */
  unpause(): Promise<void>;
  /** Lets writes go on. */
  release(): Promise<void>;
  /** Holds no longer than it does by itself: nobody may be there to say when it is to end. */
  lapse(): void;
}

/** A way of holding writes, as it is at one source. */
export interface SourceFence {
  readonly name: FenceName;
  /** All clients are held, also those that only read. */
  readonly holdsAll: boolean;
}

/** CLIENT PAUSE came with the first of these versions, CLIENT PAUSE … WRITE with the second one. */
const pausesSince = 30_000;
const pausesWritesSince = 60_200;

interface Pause {
  readonly ms: number;
  readonly renewEveryMs: number;
  readonly words: readonly string[];
  /** Ends it; undefined: it has to be waited for. */
  readonly end: readonly [string, string] | undefined;
}
const pauseOfWrites: Pause = {
  ms: 3000,
  renewEveryMs: 1000,
  words: ['WRITE'],
  end: ['CLIENT', 'UNPAUSE'],
};
const pauseOfAll: Pause = { ms: 500, renewEveryMs: 150, words: [], end: undefined };
/** The server looks after its clients every so often, and the pause ends only then. */
const looksEveryMs = 110;

/** @returns whether a server of this version can hold its clients at all. */
export const canPause = (versionNumber: number): boolean => versionNumber >= pausesSince;

/** Which fence is to be had. @returns what to do instead of `auto`. */
export function fenceFor(asked: FenceName | 'auto', versionNumber: number): SourceFence {
  const best = canPause(versionNumber) ? 'pause' : 'refuse';
  const name = asked === 'auto' ? best : asked;
  return { name, holdsAll: name === 'pause' && versionNumber < pausesWritesSince };
}

export function createFence({ name, holdsAll }: SourceFence, line: SourceLine): Fence {
  if (name === 'pause') return pausing(line, holdsAll ? pauseOfAll : pauseOfWrites);
  return name === 'refuse' ? refusing(line) : unheld(line);
}

function pausing(line: SourceLine, { ms: pauseMs, renewEveryMs, words, end }: Pause): Fence {
  const refusal = writeRefusal(line);
  let renewal: NodeJS.Timeout | undefined;
  let fromMs = Infinity;
  let untilMs = 0;
  let opening = 0;
  let unpauses = 0;

  async function pause(): Promise<void> {
    const sentMs = await line.use(async (control) => {
      const nowMs = performance.now();
      await control.call('CLIENT', 'PAUSE', pauseMs, ...words);
      return nowMs;
    });
    // A source that was started again has forgotten it.
    if (sentMs > untilMs || line.openings !== opening) fromMs = performance.now();
    // A longer pause is never shortened by another one (networking.c, pauseActions).
    untilMs = sentMs + pauseMs;
    opening = line.openings;
  }
  async function unpause(): Promise<void> {
    unpauses++;
    clearInterval(renewal);
    const leftMs = untilMs + looksEveryMs - performance.now();
    untilMs = 0;
    if (end) await line.use((control) => control.call(...end));
    else await new Promise((resolve) => setTimeout(resolve, Math.max(0, leftMs)));
  }
  return {
    name: 'pause',
    async hold() {
      const before = unpauses;
      await pause();
      clearInterval(renewal);
      // It was let go while the source took its time to answer: nothing may renew it.
      if (unpauses !== before) return;
      renewal = setInterval(() => void pause().catch(() => undefined), renewEveryMs);
    },
    hasHeldSince: (ms) => fromMs <= ms && performance.now() < untilMs && line.openings === opening,
    shut: () => refusal.shut(),
    unpause,
    async release() {
      await refusal.restore();
      await unpause();
    },
    lapse() {
      clearInterval(renewal);
    },
  };
}

function refusing(line: SourceLine): Fence {
  const refusal = writeRefusal(line);
  let fromMs = Infinity;
  let opening = 0;
  return {
    name: 'refuse',
    async hold() {
      await refusal.hold();
      if (line.openings !== opening) fromMs = performance.now();
      opening = line.openings;
    },
    hasHeldSince: (ms) => fromMs <= ms && line.openings === opening,
    shut: () => refusal.shut(),
    unpause: () => Promise.resolve(),
    release: () => refusal.restore(),
    lapse: () => undefined,
  };
}

function unheld(line: SourceLine): Fence {
  const refusal = writeRefusal(line);
  return {
    name: 'none',
    hold: () => Promise.resolve(),
    hasHeldSince: () => true,
    shut: () => refusal.shut(),
    unpause: () => Promise.resolve(),
    release: () => refusal.restore(),
    lapse: () => undefined,
  };
}

/*
 * Makes a source refuse writes: min-replicas-to-write asks for more replicas than there are. It outlives this
 * process, so the number itself tells the next one what it is there for.
 */

/** What makes a source refuse writes, as it was found or as it is set. */
interface WriteRule {
  /** min-replicas-to-write */
  readonly replicas: number;
  /** min-replicas-max-lag: with 0 no write is refused, however many replicas are wanted. */
  readonly lagSeconds: number;
}

/**
 * More replicas than there are: nobody may write. The number says why, and what was there before, for a later start:
 * even ones hold writes until the cutover is over or has failed, odd ones for good, since the cluster has taken over.
 */
const refusingFrom = 1_000_000;
/** The same where min-replicas-max-lag was 0. */
const refusingFromLag0 = 2_000_000;
/** What servers have by default. */
const usualLagSeconds = 10;

type Refusal = 'held' | 'shut';

function refusalOver({ replicas, lagSeconds }: WriteRule, state: Refusal): number {
  const from = lagSeconds === 0 ? refusingFromLag0 : refusingFrom;
  return from + 2 * replicas + (state === 'shut' ? 1 : 0);
}

/** What was there before a refusal was set, and which one it was; undefined: there is none. */
function behindRefusal({ replicas }: WriteRule): (WriteRule & { state: Refusal }) | undefined {
  if (replicas < refusingFrom) return undefined;
  const isLag0 = replicas >= refusingFromLag0;
  return {
    replicas: (replicas - (isLag0 ? refusingFromLag0 : refusingFrom)) >> 1,
    lagSeconds: isLag0 ? 0 : usualLagSeconds,
    state: replicas % 2 === 0 ? 'held' : 'shut',
  };
}

export interface WriteRefusal {
  /** Refuses writes until `restore`. */
  readonly hold: () => Promise<unknown>;
  /** Refuses them for good. @returns how many replicas it wanted before; undefined: it does not let us. */
  readonly shut: () => Promise<number | undefined>;
  readonly restore: () => Promise<void>;
}

export function writeRefusal(line: SourceLine): WriteRefusal {
  let before: WriteRule | undefined;
  let isShut = false;
  let last: Promise<unknown> = Promise.resolve();

  /** One after the other: what is put back must not be overtaken by what was still being set. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = last.then(work);
    last = done.catch(() => undefined);
    return done;
  }
  async function refuse(state: Refusal): Promise<number> {
    if (!before) {
      const found = await line.use(readRule);
      before = behindRefusal(found) ?? found;
    }
    const rule = before;
    await line.use((control) =>
      writeRule(control, {
        replicas: refusalOver(rule, state),
        lagSeconds: rule.lagSeconds === 0 ? usualLagSeconds : undefined,
      }),
    );
    return rule.replicas;
  }
  return {
    hold: () => inTurn(() => refuse('held')),
    shut: () =>
      inTurn(async () => {
        isShut = true;
        try {
          return await refuse('shut');
        } catch (error) {
          if (error instanceof RefusedError) return undefined;
          throw error;
        }
      }),
    restore: () =>
      inTurn(async () => {
        const rule = before;
        if (!rule) return;
        await line.use(async (control) => {
          // Whoever decides may have handed over without us meanwhile.
          const isHandedOver = !isShut && (await leftBefore(control))?.state === 'shut';
          if (!isHandedOver) await putBack(control, rule);
        });
        before = undefined;
        isShut = false;
      }),
  };
}

/** How an earlier run has left a source that refuses writes. */
export interface LeftBefore extends WriteRule {
  readonly state: Refusal;
}

/** @returns undefined: as it found it. */
export async function leftBefore(control: Control): Promise<LeftBefore | undefined> {
  try {
    return behindRefusal(await readRule(control));
  } catch (error) {
    if (error instanceof RefusedError) return undefined;
    throw error;
  }
}

/** Puts back what an earlier run had found. */
export function letWrite(control: Control, left: LeftBefore): Promise<void> {
  return putBack(control, left);
}

/** Whether the source can be made to refuse writes once the cluster has taken over. */
export async function mayRefuseWrites(control: Control): Promise<boolean> {
  try {
    // What is set already.
    const { replicas } = await readRule(control);
    await writeRule(control, { replicas, lagSeconds: undefined });
    return true;
  } catch (error) {
    if (error instanceof RefusedError) return false;
    throw error;
  }
}

async function putBack(control: Control, { replicas, lagSeconds }: WriteRule): Promise<void> {
  await writeRule(control, { replicas, lagSeconds: lagSeconds === 0 ? 0 : undefined });
}

async function readRule(control: Control): Promise<WriteRule> {
  const replicas = await readSetting(control, 'to-write');
  const lagSeconds = await readSetting(control, 'max-lag');
  return { replicas: replicas ?? 0, lagSeconds: lagSeconds ?? usualLagSeconds };
}

/** @param lagSeconds undefined: it stays as it is. */
async function writeRule(
  control: Control,
  { replicas, lagSeconds }: { readonly replicas: number; readonly lagSeconds: number | undefined },
): Promise<void> {
  if (lagSeconds !== undefined) await writeSetting(control, 'max-lag', lagSeconds);
  await writeSetting(control, 'to-write', replicas);
}

type Setting = 'to-write' | 'max-lag';

/** Up to 4.0 they begin with min-slaves. */
const namesOf = (setting: Setting) => [`min-replicas-${setting}`, `min-slaves-${setting}`];

async function readSetting(control: Control, setting: Setting): Promise<number | undefined> {
  for (const name of namesOf(setting)) {
    const reply = await control.call('CONFIG', 'GET', name);
    if (Array.isArray(reply) && reply.length === 2) return Number(reply[1]);
  }
  return undefined;
}

async function writeSetting(control: Control, setting: Setting, value: number): Promise<void> {
  let refusal: unknown;
  for (const name of namesOf(setting)) {
    try {
      await control.call('CONFIG', 'SET', name, value);
      return;
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      refusal ??= error;
    }
  }
  throw refusal;
}

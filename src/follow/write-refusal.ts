/**
 * Makes a source refuse writes: min-replicas-to-write asks for more replicas than there are. It outlives this
 * process, so the number itself tells the next one what it is there for.
 */
import { RefusedError } from '../errors.js';
import type { Control } from '../redis/control.js';
import type { SourceLine } from './source-line.js';

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

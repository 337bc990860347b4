/**
 * Holds the writes of the source's clients, so that the source stands still while the last of its changes
 * are copied; and keeps writers off once the cluster has taken over.
 *
 * `pause`   CLIENT PAUSE … WRITE (Redis 6.2): writes wait, reads go on. The pause ends by itself soon after
 *           this process dies, so it is short, and renewed as long as it lasts.
 * `refuse`  min-replicas-to-write: writes are answered with -NOREPLICAS. Up to 5.0, scripts and EXEC slip
 *           through, which is why the offset is read once more after the last round. It outlives this
 *           process.
 * `none`    their owner has stopped them.
 */
import { PreflightError, RefusedError } from '../errors.js';
import type { Control } from '../redis/control.js';
import type { FenceName } from '../types.js';

export interface Fence {
  readonly name: FenceName;
  /** From the moment at which it resolves no client's write is carried out. @throws RefusedError */
  hold(): Promise<void>;
  /** Lets writes go on. */
  release(): Promise<void>;
}

/** CLIENT PAUSE … WRITE came with this version. */
const pausesWritesSince = 60_200;
const pauseMs = 3000;
const renewEveryMs = 1000;
/** More replicas than there are: nobody may write. */
const unreachableReplicas = 1_000_000;

/**
 * Which fence is to be had, tried by commands that change nothing.
 * @throws PreflightError when the one that was asked for, or any, can not be had.
 */
export async function chooseFence(
  asked: FenceName | 'auto',
  versionNumber: number,
  control: Control,
): Promise<FenceName> {
  if (asked === 'none') return asked;
  const mayPause = versionNumber >= pausesWritesSince;
  const tries = { pause: () => tryPause(control), refuse: () => tryRefuse(control) };
  const wanted = asked === 'auto' ? (['pause', 'refuse'] as const) : [asked];
  const refusals: string[] = [];
  for (const name of wanted) {
    if (name === 'pause' && !mayPause) {
      refusals.push(`${control.address} knows no CLIENT PAUSE ... WRITE (Redis 6.2)`);
      continue;
    }
    const refusal = await tries[name]();
    if (refusal === undefined) return name;
    refusals.push(refusal);
  }
  const others = asked === 'auto' ? '' : `another --fence, or `;
  throw new PreflightError(
    `Writes could not be held for the cutover (${refusals.join('; ')}): allow that, or pass ${others}--fence none and stop the writers yourself.`,
  );
}

/** A pause that is over at once. @returns why it is refused; undefined: it is not. */
function tryPause(control: Control): Promise<string | undefined> {
  return refusalOf(control.call('CLIENT', 'PAUSE', 0, 'WRITE'));
}

/** Sets what is set already. */
async function tryRefuse(control: Control): Promise<string | undefined> {
  return refusalOf(readLeastReplicas(control).then((before) => setLeastReplicas(control, before)));
}

async function refusalOf(asked: Promise<unknown>): Promise<string | undefined> {
  try {
    await asked;
    return undefined;
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    return error.message.replace(/\.$/, '');
  }
}

/** Whether the source can be made to refuse writes once the cluster has taken over. */
export async function mayRefuseWrites(control: Control): Promise<boolean> {
  return (await tryRefuse(control)) === undefined;
}

export function createFence(name: FenceName, control: Control): Fence {
  const none = { name, hold: () => Promise.resolve(), release: () => Promise.resolve() };
  return { pause: pausing, refuse: refusing, none: () => none }[name](control);
}

function pausing(control: Control): Fence {
  let renewal: NodeJS.Timeout | undefined;
  const pause = (): Promise<unknown> => control.call('CLIENT', 'PAUSE', pauseMs, 'WRITE');
  const stop = (): void => {
    clearInterval(renewal);
  };
  return {
    name: 'pause',
    async hold() {
      await pause();
      // A longer pause is never shortened by another one (networking.c, pauseActions).
      renewal = setInterval(() => void pause().catch(stop), renewEveryMs);
    },
    async release() {
      stop();
      await control.call('CLIENT', 'UNPAUSE');
    },
  };
}

function refusing(control: Control): Fence {
  let before: string | undefined;
  return {
    name: 'refuse',
    async hold() {
      before ??= await readLeastReplicas(control);
      await setLeastReplicas(control, unreachableReplicas);
    },
    async release() {
      await setLeastReplicas(control, before ?? '0');
      before = undefined;
    },
  };
}

/**
 * Leaves the source so that it refuses writes: who comes late gets an error instead of losing data.
 * @returns whether that could be had.
 */
export async function refuseWrites(control: Control): Promise<boolean> {
  return setLeastReplicas(control, unreachableReplicas).then(
    () => true,
    () => false,
  );
}

/** Whether the source has been left so, by an earlier run that was cut short. */
export async function refusesWrites(control: Control): Promise<boolean> {
  const count = await readLeastReplicas(control).catch(() => '');
  return count === String(unreachableReplicas);
}

export async function letWrite(control: Control): Promise<void> {
  await setLeastReplicas(control, '0');
}

/** Up to 4.0 it is called min-slaves-to-write. */
const names = ['min-replicas-to-write', 'min-slaves-to-write'];

async function readLeastReplicas(control: Control): Promise<string> {
  for (const name of names) {
    const reply = await control.call('CONFIG', 'GET', name);
    if (Array.isArray(reply) && reply.length === 2) return String(reply[1]);
  }
  return '0';
}

async function setLeastReplicas(control: Control, count: string | number): Promise<void> {
  let refusal: unknown;
  for (const name of names) {
    try {
      await control.call('CONFIG', 'SET', name, count);
      return;
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      refusal ??= error;
    }
  }
  throw refusal;
}

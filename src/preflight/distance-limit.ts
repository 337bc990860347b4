/** Whether a limit for the source's answers leaves time for anything but the way there and back. */
import type { Control } from '../redis/control.js';
import { measureRoundTrip } from '../redis/round-trip.js';

/** Above this share of the limit nothing more is ever sent at one time (engine/allowance.ts). */
const usableShare = 0.5;

/** @returns what to say; undefined: the limit can be kept. */
export async function limitBelowDistance(
  control: Control,
  limitMs: number | undefined,
): Promise<string | undefined> {
  if (limitMs === undefined) return undefined;
  const tripMs = await measureRoundTrip(control).catch(() => 0);
  if (tripMs < limitMs * usableShare) return undefined;
  return (
    `A PING to ${control.address} takes ${tripMs.toFixed(1)} ms there and back when nothing is moved, ` +
    `so --max-source-latency ${String(limitMs)} would hold the run to a key at a time: ` +
    `give more than ${String(Math.ceil(tripMs / usableShare))} ms, or run it nearer to the source.`
  );
}

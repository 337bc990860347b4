/** How far verifying has come. */
import { formatCount } from '../../format.js';
import { showPassingLine } from '../../monitor/passing-line.js';
import { average } from '../../monitor/speed.js';
import type { Source } from '../../types.js';
import type { VerifyParts } from '../../verify/verify-parts.js';

export function showVerifyProgress(
  { sources, masters, findings }: VerifyParts,
  stream: NodeJS.WritableStream | undefined,
): { stop(): void } {
  const rate = average();
  let last = { atMs: performance.now(), keys: 0 };

  function line(): string {
    const now = { atMs: performance.now(), keys: findings.compared };
    rate.add((now.keys - last.keys) / Math.max(1, now.atMs - last.atMs), now.atMs - last.atMs);
    last = now;
    const share = (shareOf(sources) + shareOf(masters)) / 2;
    return [
      `${(share * 100).toFixed(1)} %`,
      `${formatCount(findings.compared)} keys compared`,
      `${formatCount(findings.lookedBack)} looked back`,
      `${formatCount(rate.value() * 1000)} keys/s`,
      `${formatCount(findings.differences)} ${findings.differences === 1 ? 'difference' : 'differences'}`,
    ].join(' · ');
  }

  return showPassingLine(line, stream);
}

/** By their sizes: a small server that is done says little of the rest. */
function shareOf(listed: readonly { readonly keys: Source }[]): number {
  const all = listed.reduce((sum, { keys }) => sum + keys.estimatedKeys, 0);
  const done = listed.reduce((sum, { keys }) => sum + keys.estimatedKeys * keys.progress, 0);
  return all === 0 ? 1 : done / all;
}

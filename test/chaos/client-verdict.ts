/** Whether what was found of the clients' keys after a round is what the clients were promised. */
import {
  compare,
  type FaultClass,
  type KeyFault,
  type KeyLedger,
  text,
  texts,
} from './client-ledger.js';

export interface FoundKey {
  readonly source: string | undefined;
  readonly cluster: string | undefined;
  /** How the last report names the key, if it does: both sides keep what they have. */
  readonly reported: string | undefined;
  /** Whether an earlier run has reported that both sides had changed it, and left it on both. */
  readonly hasDiverged: boolean;
  /** What the cluster had under this name before the import began. */
  readonly preexisting: string | undefined;
}

export interface ClientVerdict {
  readonly faults: readonly KeyFault[];
  /** The key was emptied at the source while a run had just copied it. */
  readonly isGhost: boolean;
}

export function judgeClientKey(ledger: KeyLedger, found: FoundKey): ClientVerdict {
  const { source, cluster } = found;
  const faults = [...ledger.faults];
  let isGhost = false;
  const blame = (faultClass: FaultClass, words: string): void => {
    const where = `source: ${text(source)}, cluster: ${text(cluster)}, reported: ${text(found.reported)}`;
    faults.push({
      class: faultClass,
      words: `${ledger.key} (${ledger.style}): ${words}; ${where}${ledger.told}`,
    });
  };
  const check = (
    side: string,
    expected: readonly (string | undefined)[],
    value: string | undefined,
  ) => {
    const fault = compare(ledger.kind, expected, value);
    if (fault) blame(fault, `the ${side} should have ${texts(expected)}`);
  };

  if (found.hasDiverged) return { faults: [], isGhost };

  // One fault of a key is enough: what follows from it is not another one.
  if (faults.length > 0) return { faults, isGhost };

  if (source !== undefined && ledger.hasLeft) {
    blame('doubled', 'it is back at the source');
  } else if (ledger.hasLeft || ledger.isTouched) {
    check('cluster', ledger.cluster ?? [], cluster);
    if (source !== undefined) {
      check('source', ledger.source, source);
      if (found.reported === undefined) blame('doubled', 'it is on both sides, and not reported');
    } else if (ledger.isStaleBase && !wasReplaced(ledger, cluster)) {
      blame('lost', `nobody has what was written at the source: ${texts(ledger.source)}`);
    }
  } else if (source !== undefined) {
    check('source', ledger.source, source);
    const isKnown =
      cluster === undefined || cluster === found.preexisting || isCopy(ledger, cluster);
    if (!isKnown) blame('doubled', 'the cluster has what was never written');
    else if (cluster !== undefined && found.reported === undefined) {
      blame('doubled', 'it is on both sides, and not reported');
    }
  } else if (ledger.isEmptied && cluster !== undefined) {
    if (cluster !== found.preexisting) {
      if (isCopy(ledger, cluster)) isGhost = true;
      else blame('doubled', 'the cluster has what was never written');
    }
  } else {
    check('cluster', [...ledger.source, ...(ledger.cluster ?? [])], cluster);
  }
  return { faults, isGhost };
}

/** Whether what was written at the source may have taken the place of a counter that came back. */
function wasReplaced(
  { cameBack, mayBeReplaced, source }: KeyLedger,
  cluster: string | undefined,
): boolean {
  return mayBeReplaced || (cameBack && source.includes(cluster));
}

/** What no client has written to in the cluster is as it was at the source once. */
function isCopy(ledger: KeyLedger, value: string): boolean {
  return ledger.isCopy(value) || ledger.cluster?.includes(value) === true;
}

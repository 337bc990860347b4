/** From what is known to a verdict: whether it can move, and which case it is. */
import { findingsOf, unseenOf } from './findings.js';
import type { AssessReport, Case, Finding, Known } from './assess-report.js';

/** @param more findings about both sides together. */
export function buildAssessReport(known: Known, more: readonly Finding[] = []): AssessReport {
  const found = caseOf(known);
  const findings = [...findingsOf(known), ...more];
  const isOpen = found === undefined || findings.some(({ open }) => open === true);
  const cannot = findings.some(({ blocking }) => blocking);
  const status = cannot ? 'cannot-move' : isOpen ? 'undecided' : 'can-move';
  return { status, ...(found !== undefined && { case: found }), ...known, findings };
}

function caseOf({ watch, commandStats }: Known): Case | undefined {
  const troubles = (watch?.patterns ?? []).map(({ trouble }) => trouble);
  if (troubles.some((trouble) => trouble !== undefined && trouble !== 'database')) return 3;
  if (unseenOf(commandStats).length > 0 || (watch?.cut.length ?? 0) > 0) return undefined;
  return troubles.includes(undefined) ? 2 : 1;
}

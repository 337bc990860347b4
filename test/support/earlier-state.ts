/** What an earlier run may have left. */
import { format, formatVersion, type JournalState } from '../../src/journal/journal.js';

export function earlierState(state: Partial<JournalState> = {}): JournalState {
  return {
    format,
    formatVersion,
    from: ['10.0.0.5:6379/0'],
    to: '10.0.1.1:7000',
    mode: 'move',
    clusterNodes: ['one'],
    replaceSaid: null,
    replace: true,
    startedEmpty: true,
    runs: 1,
    moved: 1000,
    bytes: 64_000,
    startedAt: '2026-01-01T00:00:00.000Z',
    savedAt: '2026-01-01T00:00:05.000Z',
    selection: '{}',
    scans: { '10.0.0.5:6379/0': { cursor: '18446744073709551615', server: 'abc' } },
    ...state,
  };
}

/**
 * The library's public face: every function, what they take and give, and every error that they can
 * throw. `docs/library.md` shows their use.
 */
export { summarizeAssess } from './assess/sections.js';
export type { AssessReport } from './assess/assess-report.js';
export { type CheckReport, summarizeCheck } from './check/check-report.js';
export { assess, type AssessContext } from './commands/assess.js';
export type { GivenAssessOptions as AssessOptions } from './options/verb-options.js';
export {
  checkCluster,
  type CheckContext,
  type GivenCheckOptions as CheckOptions,
} from './commands/check.js';
export type { ImportContext } from './commands/import.js';
export {
  type ImportEvents,
  importKeys,
  type ImportRun,
  startImport,
} from './commands/start-import.js';
export { verifyKeys, type VerifyContext } from './commands/verify.js';
export type { GivenVerifyOptions as VerifyOptions } from './options/verb-options.js';
export {
  ConnectionError,
  ImportError,
  PreflightError,
  ProtocolError,
  RefusedError,
  SourceError,
  StoppedError,
  TargetError,
  UsageError,
} from './errors.js';
export { version } from './installed.js';
export type { Standing as Snapshot } from './watch/live.js';
export type { GivenOptions as ImportOptions } from './options/options.js';
export type { Found, Report, ReportedFailure, ReportedKey, ReportedSource } from './report.js';
export type { Bytes, Duration } from './options/rows.js';
export { RdbError } from './sources/rdb/rdb-errors.js';
export type { ImportLimits } from './watch/run-sockets.js';
export { summarize } from './summary.js';
export type {
  Cutover,
  FailureClass,
  FenceName,
  FollowStatus,
  Logger,
  MoverChoice,
  MoverName,
  Phase,
} from './types.js';
export type { DifferenceKind, ReportedDifference } from './verify/differences.js';
export { summarizeVerify, type VerifyReport } from './verify/verify-report.js';

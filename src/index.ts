/** The library's public face. */
export { assess, type AssessContext } from './commands/assess.js';
export type { AssessOptions } from './commands/assess/assess-options.js';
export { checkCluster, type CheckContext, type CheckOptions } from './commands/check.js';
export { type ImportContext, importKeys } from './commands/import.js';
export { verifyKeys, type VerifyContext } from './commands/verify.js';
export type { GivenVerifyOptions, VerifyOptions } from './commands/verify/verify-options.js';
export { summarizeAssess } from './assess/sections.js';
export type { AssessReport } from './assess/assess-report.js';
export { type CheckReport, summarizeCheck } from './check/check-report.js';
export {
  ConnectionError,
  ImportError,
  PreflightError,
  ProtocolError,
  RefusedError,
  SourceError,
  TargetError,
  UsageError,
} from './errors.js';
export type { GivenOptions, ImportOptions } from './options.js';
export type { Report, ReportedFailure } from './report.js';
export { summarize } from './summary.js';
export type { FailureClass, Logger, MoverName } from './types.js';
export type { Difference, DifferenceKind, ReportedDifference } from './verify/differences.js';
export { summarizeVerify, type VerifyReport } from './verify/verify-report.js';
export { version } from './installed.js';

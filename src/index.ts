/** The library's public face. */
export { type ImportContext, importKeys } from './commands/import.js';
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
export { version } from './version.js';

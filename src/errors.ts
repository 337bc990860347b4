/**
 * Every error that people meet, each with the exit code it leads to.
 * A message is one plain sentence that names the flag or the server, and the way out.
 */

/** Anything this tool says no to, or stops for. */
export class ImportError extends Error {
  /** What the process exits with, as docs/report.md lists. */
  readonly exitCode: number = 3;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** A flag or its value is wrong: nothing was moved. */
export class UsageError extends ImportError {
  override readonly exitCode = 2;
}

/** A check before the start failed: nothing was moved. */
export class PreflightError extends ImportError {
  override readonly exitCode = 2;
}

/** Whoever asked for an end got it while there was nothing to finish but waiting. */
export class StoppedError extends ImportError {
  override readonly exitCode = 130;
}

/** What was thrown, in words: by our own code, by Node, or by whatever else can throw anything. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' && syscall?.startsWith('spawn')) return 'there is no such program';
  return systemWords.get(code ?? '') ?? error.message;
}

/** Servers end some of their sentences with a full stop, and others not. */
export function withoutStop(message: string): string {
  return message.replace(/\.$/, '');
}

/** What the system says of files and ports; of connections `redis/sentences.ts` knows more. */
const systemWords: ReadonlyMap<string, string> = new Map([
  ['EACCES', 'permission denied'],
  ['EADDRINUSE', 'the port is in use'],
  ['EISDIR', 'it is a folder'],
  ['ENOENT', 'no such file or folder'],
  ['ENOSPC', 'no space is left'],
  ['ENOTDIR', 'a part of the path is no folder'],
  ['EPERM', 'it is not permitted'],
  ['EROFS', 'it can only be read there'],
]);

/** What was thrown, as an error: anything can be thrown. */
export function errorOf(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

/** What was thrown, where it was foreseen. @throws anything else. */
export function importErrorOf(error: unknown): ImportError {
  if (error instanceof ImportError) return error;
  throw error;
}

/** @param stoppedWith what the process exits with that a signal stopped, if one did. */
export function exitCodeFor(error: unknown, stoppedWith?: number): number {
  if (error instanceof StoppedError) return stoppedWith ?? error.exitCode;
  return error instanceof ImportError ? error.exitCode : 3;
}

/** The source failed midway. */
export class SourceError extends ImportError {}

/** The target cluster failed midway. */
export class TargetError extends ImportError {}

/** A server sent what the protocol does not allow, or more than it may. */
export class ProtocolError extends ImportError {}

/** A connection was lost, refused, or silent for too long. */
export class ConnectionError extends ImportError {}

/** A server answered a command of the control plane with an error. */
export class RefusedError extends ImportError {
  constructor(
    message: string,
    /** The server's words: `NOPERM this user has no …`. */
    readonly reply: string,
  ) {
    super(message);
  }
}

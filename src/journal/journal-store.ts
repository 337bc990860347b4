/** Where a journal is kept, and who may write it: a file (file-store.ts), or a Redis (redis-store.ts). */
import type { ImportError } from '../errors.js';
import type { MovedKeys } from './moved.js';

export interface JournalStore {
  /** As it is named in errors: a path, or a server and a key. */
  readonly name: string;
  /** What to do where it can't be written: one clause. */
  readonly way: string;
  /** @throws PreflightError when another run holds it. */
  lock(): Promise<Lock>;
  /** Undefined: there is none. */
  read(): Promise<string | undefined>;
  /** Puts it in the place of what was there, as a whole. */
  write(text: string): Promise<void>;
  /** Removes it, and all that belongs to it. */
  remove(): Promise<void>;
  /**
   * Where moved keys are kept; undefined: there is no such place.
   * @param onTrouble is called when keys can't be put there: nothing can be moved any more.
   */
  moved(onTrouble: (error: ImportError) => void): MovedKeys | undefined;
  close(): void;
}

export interface Lock {
  /** Says that we are still here. @returns false when another run has taken the lock over. */
  renew(): Promise<boolean>;
  release(): Promise<void>;
}

/**
 * A control connection that is opened when it is first asked for something, and again after it was lost: for what
 * asks now and then for as long as a run lasts.
 */
import { ConnectionError, RefusedError } from '../errors.js';
import { type Control, type ControlOptions, type ControlReply, openControl } from './control.js';
import { addressOf, type Endpoint } from './endpoint.js';
import { locate } from './sentinel.js';

export interface ReopenedControl {
  /** As `Control.call`; what could not be asked now may be asked again. @throws as that, and as `openControl`. */
  call(command: string, ...args: readonly (string | number)[]): Promise<ControlReply>;
  close(): void;
}

export function reopenedControl(endpoint: Endpoint, options: ControlOptions): ReopenedControl {
  let current: Promise<Control> | undefined;
  let isClosed = false;

  function open(): Promise<Control> {
    const opening = locate(endpoint, options.timeoutMs).then((place) =>
      openControl(place, options),
    );
    opening.catch(() => {
      forget(opening);
    });
    return opening;
  }

  function forget(opened: Promise<Control>): void {
    if (current === opened) current = undefined;
  }

  return {
    async call(command, ...args) {
      if (isClosed) throw new ConnectionError(`the connection to ${addressOf(endpoint)} is closed`);
      const opened = (current ??= open());
      const control = await opened;
      try {
        return await control.call(command, ...args);
      } catch (error) {
        if (error instanceof ConnectionError || isElsewhere(error)) {
          forget(opened);
          control.close();
        }
        throw error;
      }
    },
    close() {
      isClosed = true;
      // One that could not be opened was reported already.
      current?.then(
        (control) => {
          control.close();
        },
        () => undefined,
      );
    },
  };
}

/** It is not the master any more, or not ready: behind the same name there may be another server by now. */
function isElsewhere(error: unknown): boolean {
  return error instanceof RefusedError && /^(READONLY|MASTERDOWN|LOADING)/.test(error.reply);
}

/**
 * A control connection that is opened when it is first asked for something, and again after it was lost: for what
 * asks now and then for as long as a run lasts.
 */
import { ConnectionError } from '../errors.js';
import { type Control, type ControlOptions, type ControlReply, openControl } from './control.js';
import type { Endpoint } from './endpoint.js';
import { locate } from './sentinel.js';

export interface ReopenedControl {
  /** As `Control.call`; what could not be asked now may be asked again. @throws as that, and as `openControl`. */
  call(command: string, ...args: readonly (string | number)[]): Promise<ControlReply>;
  close(): void;
}

export function reopenedControl(endpoint: Endpoint, options: ControlOptions): ReopenedControl {
  let current: Promise<Control> | undefined;

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
      const opened = (current ??= open());
      const control = await opened;
      try {
        return await control.call(command, ...args);
      } catch (error) {
        if (error instanceof ConnectionError) {
          forget(opened);
          control.close();
        }
        throw error;
      }
    },
    close() {
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

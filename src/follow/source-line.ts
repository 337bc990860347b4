/**
 * The connection to the source over which a cutover is carried out. Each of its commands may be carried out
 * twice: where the connection is lost under one, another connection is opened, and it is sent again.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { ConnectionError } from '../errors.js';
import type { Control } from '../redis/control.js';

/** How long a source that can't be reached is tried. */
const tryForMs = 10_000;
const tryEveryMs = 100;

export class SourceLine {
  readonly #open: () => Promise<Control>;
  #opening: Promise<Control> | undefined;
  #openings = 0;
  #isClosed = false;

  constructor(open: () => Promise<Control>) {
    this.#open = open;
  }

  /** Grows with each connection: what was asked for over an earlier one may be forgotten. */
  get openings(): number {
    return this.#openings;
  }

  /** @throws RefusedError, and ConnectionError when the source can't be reached for long. */
  async use<T>(work: (control: Control) => Promise<T>): Promise<T> {
    const untilMs = performance.now() + tryForMs;
    for (;;) {
      if (this.#isClosed) throw new ConnectionError('the cutover is over');
      const opening = (this.#opening ??= this.#openOne());
      try {
        return await work(await opening);
      } catch (error) {
        if (!(error instanceof ConnectionError)) throw error;
        if (opening === this.#opening) this.#drop();
        if (performance.now() > untilMs) throw error;
        await delay(tryEveryMs);
      }
    }
  }

  /** The next command opens another connection. */
  renew(): void {
    this.#drop();
  }

  close(): void {
    this.#isClosed = true;
    this.#drop();
  }

  #openOne(): Promise<Control> {
    this.#openings++;
    return this.#open();
  }

  #drop(): void {
    const dropped = this.#opening;
    this.#opening = undefined;
    dropped?.then(
      (control) => {
        control.close();
      },
      () => undefined,
    );
  }
}

/**
 * No feed: nobody tells of changes. All keys are copied again and again, with a rest in between that is as
 * long as it took; and once more at the cutover, while writes are held.
 */
import type { ChangeListener, Feed } from './feed.js';

const shortestRestMs = 10_000;

export class NoFeed implements Feed {
  readonly kind = 'none';
  readonly position = undefined;
  readonly gaps = 0;
  readonly isUp = true;
  readonly ended: Promise<void>;
  #settleEnded: () => void = () => undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param mayLook whether the keys may be copied again now, or at the next time. */
  constructor(
    readonly listener: Pick<ChangeListener, 'everything'>,
    readonly mayLook: () => boolean,
  ) {
    this.ended = new Promise((resolve) => {
      this.#settleEnded = resolve;
    });
    this.passEnded(0);
  }

  get heardAtMs(): number {
    return Date.now();
  }

  caughtUp(): Promise<void> {
    return Promise.resolve();
  }

  /** All keys have been copied, which took so long. */
  passEnded(tookMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => {
        if (this.mayLook()) this.listener.everything(undefined, 'nobody tells of what is changed');
        else this.passEnded(tookMs);
      },
      Math.max(shortestRestMs, tookMs),
    );
    this.#timer.unref();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#settleEnded();
  }
}

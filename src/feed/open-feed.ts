/** Which feed a source is followed by: the one that was asked for, or the best that it allows. */
import { ConnectionError, PreflightError } from '../errors.js';
import { addressOf } from '../redis/endpoint.js';
import type { FeedName } from '../types.js';
import type { Feed, ChangeListener } from './feed.js';
import { notifications, openPushFeed, type PushKind, tracking } from './push-feed.js';
import { openReplicationFeed, type ReplicationFeedOptions } from './replication.js';

export interface OpenFeedOptions extends ReplicationFeedOptions {
  readonly name: FeedName | 'auto';
  /** Of a feed that hears of nothing: whether all keys may be copied again now. */
  mayLook(): boolean;
  /** Takes sentences that operators should read before they rely on it. */
  readonly warn: (sentence: string) => void;
}

/** @throws PreflightError in one sentence that names the server, what it refused, and the way out. */
export async function openFeed(options: OpenFeedOptions): Promise<Feed> {
  const { name } = options;
  if (name !== 'auto') return openNamed(name, options);
  const refusals: string[] = [];
  for (const one of ['replication', 'tracking', 'notifications'] as const) {
    try {
      const feed = await openNamed(one, options);
      const [refusal] = refusals;
      if (refusal !== undefined) options.warn(`${sentence(refusal)} So --feed ${one} is taken.`);
      return feed;
    } catch (error) {
      // A source that does not answer may allow the best feed yet.
      const isRefused =
        error instanceof PreflightError && !(error.cause instanceof ConnectionError);
      if (!isRefused) throw error;
      refusals.push(error.message);
    }
  }
  options.warn(`${sentence(refusals[0] ?? '')} No other feed is to be had: --feed none is taken.`);
  return openNamed('none', options);
}

async function openNamed(name: FeedName, options: OpenFeedOptions): Promise<Feed> {
  const { warn, endpoint, listener } = options;
  const address = addressOf(endpoint);
  switch (name) {
    case 'replication':
      return openReplicationFeed(options);
    case 'tracking':
    case 'notifications': {
      const kind: PushKind = name === 'tracking' ? tracking : notifications;
      const feed = await openPushFeed(kind, options);
      warn(
        `--feed ${name} does not tell of ${kind.silentOn}: ${address} counts those commands, and what they may have changed is copied again, at the cutover at the latest.`,
      );
      return feed;
    }
    case 'none':
      warn(
        `--feed none hears of no change: all keys of ${address} are copied again and again, and once more while writes are held: give --max-hold as long as that takes.`,
      );
      return new NoFeed(listener, () => options.mayLook());
  }
}

function sentence(words: string): string {
  return words.endsWith('.') ? words : `${words}.`;
}

/*
 * No feed: nobody tells of changes. All keys are copied again and again, with a rest in between that is as
 * long as it took; and once more at the cutover, while writes are held.
 */

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

/** The import of a source in another process, as those see it here who watch it. */
import { nothingCounted } from '../engine/tally.js';
import type { Census } from '../movers/counting.js';
import type { SourceFacts } from '../plan/source-facts.js';
import type { Settled, SourceView } from '../run/source-run.js';
import type { BatchEvent, KeyFailure, ScanPosition, Tally, TallySnapshot } from '../types.js';
import type { MoverInUse } from '../watch/sampler.js';
import {
  batchesOf,
  countedWhileFollowed,
  failureOf,
  type JobNews,
  type SourceProgress,
  tallyOf,
  tallyOnWire,
} from './job-news.js';

export class RemoteSource implements SourceView {
  readonly source: SourceFacts;
  readonly tally: Tally;
  /** Nothing is counted elsewhere: a dry run stays in one process. */
  readonly census: Census = { types: new Map(), present: 0, shared: 0 };
  #progress: SourceProgress | undefined;
  /** Of that progress: it is asked for much more often than it changes. */
  #known: TallySnapshot | undefined;
  #startAt: ScanPosition | undefined;
  readonly #startedAtMs = Date.now();
  readonly #batchListeners: ((event: BatchEvent) => void)[] = [];
  readonly #failureListeners: ((failure: KeyFailure) => void)[] = [];

  /** @param startAt where an earlier run's scan had come to. */
  constructor(source: SourceFacts, startAt: ScanPosition | undefined) {
    this.source = source;
    this.#startAt = startAt;
    this.tally = {
      snapshot: () => this.#snapshot(),
      onBatch: (listener) => this.#batchListeners.push(listener),
      onFailure: (listener) => this.#failureListeners.push(listener),
    };
  }

  /** What whoever runs it said last; undefined: nothing yet. */
  get progress(): SourceProgress | undefined {
    return this.#progress;
  }

  get mover(): MoverInUse {
    return this.#progress?.mover ?? { name: 'relay', reason: 'it has not begun yet' };
  }

  get settled(): Settled | undefined {
    const settled = this.#progress?.settled;
    if (settled) return { position: settled.position, tally: tallyOf(settled.tally) };
    return this.#startAt && { position: this.#startAt, tally: undefined };
  }

  hear({ sources, batches, failures }: JobNews): void {
    const { name } = this.source;
    this.#progress = sources[name] ?? this.#progress;
    this.#known = undefined;
    const ended = batches[name];
    for (const event of ended ? batchesOf(ended) : []) {
      for (const listener of this.#batchListeners) listener(event);
    }
    for (const failure of failures[name] ?? []) {
      for (const listener of this.#failureListeners) listener(failureOf(failure));
    }
  }

  /** No more is heard of a source that was followed: what was under way when it was heard last is not counted. */
  endAsHeard(): void {
    const tally = countedWhileFollowed(this.#progress);
    if (!this.#progress || !tally) return;
    this.#progress = { ...this.#progress, tally: tallyOnWire(tally) };
    this.#known = undefined;
  }

  #snapshot(): TallySnapshot {
    this.#known ??= this.#progress ? tallyOf(this.#progress.tally) : this.#before();
    return this.#known;
  }

  #before(): TallySnapshot {
    return {
      startedAtMs: this.#startedAtMs,
      ...nothingCounted,
      nodes: [],
      sources: [
        {
          name: this.source.name,
          moved: 0,
          conflicting: 0,
          failed: 0,
          keysLeft: this.source.keys,
          progress: 0,
          health: { state: 'ok', sinceMs: null, why: null },
        },
      ],
      causes: [],
      failures: [],
      latestFailures: [],
      progress: 0,
      earlierShare: 0,
      sourceKeysLeft: this.source.keys,
      expectedKeys: null,
    };
  }
}

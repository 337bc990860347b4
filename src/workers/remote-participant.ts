/**
 * A server that another process follows, as the cutover sees it here. Where that process dies or falls silent, an
 * attempt is given up: what it held goes on by itself.
 */
import { within } from '../async.js';
import { ImportError } from '../errors.js';
import { type OpenWrites, reopenServer, shutServer } from '../follow/half-done.js';
import type {
  LateWrites,
  Participant,
  ParticipantState,
  Standstill,
  Unmoved,
} from '../follow/participant.js';
import type { AskedOfJob, Dialogue } from './dialogue.js';

/** So often a process is told during a cutover that we are here, and has to have been heard of. */
const lookEveryMs = 250;
/** In looks, not in time: who was stopped has to read first what has come meanwhile. Far less than a pause lasts. */
const mostSilentLooks = 6;
/** How long letting go may take: its source may have to be reached first. And how long once its process says nothing. */
const letGoWithinMs = 12_000;
const letGoSilentlyMs = 1000;
/** Then it is done from here: well before a process that does not hear of us lets writes go on. */
const shutWithinMs = 750;
/** What is left to be said once its source refuses writes: they are held for about as long where it is not heard. */
const saidWithinMs = 3000;

const notJoined: ParticipantState = {
  isCopied: false,
  feed: '',
  fence: 'none',
  changes: 0,
  gaps: 0,
  waiting: null,
  lagMs: 0,
};

/** It may be made to refuse writes for good from now on; or no more, since that was given up; or it is all over. */
export type HandOver = 'begins' | 'given up' | 'over';

/** So long a process may say nothing before it counts as gone, outside of a cutover. */
const longestSilenceMs = 5000;

type Step = keyof AskedOfJob & keyof Participant;

export class RemoteParticipant implements Participant {
  readonly address: string;
  readonly #openWrites: OpenWrites;
  readonly #onHandOver: (handOver: HandOver) => void;
  #dialogue: Dialogue<AskedOfJob> | undefined;
  #state = notJoined;
  /** Of processes that have died. */
  #before = { changes: 0, gaps: 0 };
  #hearLoss: (error: ImportError) => void = () => undefined;
  #isHeld = false;
  #mayBeShut = false;
  #silentLooks = 0;
  #hearSilence: () => void = () => undefined;
  #heardAtMs = performance.now();
  #looking: NodeJS.Timeout | undefined;

  constructor(address: string, openWrites: OpenWrites, onHandOver: (handOver: HandOver) => void) {
    this.address = address;
    this.#openWrites = openWrites;
    this.#onHandOver = onHandOver;
  }

  get state(): ParticipantState {
    const { changes, gaps } = this.#before;
    const silentMs = performance.now() - this.#heardAtMs;
    return {
      ...this.#state,
      // Of a process that says nothing nobody knows what waits; another one may have to take its place first.
      isCopied: this.#state.isCopied && silentMs <= longestSilenceMs,
      lagMs: Math.max(this.#state.lagMs, silentMs > longestSilenceMs ? silentMs : 0),
      changes: this.#state.changes + changes,
      gaps: this.#state.gaps + gaps,
    };
  }

  /** A process has joined it. */
  attach(dialogue: Dialogue<AskedOfJob>): void {
    this.#dialogue = dialogue;
  }

  hear(state: ParticipantState): void {
    this.#heardAtMs = performance.now();
    this.#state = state;
  }

  /** Its process is gone. */
  detach(): void {
    if (!this.#dialogue) return;
    this.#dialogue = undefined;
    const { changes, gaps } = this.state;
    this.#before = { changes, gaps };
    this.#state = { ...notJoined, feed: this.#state.feed, fence: this.#state.fence };
    this.#hearLoss(this.#gone());
  }

  onLost(hear: (error: ImportError) => void): void {
    this.#hearLoss = hear;
  }

  hurry(isHurried: boolean): void {
    this.#dialogue?.ask('hurry', this.address, isHurried).catch(() => undefined);
  }

  prepare(): Promise<void> {
    this.#silentLooks = 0;
    this.#looking ??= setInterval(() => {
      this.#look();
    }, lookEveryMs);
    return this.#ask('prepare');
  }

  approach(): Promise<void> {
    return this.#ask('approach');
  }

  hold(): Promise<void> {
    this.#isHeld = true;
    return this.#ask('hold');
  }

  copyTheRest(): Promise<Unmoved | null> {
    return this.#ask('copyTheRest');
  }

  settle(): Promise<boolean> {
    return this.#ask('settle');
  }

  look(): Promise<Standstill> {
    return this.#ask('look');
  }

  goOn(): void {
    this.#ask('goOn').catch(() => undefined);
  }

  async letGo(): Promise<string | null> {
    const isHeld = this.#isHeld;
    const mayBeShut = this.#mayBeShut;
    this.#isHeld = this.#mayBeShut = false;
    // Its process may be found silent only now: another one was found so first, and this one is next. Until then it is
    // told that we are here, or else it would stand alone in the midst of letting go.
    const silence = this.#isSilent
      ? Promise.resolve()
      : new Promise<void>((resolve) => (this.#hearSilence = resolve));
    const letting = this.#ask('letGo').catch(() => undefined);
    const unheard = silence.then(() => within(letGoSilentlyMs, letting, undefined));
    const answer = await within(letGoWithinMs, Promise.race([letting, unheard]), undefined);
    clearInterval(this.#looking);
    this.#looking = undefined;
    const trouble = answer === undefined && isHeld ? await this.#letGoFromHere(mayBeShut) : answer;
    this.#onHandOver('given up');
    return trouble ?? null;
  }

  /** Its process is gone, or says nothing: what it holds by itself ends by itself. */
  async #letGoFromHere(mayBeShut: boolean): Promise<string | null> {
    const isPaused = this.#state.fence === 'pause';
    let way = mayBeShut ? 'within 6 s' : 'within 3 s';
    if (mayBeShut || !isPaused) {
      try {
        await reopenServer(this.#openWrites);
        if (!isPaused) return null;
      } catch {
        way = 'when another process takes it up';
      }
    }
    return `(its process says nothing): they go on ${way}`;
  }

  async shut(hasSwitched: boolean): Promise<number | null> {
    this.#onHandOver('begins');
    this.#mayBeShut = true;
    const shutting = this.#ask('shut');
    if (!hasSwitched) return shutting;
    // Its process may be gone, or say nothing: the source has to refuse writes all the same.
    const known = await within(shutWithinMs, shutting, undefined).catch(() => undefined);
    return known === undefined ? ((await shutServer(this.#openWrites)) ?? null) : known;
  }

  unpause(): Promise<void> {
    return within(saidWithinMs, this.#ask('unpause'), undefined);
  }

  lateWrites(): Promise<LateWrites> {
    return within(saidWithinMs, this.#ask('lateWrites'), { keys: 0, unknown: null });
  }

  end(): void {
    clearInterval(this.#looking);
    this.#onHandOver('over');
    this.#ask('end').catch(() => undefined);
  }

  get #isSilent(): boolean {
    return this.#silentLooks >= mostSilentLooks;
  }

  /** Heard counts only as an answer: a process that does not hear of us lets writes go on. */
  #look(): void {
    this.#dialogue?.ask('stay').then(
      () => (this.#silentLooks = 0),
      () => undefined,
    );
    if (++this.#silentLooks !== mostSilentLooks) return;
    this.#hearSilence();
    this.#hearLoss(new ImportError(`the process that follows ${this.address} says nothing`));
  }

  #gone(): ImportError {
    return new ImportError(`the process that followed ${this.address} died`);
  }

  #ask<Name extends Step>(step: Name): Promise<Awaited<ReturnType<AskedOfJob[Name]>>> {
    if (!this.#dialogue) return Promise.reject(this.#gone());
    const ask = this.#dialogue.ask.bind(this.#dialogue) as (
      name: Name,
      address: string,
    ) => Promise<Awaited<ReturnType<AskedOfJob[Name]>>>;
    return ask(step, this.address);
  }
}

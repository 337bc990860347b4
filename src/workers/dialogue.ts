/**
 * Two processes that ask each other, in plain JSON over a channel that keeps the order. Who asks gets an answer, or
 * ImportError with what the other one has thrown, or with why there is nobody to answer any more.
 */
import { ImportError, messageOf } from '../errors.js';
import type { Round } from '../follow/followed-source.js';
import type { LateWrites, ParticipantState, Standstill, Unmoved } from '../follow/participant.js';
import type { FeedPosition, Keys } from '../types.js';

export type Said =
  | { readonly id: number; readonly ask: string; readonly words: readonly unknown[] }
  | { readonly id: number; readonly answer: unknown }
  | { readonly id: number; readonly refusal: string };

/** What one side can be asked for. What goes in and comes out is plain JSON, so that nothing is null and not undefined. */
type Answers<T> = { readonly [Name in keyof T]: (...words: never[]) => unknown };

interface Waiting {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** @template Theirs what the other side can be asked for. */
export class Dialogue<Theirs extends Answers<Theirs>> {
  readonly #send: (said: Said) => void;
  readonly #waiting = new Map<number, Waiting>();
  #asked = 0;
  #ended: ImportError | undefined;
  #answers: Record<string, (...words: unknown[]) => unknown> = {};

  constructor(send: (said: Said) => void) {
    this.#send = send;
  }

  /** From now on the other side is answered. */
  answer<Ours extends Answers<Ours>>(ours: Ours): void {
    this.#answers = ours as unknown as Record<string, (...words: unknown[]) => unknown>;
  }

  ask<Name extends keyof Theirs & string>(
    name: Name,
    ...words: Parameters<Theirs[Name]>
  ): Promise<Awaited<ReturnType<Theirs[Name]>>> {
    if (this.#ended) return Promise.reject(this.#ended);
    const id = ++this.#asked;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as Waiting['resolve'], reject });
      this.#send({ id, ask: name, words });
    });
  }

  hear(said: Said): void {
    if ('ask' in said) {
      void this.#reply(said.id, said.ask, said.words);
      return;
    }
    const waiting = this.#waiting.get(said.id);
    this.#waiting.delete(said.id);
    if ('answer' in said) waiting?.resolve(said.answer);
    else waiting?.reject(new ImportError(said.refusal));
  }

  /** Nobody answers any more. */
  end(error: ImportError): void {
    this.#ended = error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  async #reply(id: number, name: string, words: readonly unknown[]): Promise<void> {
    try {
      const answer = await this.#answers[name]?.(...words);
      this.#send({ id, answer: answer ?? null });
    } catch (error) {
      this.#send({ id, refusal: messageOf(error) });
    }
  }
}

/*
 * What the process that follows sources and the one that began the run ask of each other, besides orders and news.
 * Keys travel as base64 of their frames.
 */

export interface PageOnWire {
  readonly bytes: string;
  readonly starts: readonly number[];
}

export function pageOnWire({ bytes, starts, count }: Keys): PageOnWire {
  const used = starts.subarray(0, count + 1);
  return {
    bytes: bytes.toString('base64', 0, used[count]),
    starts: [...used],
  };
}

export function pageOf({ bytes, starts }: PageOnWire): Keys {
  return {
    bytes: Buffer.from(bytes, 'base64'),
    starts: Uint32Array.from(starts),
    count: starts.length - 1,
  };
}

/** `keys` is null where all were copied. */
export type RoundOnWire = Omit<Round, 'keys'> & { readonly keys: number | null };

export function roundOnWire({ keys, ...times }: Round): RoundOnWire {
  return { ...times, keys: keys === Infinity ? null : keys };
}

export function roundOf({ keys, ...times }: RoundOnWire): Round {
  return { ...times, keys: keys ?? Infinity };
}

/** By address. */
export type States = Readonly<Record<string, ParticipantState>>;

/** Of a job that has joined, by database. */
export interface JoinedDatabase {
  /** What has changed since its position is heard of. */
  readonly goesOn: boolean;
  /** All that has to be copied is known by its feed. */
  readonly isOfFeed: boolean;
}

/** What a process that follows is asked for. Servers go by address, databases by the name of their job. */
export interface AskedOfJob {
  /** Begin to copy. */
  begin(): void;
  /** The one that decides is there. */
  stay(): void;
  hurry(address: string, isHurried: boolean): void;
  prepare(address: string): Promise<void>;
  approach(address: string): Promise<void>;
  hold(address: string): Promise<void>;
  copyTheRest(address: string): Promise<Unmoved | null>;
  settle(address: string): Promise<boolean>;
  look(address: string): Promise<Standstill>;
  goOn(address: string): void;
  letGo(address: string): Promise<string | null>;
  shut(address: string): Promise<number | null>;
  unpause(address: string): Promise<void>;
  lateWrites(address: string): Promise<LateWrites>;
  end(address: string): void;
  /** @param name in base64. */
  note(database: string, name: string): void;
  /** @param order its number among those of the database. */
  noteEverything(database: string, why: string, order: number): void;
  noteStrays(database: string, order: number): void;
}

/** What the process that began the run is asked for. */
export interface AskedOfLead {
  joined(states: States, databases: Readonly<Record<string, JoinedDatabase>>): void;
  stands(states: States): void;
  claim(database: string, page: PageOnWire): readonly number[];
  /** @returns false: nobody who is followed has the key. @param name in base64. */
  passOn(database: string, name: string): Promise<boolean>;
  beginSearch(database: string): Promise<readonly number[] | null>;
  endSearch(database: string): Promise<void>;
  absentElsewhere(database: string, page: PageOnWire): Promise<PageOnWire>;
  /** @param order the number of the last order to copy something that was heard. */
  reached(database: string, position: FeedPosition, order: number): void;
  roundEnded(database: string, round: RoundOnWire, isCopied: boolean, states: States): void;
}

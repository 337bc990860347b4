/**
 * Two processes that ask each other, in plain JSON over a channel that keeps the order. Who asks gets an answer, or
 * ImportError with what the other one has thrown, or with why there is nobody to answer any more.
 */
import { ImportError, messageOf } from '../errors.js';

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

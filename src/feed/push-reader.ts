/**
 * Reads a connection on which a server says things unasked: answers to what was asked go to whoever asked,
 * in order, and everything else is news.
 *
 * In RESP3 news is a push; to a subscriber it is a list that begins with the kind of news.
 */
import type { Connection } from '../redis/connection.js';
import { command } from '../redis/frames.js';
import { type Reader, type Reply, ReplyReader, textOf } from '../redis/reply.js';
import type { Word } from '../redis/ask.js';

const kindsOfNews = new Set(['invalidate', 'message', 'pmessage']);
/** A push names all keys of a turn of the server's event loop. */
const mostBytes = 256 * 1024 * 1024;

interface Question {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: Error) => void;
}

export class PushReader implements Reader {
  readonly done = false;
  readonly #connection: Connection;
  #questions: Question[] = [];
  #reader: ReplyReader | undefined;

  /**
   * From now on nobody else may read this connection.
   * @param news is given lists that begin with the kind of news.
   */
  constructor(
    connection: Connection,
    readonly news: (words: readonly Reply[]) => void,
  ) {
    this.#connection = connection;
    connection.expect(this);
  }

  get idle(): boolean {
    return this.#questions.length === 0;
  }

  /** @throws ConnectionError when the connection is lost before the answer has come. */
  ask(...words: readonly Word[]): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const { lost } = this.#connection;
      if (lost) {
        reject(lost);
        return;
      }
      this.#questions.push({ resolve, reject });
      this.#connection.out.append(command(...words));
    });
  }

  take(bytes: Buffer, from: number, end: number): number {
    let at = from;
    while (at < end) {
      this.#reader ??= new ReplyReader(
        (reply) => {
          this.#take(reply);
        },
        () => undefined,
        mostBytes,
        true,
      );
      const next = this.#reader.take(bytes, at, end);
      if (this.#reader.done) this.#reader = undefined;
      if (next === at) break;
      at = next;
    }
    return at;
  }

  fail(error: Error): void {
    for (const { reject } of this.#questions.splice(0)) reject(error);
  }

  #take(reply: Reply): void {
    if (Array.isArray(reply) && kindsOfNews.has(textOf(reply[0]))) this.news(reply);
    else this.#questions.shift()?.resolve(reply);
  }
}

/**
 * A client's connection to one server. Nothing is sent twice on it: a write that was sent again would
 * be one that no ledger knows.
 */
import { Redis } from 'ioredis';

export class Connection {
  #client: Redis | undefined;
  #opening: Promise<Redis> | undefined;

  constructor(
    readonly host: string,
    readonly port: number,
  ) {}

  /** A client that is connected: the same one until that connection is lost. Rejects if it can't be. */
  open(): Promise<Redis> {
    if (this.#client?.status === 'ready') return Promise.resolve(this.#client);
    this.#opening ??= this.#connect().finally(() => (this.#opening = undefined));
    return this.#opening;
  }

  close(): void {
    this.#client?.disconnect();
  }

  async #connect(): Promise<Redis> {
    this.#client?.disconnect();
    const client = new Redis({
      host: this.host,
      port: this.port,
      protocol: 2,
      disableClientInfo: true,
      lazyConnect: true,
      retryStrategy: () => null,
      autoResendUnfulfilledCommands: false,
    });
    this.#client = client;
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }
}

/** An answer all the same: nothing was done. */
export function isRefusal(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError';
}

/** Servers of several kinds: those of a kind are started when they are first asked for, and stopped all at once. */
export class Started<Kind extends string, S extends { stop(): Promise<void> }> {
  readonly #started = new Map<Kind, S>();

  constructor(readonly start: (kind: Kind) => Promise<S>) {}

  async get(kind: Kind): Promise<S> {
    const servers = this.#started.get(kind) ?? (await this.start(kind));
    this.#started.set(kind, servers);
    return servers;
  }

  /** Whoever asks again gets new ones. */
  async stop(): Promise<void> {
    const all = [...this.#started.values()];
    this.#started.clear();
    await Promise.all(all.map((servers) => servers.stop()));
  }
}

/**
 * A TCP proxy that can be told to misbehave, which is how tests get a slow, broken or lying network
 * between two programs that are in good health. "Up" is from the client to the server.
 */
import { connect, createServer, type Socket } from 'node:net';

type Direction = 'up' | 'down';

/** May be changed while connections are open; it holds for what arrives from then on. */
interface Faults {
  /** How long bytes are under way; they stay in order, and are as many a second as before. */
  delayMs: Record<Direction, number>;
  /** Lets this many more bytes through in all, then cuts the connection they were on. */
  cutAfterBytes: Record<Direction, number>;
  /** Changes what passes; `connection` is another object for each. */
  corrupt?: ((chunk: Buffer, direction: Direction, connection: object) => Buffer) | undefined;
  /** Refuses new connections: they are accepted by the system, and closed at once. */
  refuse: boolean;
}

export interface Proxy {
  readonly host: string;
  readonly port: number;
  readonly address: string;
  readonly faults: Faults;
  readonly connections: number;
  /** How many connections were refused so far. */
  readonly refused: number;
  /** Bytes let through so far. */
  readonly bytes: Readonly<Record<Direction, number>>;
  /** Cuts every connection; new ones are welcome. */
  cut(): void;
  /** Nothing passes any more, and nobody is told. */
  stall(): void;
  resume(): void;
  stop(): Promise<void>;
}

export async function startProxy(target: { host: string; port: number }): Promise<Proxy> {
  const faults: Faults = {
    delayMs: { up: 0, down: 0 },
    cutAfterBytes: { up: Infinity, down: Infinity },
    refuse: false,
  };
  const bytes = { up: 0, down: 0 };
  const pairs = new Set<readonly [Socket, Socket]>();
  let refused = 0;
  let stalled: Promise<void> | undefined;
  let release: (() => void) | undefined;

  function pass(from: Socket, to: Socket, direction: Direction, connection: object): void {
    let order = Promise.resolve();
    from.on('data', (chunk: Buffer) => {
      const due = Date.now() + faults.delayMs[direction];
      order = order.then(async () => {
        const waitMs = due - Date.now();
        if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
        await stalled;
        deliver(faults.corrupt?.(chunk, direction, connection) ?? chunk);
      });
    });
    from.on('end', () => {
      order = order.then(() => void to.end());
    });

    function deliver(chunk: Buffer): void {
      if (to.destroyed) return;
      const allowed = faults.cutAfterBytes[direction];
      const part = chunk.subarray(0, allowed);
      faults.cutAfterBytes[direction] = allowed - part.length;
      bytes[direction] += part.length;
      const cutting = part.length < chunk.length;
      if (!to.write(part) && !cutting) {
        from.pause();
        to.once('drain', () => from.resume());
      }
      if (cutting) {
        to.destroySoon();
        from.destroy();
      }
    }
  }

  const server = createServer({ allowHalfOpen: true }, (client) => {
    client.on('error', () => undefined);
    if (faults.refuse) {
      refused++;
      client.resetAndDestroy();
      return;
    }
    const upstream = connect({ ...target, allowHalfOpen: true });
    const pair = [client, upstream] as const;
    pairs.add(pair);
    upstream.on('error', () => undefined);
    for (const [one, other] of [pair, [upstream, client] as const]) {
      one.setNoDelay(true);
      one.on('close', () => {
        pairs.delete(pair);
        // What is still waiting to be delivered dies with the connection, as on a real network.
        other.destroySoon();
      });
    }
    pass(client, upstream, 'up', pair);
    pass(upstream, client, 'down', pair);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as { port: number };

  function cut(): void {
    for (const [client, upstream] of pairs) {
      client.resetAndDestroy();
      upstream.destroy();
    }
  }
  function resume(): void {
    release?.();
    stalled = release = undefined;
  }
  return {
    host: '127.0.0.1',
    port,
    address: `127.0.0.1:${String(port)}`,
    faults,
    bytes,
    get connections() {
      return pairs.size;
    },
    get refused() {
      return refused;
    },
    cut,
    stall() {
      stalled ??= new Promise((resolve) => (release = resolve));
    },
    resume,
    stop: () =>
      new Promise((resolve) => {
        resume();
        cut();
        server.close(() => {
          resolve();
        });
      }),
  };
}

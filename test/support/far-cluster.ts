/**
 * A cluster behind proxies that delay: far away, on one machine. The nodes announce their proxies' ports, so that
 * whoever asks the cluster where to send keys takes the long way too, as a source does that is told by MIGRATE.
 */
import { type ClusterNode, startCluster, type TestCluster } from './cluster.js';
import { type Proxy, startProxy } from './proxy.js';
import { waitFor } from './wait.js';

export interface FarCluster {
  readonly cluster: TestCluster;
  /** The way to a node: `127.0.0.1:7000`. */
  readonly seed: string;
  /** Puts a server as far away as the nodes are. */
  proxyTo(server: { host: string; port: number }): Promise<Proxy>;
  /** Holds from then on, both ways together. */
  setRoundTrip(ms: number): void;
  stop(): Promise<void>;
}

export async function startFarCluster(): Promise<FarCluster> {
  const cluster = await startCluster();
  const proxies: Proxy[] = [];
  let roundTripMs = 0;

  async function proxyTo(server: { host: string; port: number }): Promise<Proxy> {
    const proxy = await startProxy(server);
    proxies.push(proxy);
    delay(proxy);
    return proxy;
  }
  function delay({ faults }: Proxy): void {
    const up = Math.floor(roundTripMs / 2);
    // Timers know only whole milliseconds.
    faults.delayMs = { up, down: roundTripMs - up };
  }
  async function stop(): Promise<void> {
    await Promise.all(proxies.map((proxy) => proxy.stop()));
    await cluster.stop();
  }

  try {
    const ports = new Map<ClusterNode, number>();
    for (const node of cluster.masters) ports.set(node, (await proxyTo(node)).port);
    await announce(cluster, ports);
    const [seedPort] = ports.values();
    return {
      cluster,
      seed: `127.0.0.1:${String(seedPort)}`,
      proxyTo,
      setRoundTrip(ms) {
        roundTripMs = ms;
        proxies.forEach(delay);
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function announce(
  cluster: TestCluster,
  ports: ReadonlyMap<ClusterNode, number>,
): Promise<void> {
  for (const [node, port] of ports) {
    // Its bus is not proxied, and would follow the port if it were not named.
    await node.client.config('SET', 'cluster-announce-bus-port', node.port + 10_000);
    await node.client.config('SET', 'cluster-announce-port', port);
  }
  const announced = new Set(ports.values());
  await waitFor('the nodes to hear of all proxies', async () => {
    const answers = await Promise.all(
      cluster.masters.map((node) => node.client.call('CLUSTER', 'NODES')),
    );
    return answers.every((answer) => {
      const told = [...String(answer).matchAll(/ \S+:(\d+)@/g)].map(([, port]) => Number(port));
      return told.length === ports.size && told.every((port) => announced.has(port));
    });
  });
}

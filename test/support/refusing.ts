/**
 * A node that refuses its sources' payloads, as an older one would: a proxy, which the node itself
 * announces, gives every payload that passes it a version from the future. The refusal is the node's
 * own. (A payload that is cut in two by the network passes as it is, as others' payloads may.)
 */
import { type ClusterNode, startCluster, type TestCluster } from './cluster.js';
import { type Proxy, startProxy } from './proxy.js';
import { waitFor } from './wait.js';

export interface Refusing {
  readonly cluster: TestCluster;
  readonly node: ClusterNode;
  readonly proxy: Proxy;
  /** `all`: from the first question on; `trialPasses`: it shows only with real values. */
  refuse(what: 'all' | 'trialPasses'): void;
  stop(): Promise<void>;
}

/** Two bytes of version, and eight of a checksum, at the end of a bulk string. */
const footer = /([^])([\x06-\x0f])\0([^]{8}\r\n)/g;
/** The type in a payload that holds nothing, with which nodes are tried. */
const noType = '\xff';
const future = '\x50';

export async function startRefusing(): Promise<Refusing> {
  const cluster = await startCluster({ masters: 1 });
  const node = cluster.masters[0] as ClusterNode;
  const proxy = await startProxy(node);
  await node.client.config('SET', 'cluster-announce-bus-port', node.port + 10_000);
  await node.client.config('SET', 'cluster-announce-port', proxy.port);
  await waitFor('the node to announce the proxy', async () =>
    JSON.stringify(await node.client.call('CLUSTER', 'SLOTS')).includes(String(proxy.port)),
  );
  return {
    cluster,
    node,
    proxy,
    refuse(what) {
      proxy.faults.corrupt = (chunk, direction) => {
        if (direction === 'down') return chunk;
        const spoilt = chunk
          .toString('latin1')
          .replace(footer, (whole, type: string, _: string, sum: string) =>
            what === 'trialPasses' && type === noType ? whole : `${type}${future}\0${sum}`,
          );
        return Buffer.from(spoilt, 'latin1');
      };
    },
    async stop() {
      await proxy.stop();
      await cluster.stop();
    },
  };
}

/**
 * The rows of `options.ts` that say how each side is reached: passwords, TLS, addresses.
 * What is a file is named here and read before the start (`plan/endpoints.ts`).
 */
import { flag, list, type Rows, secret, text, type Values } from './rows.js';

/** For the sources. */
const sourceAccessRows = {
  /** For a source whose endpoint holds no password. */
  fromPassword: secret({ env: 'CLUSTER_IMPORT_FROM_PASSWORD', help: "the source's password" }),
  /** Goes before the environment's. */
  fromPasswordFile: text({
    flag: '--from-password-file <file>',
    help: "a file that holds the source's password",
  }),
  /** For the Sentinels of a source named by `sentinel://…`. */
  sentinelPassword: secret({
    env: 'CLUSTER_IMPORT_SENTINEL_PASSWORD',
    help: "the Sentinels' password",
  }),
  fromTlsCa: text({
    flag: '--from-tls-ca <file>',
    help: "authorities that may have signed the source's certificate (PEM)",
  }),
  fromTlsCert: text({
    flag: '--from-tls-cert <file>',
    help: 'our certificate for the source (PEM)',
  }),
  fromTlsKey: text({ flag: '--from-tls-key <file>', help: 'its private key (PEM)' }),
  fromTlsServername: text({
    flag: '--from-tls-servername <name>',
    help: "the name that the source's certificate must be for (default: the host)",
  }),
  fromTlsInsecure: flag(
    {
      flag: '--from-tls-insecure',
      help: 'accept any certificate of the source: anyone on the network path can read everything',
    },
    false,
  ),
} satisfies Rows;

/** For the cluster. */
export const clusterAccessRows = {
  /** For a cluster whose endpoint holds no password. */
  toPassword: secret({ env: 'CLUSTER_IMPORT_TO_PASSWORD', help: "the cluster's password" }),
  toPasswordFile: text({
    flag: '--to-password-file <file>',
    help: "a file that holds the cluster's password",
  }),
  /** Nodes are dialled there; MIGRATE names them as announced, since the source dials them. */
  nat: list({
    flag: '--nat <announced=reachable>',
    help: 'how to reach what servers announce: host:port=host:port or host=host; may be repeated',
  }),
  toTlsCa: text({
    flag: '--to-tls-ca <file>',
    help: "authorities that may have signed the nodes' certificates (PEM)",
  }),
  toTlsCert: text({ flag: '--to-tls-cert <file>', help: 'our certificate for the nodes (PEM)' }),
  toTlsKey: text({ flag: '--to-tls-key <file>', help: 'its private key (PEM)' }),
  toTlsServername: text({
    flag: '--to-tls-servername <name>',
    help: "the name that the nodes' certificates must be for (default: each node's host)",
  }),
  toTlsInsecure: flag(
    {
      flag: '--to-tls-insecure',
      help: 'accept any certificate of the nodes: anyone on the network path can read everything',
    },
    false,
  ),
} satisfies Rows;

/** For the Redis that holds the queue of jobs. */
export const queueAccessRows = {
  /** For a queue whose endpoint holds no password. */
  queuePassword: secret({
    env: 'CLUSTER_IMPORT_QUEUE_PASSWORD',
    help: "the password of the queue's Redis",
  }),
  queuePasswordFile: text({
    flag: '--queue-password-file <file>',
    help: "a file that holds the password of the queue's Redis",
  }),
  queueTlsCa: text({
    flag: '--queue-tls-ca <file>',
    help: "authorities that may have signed the certificate of the queue's Redis (PEM)",
  }),
  queueTlsCert: text({
    flag: '--queue-tls-cert <file>',
    help: "our certificate for the queue's Redis (PEM)",
  }),
  queueTlsKey: text({ flag: '--queue-tls-key <file>', help: 'its private key (PEM)' }),
  queueTlsServername: text({
    flag: '--queue-tls-servername <name>',
    help: "the name that the certificate of the queue's Redis must be for (default: the host)",
  }),
  queueTlsInsecure: flag(
    {
      flag: '--queue-tls-insecure',
      help: "accept any certificate of the queue's Redis: anyone on the network path can read everything",
    },
    false,
  ),
} satisfies Rows;

export type QueueAccessOptions = Values<typeof queueAccessRows>;

export const accessRows = { ...sourceAccessRows, ...clusterAccessRows } satisfies Rows;

export type AccessOptions = Values<typeof accessRows>;

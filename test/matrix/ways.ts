/** How the two sides are locked: without a password, with passwords, with TLS. */
import type { Authority, Certificate } from '../support/certificates.js';
import type { ServerOptions } from '../support/servers.js';

interface Lock {
  /** What one side gets besides its version. */
  readonly options: Pick<ServerOptions, 'config' | 'tls'>;
  /** What the command line is told of it. */
  readonly env: Readonly<Record<string, string>>;
  /** The address as `--from` or `--to` takes it, and flags. */
  words(address: string): readonly string[];
}

export interface Way {
  /** As the table and WAYS name it. */
  readonly name: string;
  readonly source: Lock;
  readonly nodes: Lock;
}

type Side = 'from' | 'to';
/** What trips up whoever puts it into a command or a URL. */
const passwords = { from: 'a b%40 source', to: "a cluster's ü %" };

const open = (side: Side): Lock => ({
  options: {},
  env: {},
  words: (address) => [`--${side}`, address],
});

function withPassword(side: Side): Lock {
  return {
    ...open(side),
    // The server's own client of a test takes it from this line.
    options: { config: [`requirepass "${passwords[side]}"`] },
    env: { [`CLUSTER_IMPORT_${side.toUpperCase()}_PASSWORD`]: passwords[side] },
  };
}

export function waysOf(authority: Authority, certificate: Certificate): readonly Way[] {
  const withTls = (side: Side): Lock => ({
    options: {
      tls: { authority, certificate },
      // A source's MIGRATE speaks TLS only if it is told to.
      ...(side === 'from' && { config: ['tls-cluster yes'] }),
    },
    env: {},
    words: (address) => [
      `--${side}`,
      `rediss://${address}`,
      `--${side}-tls-ca`,
      authority.certFile,
    ],
  });
  return [
    { name: 'none', source: open('from'), nodes: open('to') },
    { name: 'passwords', source: withPassword('from'), nodes: withPassword('to') },
    { name: 'TLS', source: withTls('from'), nodes: withTls('to') },
    { name: 'nodes with TLS only', source: open('from'), nodes: withTls('to') },
  ];
}

/** What a run is asked to do: plain JSON, the same for the command line and the library. */
export interface ImportOptions {
  /** The source: `host:port`, `redis://…`, `rediss://…`. */
  readonly from: string;
  /** Any node of the target cluster, in the same forms. */
  readonly to: string;
  /** Leave the source as it is. */
  readonly copy: boolean;
  /** What happens to keys that the cluster has already; undefined: replace if it is empty. */
  readonly replace: boolean | undefined;
  readonly mover: 'auto' | 'relay' | 'migrate';
  /** How long a server may be silent before its connection counts as lost. */
  readonly timeoutMs: number;
}

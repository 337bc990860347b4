/**
 * Who this process is to servers, where another one may have to take its work over: each of its connections
 * carries a name, and is used only once it is confirmed, behind the name, that the work is still its own.
 *
 * So whoever takes the work over closes by name what the other has open (workers/takeover.ts), and nothing of
 * the other can arrive any more: a connection that had no name by then is not confirmed, and thus never used.
 *
 * It is the process's own, like its environment: a process that has one does one job and ends with it.
 */
export interface Identity {
  /** What all attempts at the work have in common. No blanks (CLIENT SETNAME takes none). */
  readonly work: string;
  /** This attempt alone. */
  readonly attempt: string;
  /** @throws ImportError when somebody else has the work by now. */
  confirm(): Promise<void>;
}

let identity: Identity | undefined;

/** From now on, connections of this process carry that name. */
export function identifyAs(given: Identity): void {
  identity = given;
}

/** Undefined: connections need no name. */
export function ownIdentity(): Identity | undefined {
  return identity;
}

/** How connections to a source are called there, or what their names begin with: nobody takes them for other clients. */
export const ownName = 'cluster-import';

/** How connections of this attempt are called at servers. */
export function connectionName({ work, attempt }: Identity): string {
  return `${work}:${attempt}`;
}

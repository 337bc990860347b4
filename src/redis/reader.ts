/** Who takes replies from a connection; each kind of reply has a reader of its own. */

/** Reads the reply or replies of what was sent at one time. */
export interface Reader {
  /**
   * Takes what it can of `bytes[from .. end)`.
   * @returns where it stopped; the rest is offered again when there is more behind it.
   * @throws ProtocolError when the bytes can't be a reply; that ends the connection.
   */
  take(bytes: Buffer, from: number, end: number): number;
  /** Nothing more belongs to it; what follows is the next reader's. */
  readonly done: boolean;
  /** Nothing was asked yet whose answer it could wait for. */
  readonly idle?: boolean;
  /** The connection is gone before it was done. */
  fail(error: Error): void;
}

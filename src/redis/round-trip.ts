/** How far away a server is. */
const tries = 3;

/** @returns the shortest of a few PINGs, in ms: what is longer is waiting, not distance. */
export async function measureRoundTrip(connection: {
  call(word: string): Promise<unknown>;
}): Promise<number> {
  let shortestMs = Infinity;
  for (let attempt = 0; attempt < tries; attempt++) {
    const sentMs = performance.now();
    await connection.call('PING');
    shortestMs = Math.min(shortestMs, performance.now() - sentMs);
  }
  return shortestMs;
}

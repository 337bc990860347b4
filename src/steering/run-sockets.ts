/** The other end of the socket: speaks to runs, and clears away what those that were killed left. */
import { connect } from 'node:net';
import { ImportError, messageOf, UsageError } from '../errors.js';
import type { Answer, Orders, State } from './orders.js';
import { findSockets, removeSocket, type SocketPlace } from './socket-folder.js';

const timeoutMs = 5000;

/**
 * Gives a run orders.
 * @returns how it stands then.
 * @throws UsageError when the run refuses them, or nobody is there.
 */
export async function tell(path: string, orders: Orders): Promise<State> {
  let text: string;
  try {
    text = await exchange(path, `${JSON.stringify(orders)}\n`);
  } catch (error) {
    const words = messageOf(error);
    throw new UsageError(`No run answers at ${path} (${words}).`, { cause: error });
  }
  const answer = readAnswer(text, path);
  if ('refused' in answer) throw new UsageError(answer.refused);
  return answer.state;
}

/** Every run of this user that answers. */
export async function findRuns(): Promise<readonly (SocketPlace & { readonly state: State })[]> {
  const found = await Promise.all(
    (await findSockets()).map(async (place) => {
      try {
        return [{ ...place, state: await tell(place.path, {}) }];
      } catch (error) {
        if (!(error instanceof ImportError)) throw error;
        if (isDeserted(error.cause)) await removeSocket(place.path);
        return [];
      }
    }),
  );
  return found.flat();
}

/** Removes the sockets at which nobody listens any more. */
export async function sweep(): Promise<void> {
  for (const { path } of await findSockets()) {
    await exchange(path, '{}\n').catch(async (error: unknown) => {
      if (isDeserted(error)) await removeSocket(path);
    });
  }
}

function isDeserted(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED';
}

function readAnswer(text: string, path: string): Answer {
  try {
    return JSON.parse(text) as Answer;
  } catch {
    throw new UsageError(`What answers at ${path} is no run of cluster-import.`);
  }
}

function exchange(path: string, line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(path, () => socket.write(line));
    socket.setEncoding('utf8').setTimeout(timeoutMs, () => {
      socket.destroy(new Error(`no answer within ${String(timeoutMs / 1000)} s`));
    });
    socket.on('data', (piece: string) => (text += piece));
    socket.once('error', reject);
    socket.once('close', () => {
      resolve(text);
    });
  });
}

/**
 * Where a run takes orders: a socket that only its user may open. One line in, one line out, each a
 * JSON object; what the orders are stands in orders.ts.
 */
import { chmod } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { ImportError } from '../errors.js';
import { type Answer, type Orders, readOrders, type State } from './orders.js';
import { newSocketPath, sweep } from './run-sockets.js';

/** A client that connects and sends nothing is disconnected. */
const patienceMs = 5000;
const longestLine = 16 * 1024;
const maxConnections = 16;

export interface ControlSocket {
  readonly path: string;
  close(): void;
}

/**
 * @param obey carries orders out, for as long as that takes, and returns how the run stands then.
 * @throws Error when there is no place for a socket.
 */
export async function listenForOrders(
  run: { readonly from: string; readonly to: string },
  obey: (orders: Orders) => Promise<State>,
): Promise<ControlSocket> {
  await sweep();
  const path = await newSocketPath(run.from, run.to);
  const server = createServer((socket) => {
    hear(socket, obey);
  });
  server.maxConnections = maxConnections;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  // Until now its folder kept others out.
  await chmod(path, 0o600);
  server.unref();
  return {
    path,
    close: () => void server.close(),
  };
}

function hear(socket: Socket, obey: (orders: Orders) => Promise<State>): void {
  let text = '';
  socket.setEncoding('utf8').setTimeout(patienceMs, () => socket.destroy());
  // A client that hangs up early needs no reply.
  socket.on('error', () => undefined);
  socket.unref();
  socket.on('data', (piece: string) => {
    text += piece;
    const end = text.indexOf('\n');
    if (end !== -1) {
      // A cutover takes as long as it takes.
      socket.setTimeout(0);
      void answerTo(text.slice(0, end), obey).then((answer) => {
        socket.end(`${JSON.stringify(answer)}\n`);
      });
    } else if (text.length > longestLine) socket.destroy();
  });
}

async function answerTo(line: string, obey: (orders: Orders) => Promise<State>): Promise<Answer> {
  try {
    return { state: await obey(readOrders(line)) };
  } catch (error) {
    if (!(error instanceof ImportError)) throw error;
    return { refused: error.message };
  }
}

/** Whether a server answers PING, asked without any client: even "log in first" is an answer. */
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';

export function ping(host: string, port: number, timeoutMs = 1000, tls = false): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = tls
      ? connectTls({ host, port, rejectUnauthorized: false })
      : connect({ host, port });
    const finish = (answer: boolean) => () => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(timeoutMs, finish(false));
    socket.once('error', finish(false));
    socket.once('close', finish(false));
    socket.once(tls ? 'secureConnect' : 'connect', () => socket.write('PING\r\n'));
    socket.once('data', (chunk: Buffer) => {
      finish(/^(\+PONG|-NOAUTH|-ERR|-NOPERM)/.test(chunk.toString('latin1')))();
    });
  });
}

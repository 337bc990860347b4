/** Writes commands with binary arguments to a server as fast as it takes them, and checks each answer. */
import { once } from 'node:events';
import { connect } from 'node:net';

type Word = string | Buffer;

export async function feed(
  server: { readonly host: string; readonly port: number },
  count: number,
  command: (at: number) => readonly Word[],
): Promise<void> {
  const socket = connect({ host: server.host, port: server.port, noDelay: true });
  let answers = 0;
  const answered = new Promise<void>((resolve, reject) => {
    socket.on('data', (chunk) => {
      // Answers are OK or a number: as many lines as commands.
      for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, at + 1)) answers++;
      const wrong = chunk.indexOf('-');
      if (wrong !== -1) reject(new Error(`filling failed: ${chunk.toString('latin1', wrong)}`));
      if (answers >= count) resolve();
    });
    socket.once('error', reject);
  });
  // A failure is met below, after the writing that it may interrupt.
  answered.catch(() => undefined);
  try {
    let pieces: Buffer[] = [];
    let length = 0;
    for (let at = 0; at < count; at++) {
      const piece = encode(command(at));
      pieces.push(piece);
      length += piece.length;
      if (length < 256 * 1024 && at + 1 < count) continue;
      if (!socket.write(Buffer.concat(pieces)))
        await Promise.race([once(socket, 'drain'), answered]);
      pieces = [];
      length = 0;
    }
    if (count > 0) await answered;
  } finally {
    socket.destroy();
  }
}

/** A command as it stands on the wire. */
export function encode(words: readonly Word[]): Buffer {
  const parts = words.flatMap((word) => {
    const bytes = typeof word === 'string' ? Buffer.from(word) : word;
    return [Buffer.from(`$${String(bytes.length)}\r\n`), bytes, Buffer.from('\r\n')];
  });
  return Buffer.concat([Buffer.from(`*${String(words.length)}\r\n`), ...parts]);
}

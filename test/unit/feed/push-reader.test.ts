/** News comes unasked between answers, in pieces of any length. */
import { expect, it } from 'vitest';
import { PushReader } from '../../../src/feed/push-feed.js';
import { type Connection } from '../../../src/redis/connection.js';
import type { Reply } from '../../../src/redis/reply.js';

/** A mock of a connection: nothing is sent, and the test hands over what a server would say. */
function readerOf(): { reader: PushReader; news: (readonly Reply[])[] } {
  const news: (readonly Reply[])[] = [];
  const connection = {
    lost: undefined,
    out: { append: () => undefined },
    expect: () => undefined,
  } as unknown as Connection;
  return { reader: new PushReader(connection, (words) => news.push(words)), news };
}

const told = Buffer.from(
  '>2\r\n$10\r\ninvalidate\r\n*2\r\n$1\r\na\r\n$3\r\n\xff\r\n\r\n' +
    '+PONG\r\n>2\r\n$10\r\ninvalidate\r\n_\r\n' +
    '*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\nc\r\n$1\r\nb\r\n' +
    '%1\r\n$5\r\nproto\r\n:3\r\n',
  'latin1',
);

it.each([1, 2, 3, 7, told.length])(
  'keeps answers and news apart (pieces of %i bytes)',
  async (pieceBytes) => {
    const { reader, news } = readerOf();
    const answers = Promise.all([reader.ask('PING'), reader.ask('HELLO', 3)]);
    let rest = Buffer.alloc(0);
    for (let from = 0; from < told.length; from += pieceBytes) {
      rest = Buffer.concat([rest, told.subarray(from, from + pieceBytes)]);
      rest = rest.subarray(reader.take(rest, 0, rest.length));
    }
    expect(await answers).toEqual(['PONG', [Buffer.from('proto'), 3]]);
    expect(news).toEqual([
      [Buffer.from('invalidate'), [Buffer.from('a'), Buffer.from('\xff\r\n', 'latin1')]],
      [Buffer.from('invalidate'), null],
      ['pmessage', '*', 'c', 'b'].map((word) => Buffer.from(word)),
    ]);
    expect(reader.idle).toBe(true);
  },
);

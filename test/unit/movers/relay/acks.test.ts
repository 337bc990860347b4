import { describe, expect, it } from 'vitest';
import { AckReader } from '../../../../src/movers/relay/splice.js';
import { type Reply, ReplyReader } from '../../../../src/redis/reply.js';
import { feed } from '../../../support/feed.js';

function reader(indexes: readonly number[], asking = false) {
  const settled: (Error | undefined)[] = [];
  const acks = new AckReader(indexes.length, asking, (error) => settled.push(error));
  for (const index of indexes) acks.sent(index);
  return { acks, settled, answer: (text: string) => feed(acks, Buffer.from(text)) };
}

describe('the answers of a node', () => {
  it('are told apart by the indexes of their keys', () => {
    const { acks, settled, answer } = reader([0, 3, 4, 9]);
    acks.complete();
    const text = '+OK\r\n$-1\r\n-OOM command not allowed\r\n+OK\r\n';
    expect(answer(text + ':2\r\n')).toEqual({ ending: 'done', taken: text.length });
    expect(acks.refusals).toEqual([
      { index: 3, text: null },
      { index: 4, text: 'OOM command not allowed' },
    ]);
    expect(settled).toEqual([undefined]);
  });

  it('end when the last command was sent, should that come later', () => {
    const { acks, settled, answer } = reader([0]);
    expect(acks.idle).toBe(false);
    expect(answer('+OK\r\n').ending).toBe('waiting');
    expect([acks.done, acks.idle, settled.length]).toEqual([false, true, 0]);
    acks.complete();
    expect([acks.done, settled.length]).toEqual([true, 1]);
  });

  it('come before that to what was asked behind them, and leave what follows to others', () => {
    const { acks, settled, answer } = reader([0, 1]);
    const replies: Reply[] = [];
    const last = new ReplyReader((reply) => replies.push(reply), settled.push);
    acks.complete(last);
    expect(answer('+OK\r\n+OK\r\n').ending).toBe('waiting');
    expect([acks.done, acks.idle, settled.length]).toEqual([false, false, 1]);
    expect(answer(':1\r\n+OK\r\n')).toEqual({ ending: 'done', taken: 4 });
    expect([replies, settled]).toEqual([[1], [undefined]]);
  });

  it('behind ASKING count with what ASKING itself was answered', () => {
    const { acks, answer } = reader([5, 6, 7], true);
    acks.complete();
    answer('+OK\r\n+OK\r\n+OK\r\n-TRYAGAIN later\r\n-ERR no cluster\r\n-MOVED 1 a:1\r\n');
    expect(acks.done).toBe(true);
    expect(acks.refusals).toEqual([
      { index: 6, text: 'TRYAGAIN later' },
      { index: 7, text: 'MOVED 1 a:1' },
    ]);
  });

  it.each([
    ['QUEUED for OK', '+QUEUED\r\n'],
    ['two letters for OK', '+NO\r\n'],
    ['OO for OK', '+OO\r\n'],
    ['half an OK', '+OK\rX'],
    ['an integer', ':1\r\n'],
    ['a value', '$2\r\nOK\r\n'],
    ['an array', '*-1\r\n'],
    ['one answer too many', '+OK\r\n+OK\r\n+OK\r\n'],
  ])('end the connection with %s', (_, text) => {
    const { acks, settled, answer } = reader([0, 1]);
    expect(answer(text).ending).toBe('refused');
    expect([acks.done, settled.length, settled[0]?.name]).toEqual([true, 1, 'ProtocolError']);
  });

  it('never count before their command was sent', () => {
    const { acks, answer } = reader([]);
    expect(answer('+OK\r\n').ending).toBe('refused');
    expect(acks.sentCount).toBe(0);
  });
});

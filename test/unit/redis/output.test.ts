import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { frame, keysBuilder, withSlack } from '../../../src/redis/frames.js';
import { createOutput } from '../../../src/redis/output.js';

/** What is sent, once the event loop has turned. */
function output() {
  const sent: Buffer[] = [];
  const socket = {
    write(bytes: Buffer, done: () => void) {
      // The block is used again.
      sent.push(Buffer.from(bytes));
      done();
      return true;
    },
  };
  const out = createOutput(socket as unknown as Socket);
  const all = async (): Promise<Buffer> => {
    await new Promise(setImmediate);
    return Buffer.concat(sent);
  };
  return { out, all };
}

/** Values of all lengths around those where the way of copying changes, blocks filled by them. */
const lengths = Array.from({ length: 1200 }, (_, at) => [at % 70, 250 + (at % 12), 3000][at % 3]);

describe('what is sent', () => {
  it('is every command to the byte, whatever it is copied by', async () => {
    const { out, all } = output();
    const prefix = withSlack(Buffer.from('*3\r\n$3\r\nSET\r\n'));
    const expected: Buffer[] = [];
    for (const length of lengths) {
      const key = frame(randomBytes((length as number) % 40));
      const value = frame(randomBytes(length as number));
      const [between, suffix] = [frame(Buffer.from('0')), frame(Buffer.from('NX'))];
      const keys = Buffer.concat([Buffer.from('x'), key]);
      out.store(prefix, keys, 1, keys.length, between, value, 0, value.length, suffix);
      expected.push(prefix, key, between, value, suffix);
    }
    expect((await all()).equals(Buffer.concat(expected))).toBe(true);
  });

  it('is a question for each key', async () => {
    const { out, all } = output();
    const head = withSlack(Buffer.from('*2\r\n$4\r\nDUMP\r\n'));
    const builder = keysBuilder(8);
    const expected: Buffer[] = [];
    for (const length of lengths) {
      const key = frame(randomBytes(length as number));
      builder.add(key, 0, key.length);
      expected.push(head, key);
    }
    out.askEach(head, builder.take());
    expect((await all()).equals(Buffer.concat(expected))).toBe(true);
  });

  it.each([
    ...[0, 1, 9, 10, 99, 100, 999_999, 1_000_000, 1_000_001, 1_700_000_000_123],
    ...[999_999_999, 1_000_000_000, 999_999_999_999_999, 1e15, 2 ** 53, 2 ** 62, -1],
  ])('is the integer %d', async (value) => {
    const { out, all } = output();
    out.integerFrame(value);
    const digits = String(value);
    expect(String(await all())).toBe(`$${String(digits.length)}\r\n${digits}\r\n`);
  });
});

/** What a full disk, a broken one, or somebody hostile makes of a dump. */
import { sumOf } from '../../support/rdb-file.js';
import { type Mutation, mutatedBy } from '../mutate.js';

const sumBytes = 8;

/** Lengths and opcodes that lie; those that claim a lot must cost nothing. */
const lies: readonly (readonly number[])[] = [
  ...[[0x80, 0xff, 0xff, 0xff, 0xff], [0x81, 0, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]],
  ...[[0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], [0x81, 0, 0, 0, 1, 0, 0, 0, 0]],
  ...[[0x80, 0, 0, 0, 0], [0x80, 0x03, 0xff, 0xff, 0xff], [0x7f, 0xff], [0x40, 0], [0x82], [0xc4]],
  ...[[0xc3, 1, 0x80, 0x04, 0, 0, 0], [0xc3, 0x80, 0, 0x0f, 0, 0, 0x80, 0x04, 0, 0, 0], [0xc3, 0, 0]],
  ...[[0xff], [0xfe], [0xfd], [0xfc], [0xfa], [0xf9], [0xf8], [0xf7], [0xf5], [0xf4], [0xf0]],
  ...[[7], [15], [18], [19], [21], [24], [25], [26], [100], [0]],
]; // prettier-ignore

function replaced(file: Buffer, at: number, length: number, instead: readonly number[]): Buffer {
  return Buffer.concat([file.subarray(0, at), Buffer.from(instead), file.subarray(at + length)]);
}

const mutations: readonly Mutation<Buffer>[] = [
  // Truncated.
  (file, random) => file.subarray(0, random.int(file.length)),
  // A byte, or some, replaced, added, lost or doubled.
  (file, random) => replaced(file, random.int(file.length), 1, [random.int(256)]),
  (file, random) => replaced(file, random.int(file.length), 0, [random.int(256)]),
  (file, random) => replaced(file, random.int(file.length), 1 + random.int(4), []),
  (file, random) => {
    const at = random.int(file.length);
    return replaced(file, at, 0, [...file.subarray(at, at + 1 + random.int(40))]);
  },
  // A length or an opcode that lies: in the place of what was there, or ahead of it.
  (file, random) => {
    const lie = random.pick(lies);
    return replaced(file, random.int(file.length), random.oneIn(2) ? lie.length : 0, lie);
  },
  // A block that was never written.
  (file, random) => {
    const at = random.int(file.length);
    const length = 1 + random.int(512);
    return Buffer.concat([
      file.subarray(0, at),
      Buffer.alloc(Math.min(length, file.length - at)),
      file.subarray(at + length),
    ]);
  },
  // Two of them in one.
  (file, random) => Buffer.concat([file, file.subarray(random.int(file.length))]),
];

export const mutated: Mutation<Buffer> = (file, random) => mutatedBy(mutations, file, random);

/** The same under a checksum that says that all is well. */
export function summedUp(file: Buffer): Buffer {
  if (file.length <= sumBytes) return file;
  const body = file.subarray(0, file.length - sumBytes);
  return Buffer.concat([body, sumOf(body)]);
}

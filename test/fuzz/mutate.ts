/** What a hostile or broken server makes of a reply. */
import type { Random } from '../support/random.js';

/** Lengths and numbers that trip readers up; the gigabyte claims among them must cost nothing. */
const numbers = [
  '-1', '-2', '-0', '-9', '00', '+1', '', '1e9', '0x10', ' 1', '1 ', '2147483647', '2147483648',
  '3221225472', '4294967296', '9007199254740991', '9007199254740992', '9223372036854775807',
  '9223372036854775808', '-9223372036854775808', '18446744073709551616', '9'.repeat(30),
  '9'.repeat(400), 'NaN', 'inf',
]; // prettier-ignore
const alphabet = Array.from('$*+-:\r\n0123456789OK_,#!=%~>|(');

/** One way to change something. */
export type Mutation<T> = (original: T, random: Random) => T;

/** Up to three of these changes, one upon the other, as long as there is something left to change. */
export function mutatedBy<T extends { readonly length: number }>(
  mutations: readonly Mutation<T>[],
  original: T,
  random: Random,
): T {
  let result = original;
  for (let left = 1 + random.int(3); left > 0 && result.length > 0; left--) {
    result = random.pick(mutations)(result, random);
  }
  return result;
}

const noise = (random: Random): string => {
  let text = '';
  for (let left = 1 + random.int(6); left > 0; left--) text += random.pick(alphabet);
  return text;
};
const cut = (reply: string, at: number, length: number, instead: string): string =>
  reply.slice(0, at) + instead + reply.slice(at + length);

const mutations: readonly Mutation<string>[] = [
  // Truncated.
  (reply, random) => reply.slice(0, random.int(reply.length)),
  // One byte, or some, replaced, added, lost or doubled.
  (reply, random) => cut(reply, random.int(reply.length), 1, String.fromCharCode(random.int(256))),
  (reply, random) => cut(reply, random.int(reply.length), 1, noise(random)),
  (reply, random) => cut(reply, random.int(reply.length), 0, noise(random)),
  (reply, random) => cut(reply, random.int(reply.length), 1 + random.int(4), ''),
  (reply, random) => {
    const at = random.int(reply.length);
    return cut(reply, at, 0, reply.slice(at, at + 1 + random.int(12)));
  },
  // A number that lies.
  (reply, random) => {
    const found = [...reply.slice(0, 4096).matchAll(/(?<=[$*:])-?\d+/g)];
    const one = found[random.int(found.length)];
    return one ? cut(reply, one.index, one[0].length, random.pick(numbers)) : reply;
  },
  // Nesting.
  (reply, random) => '*1\r\n'.repeat(1 + random.int(20)) + reply,
  // A line that does not end.
  (reply, random) =>
    random.oneIn(200) ? cut(reply, 1, 0, 'a'.repeat(random.int(300_000))) : reply + noise(random),
];

export const mutated: Mutation<string> = (reply, random) => mutatedBy(mutations, reply, random);

/** No reply at all, but of the bytes that replies are made of. */
export function garbage(random: Random): string {
  let text = '';
  for (let left = random.int(40); left > 0; left--) {
    text += random.oneIn(4) ? '\r\n' : random.pick(alphabet);
  }
  return text;
}

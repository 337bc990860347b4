import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { askPasswords } from '../../../src/cli/typed.js';
import { UsageError } from '../../../src/errors.js';

/** A terminal that somebody types on. */
function typing(text: string) {
  const modes: boolean[] = [];
  const said: string[] = [];
  const input = Object.assign(new PassThrough(), {
    isTTY: true,
    setRawMode: (raw: boolean) => modes.push(raw),
  });
  input.write(text);
  return { modes, said, input, output: { write: (words: string) => said.push(words) } };
}

const both = { from: 'h:1', to: 'h:2' };

it('asks for both sides, and shows nothing of the answers', async () => {
  const terminal = typing('pä ss\r%"\'word\r');
  expect(await askPasswords(both, terminal)).toEqual({
    fromPassword: 'pä ss',
    toPassword: '%"\'word',
  });
  expect(terminal.said.join('')).toBe(
    'Password of the source (--from): \nPassword of the cluster (--to): \n',
  );
  expect(terminal.modes).toEqual([true, false, true, false]);
});

it('lets mistakes be taken back', async () => {
  const { fromPassword } = await askPasswords(both, typing('wrong\u0015rigg\u007fht\r\r'));
  expect(fromPassword).toBe('right');
});

it('asks only for what was not given', async () => {
  const given = { from: 'redis://:known@h:1', to: 'h:2', toPassword: 'known too' };
  expect(await askPasswords(given, typing(''))).toEqual({});
  const file = { from: 'h:1', to: 'h:2', fromPasswordFile: '/some/file' };
  expect(await askPasswords(file, typing('answer\r'))).toEqual({ toPassword: 'answer' });
});

it('takes an empty answer for none', async () => {
  expect(await askPasswords(both, typing('\r\r'))).toEqual({});
});

it('stops when it is broken off, and without a terminal', async () => {
  const terminal = typing('half\u0003');
  await expect(askPasswords(both, terminal)).rejects.toThrow(UsageError);
  expect(terminal.modes).toEqual([true, false]);
  const { input, output } = typing('');
  await expect(
    askPasswords(both, { input: Object.assign(input, { isTTY: false }), output }),
  ).rejects.toThrow(/--from-password-file/);
});

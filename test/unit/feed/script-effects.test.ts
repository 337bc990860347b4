import { expect, it } from 'vitest';
import { RefusedError } from '../../../src/errors.js';
import { passOnEffects } from '../../../src/feed/script-effects.js';
import type { Control } from '../../../src/redis/control.js';

/** @param answer undefined: it is refused. */
function mockControl(answer: (words: string) => unknown) {
  const asked: string[] = [];
  const control = {
    call(...words: readonly unknown[]) {
      asked.push(words.join(' '));
      const reply = answer(words.join(' '));
      if (reply !== undefined) return Promise.resolve(reply);
      return Promise.reject(new RefusedError('it is refused', 'ERR no'));
    },
  } as unknown as Control;
  return { asked, control };
}

const known = (answer: string | undefined) => (words: string) =>
  words.startsWith('CONFIG GET')
    ? answer === undefined
      ? []
      : ['lua-replicate-commands', answer]
    : 'OK';

it.each([
  ['3.2.13', 30_213],
  ['4.0.14', 40_014],
])('has %s pass on what scripts do, and puts that back', async (version, versionNumber) => {
  const { asked, control } = mockControl(() => 'OK');
  const { putBack, why } = await passOnEffects(control, { version, versionNumber });
  expect(asked).toEqual(['DEBUG lua-always-replicate-commands 1']);
  expect(putBack).toEqual(['DEBUG', 'lua-always-replicate-commands', '0']);
  expect(why).toBeUndefined();
});

it('switches on what 6.2 was configured not to do', async () => {
  const { asked, control } = mockControl(known('no'));
  const { putBack } = await passOnEffects(control, { version: '6.2.16', versionNumber: 60_216 });
  expect(asked.at(-1)).toBe('CONFIG SET lua-replicate-commands yes');
  expect(putBack).toEqual(['CONFIG', 'SET', 'lua-replicate-commands', 'no']);
});

it.each([
  ['5.0.14', 50_014, 'no'],
  ['6.0.20', 60_020, 'yes'],
  ['6.2.16', 60_216, undefined],
  ['7.0.15', 70_015, 'no'],
])('changes nothing at %s', async (version, versionNumber, configured) => {
  const { asked, control } = mockControl(known(configured));
  const effects = await passOnEffects(control, { version, versionNumber });
  expect(effects).toEqual({ putBack: undefined, why: undefined });
  expect(asked.filter((words) => !words.startsWith('CONFIG GET'))).toEqual([]);
});

it('tells why scripts stay as they were called', async () => {
  const old = await passOnEffects(mockControl(() => 'OK').control, {
    version: '2.8.24',
    versionNumber: 20_824,
  });
  expect(old).toEqual({ putBack: undefined, why: 'Redis 2.8.24 knows no other way' });
  const refusing = mockControl(() => undefined).control;
  const refused = await passOnEffects(refusing, { version: '4.0.14', versionNumber: 40_014 });
  expect(refused).toEqual({ putBack: undefined, why: 'it is refused' });
  // Who may not ask 6.2 is not told: hardly anybody configures it so.
  expect(await passOnEffects(refusing, { version: '6.2.16', versionNumber: 60_216 })).toMatchObject(
    { why: undefined },
  );
});

import { describe, expect, it } from 'vitest';
import { checkPrefix, filledPrefix, unknownTypes } from '../../../src/plan/options-checks.js';

describe('a key prefix', () => {
  it.each([
    ['db{db}:', 'db3:'],
    ['{from}/{db}:', '10.0.0.5:6379/3:'],
    ['{{db}}:', '{3}:'],
    ['{{tenant}}:', '{tenant}:'],
    ['{7}x', '{7}x'],
  ])('%s', (prefix, filled) => {
    expect(() => {
      checkPrefix(prefix);
    }).not.toThrow();
    expect(filledPrefix(prefix, 3, '10.0.0.5:6379').toString()).toBe(filled);
  });

  it.each(['{shard}:', 'a{DB}', '{db}{form}:'])('%s is refused', (prefix) => {
    expect(() => {
      checkPrefix(prefix);
    }).toThrow(/--key-prefix knows \{db\} and \{from\}, and not \{\w+\}: .*\{\{\w+\}\}/);
  });
});

describe('a type', () => {
  it.each([['string'], ['stream'], ['ReJSON-RL'], ['vectorset'], ['MBbloom--']])('%s', (type) => {
    expect(unknownTypes([type])).toBeUndefined();
  });

  it('that is a slip is told', () => {
    expect(unknownTypes(['hash', 'teststuff'])).toMatch(
      /^--type teststuff: no Redis has such a type/,
    );
    expect(() => unknownTypes(['hash', 'sting'])).toThrow(
      '--type sting is no type of Redis: did you mean string?',
    );
  });

  it.each(['nosuch', 'ReJSON', 'a-long-one'])('that no server can have is refused: %s', (type) => {
    expect(() => unknownTypes([type])).toThrow(
      `--type ${type} is no type of Redis: they are string, list, set, zset, hash, stream, and those of modules, whose names have 9 characters.`,
    );
  });
});

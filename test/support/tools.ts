/** Tests that need programs which not every machine has: `npm run setup:tools` gets them. */
import { describe, expect, it } from 'vitest';
import { findTool, type Tool } from '../../scripts/find-tools.mjs';

/** Defines a suite if all of them are there, and else says which are not. */
export function withTools<const Name extends Tool>(
  names: readonly Name[],
  suite: string,
  define: (paths: Readonly<Record<Name, string>>) => void,
): void {
  const missing = names.filter((name) => findTool(name) === undefined);
  if (missing.length === 0) {
    const paths = Object.fromEntries(names.map((name) => [name, findTool(name)]));
    describe(suite, () => {
      define(paths as Record<Name, string>);
    });
    return;
  }
  const words = `${suite}: left out, because ${missing.join(' and ')} is not installed`;
  it(`${words} (npm run setup:tools)`, () => {
    console.warn(words);
    expect(missing).not.toHaveLength(0);
  });
}

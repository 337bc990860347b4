/** Where the programs are that some tests use, if they are anywhere (see install-test-tools.mjs). */
import { delimiter, join } from 'node:path';
import { findProgram, toolsDirectory } from './find-redis.mjs';

/** Each with the names that it has where. */
const names = {
  promtool: ['promtool'],
  prometheus: ['prometheus'],
  pushgateway: ['prometheus-pushgateway', 'pushgateway'],
  // A terminal for a program that has none; a part of util-linux.
  script: ['script'],
  chromium: ['chromium', 'chromium-browser', 'google-chrome'],
};

/** @typedef {keyof typeof names} Tool */

export const toolNames = /** @type {Tool[]} */ (Object.keys(names));

/**
 * The path of a program, or undefined.
 * @param {Tool} name
 */
export function findTool(name) {
  const path = (process.env['PATH'] ?? '').split(delimiter).filter((place) => place !== '');
  return findProgram(names[name], [...path, join(toolsDirectory, 'usr', 'bin'), '/usr/bin']);
}

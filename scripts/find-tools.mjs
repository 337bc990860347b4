/** Where the programs are that some tests use, if they are anywhere (see install-test-tools.mjs). */
import { delimiter, join } from 'node:path';
import { findProgram, toolsDirectory } from './find-redis.mjs';

/** Servers of later releases than the system's (see install-servers.mjs). */
export const serversDirectory = join(toolsDirectory, 'servers');

/** Each with the names that it has where. */
const names = {
  promtool: ['promtool'],
  prometheus: ['prometheus'],
  pushgateway: ['prometheus-pushgateway', 'pushgateway'],
  // A terminal for a program that has none; a part of util-linux.
  script: ['script'],
  // A module of types that servers do not have by themselves.
  redisearch: ['redisearch.so'],
  'redis-8': ['redis-8'],
  'valkey-8': ['valkey-8'],
  'valkey-9': ['valkey-9'],
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
  const unpacked = [join('usr', 'bin'), join('usr', 'lib', 'redis', 'modules')];
  const usual = unpacked.map((place) => join('/', place));
  const ours = unpacked.map((place) => join(toolsDirectory, place));
  const places = [...path, ...ours, serversDirectory, ...usual];
  return findProgram(names[name], places);
}

/**
 * Where redis-server and redis-cli are on this machine.
 *
 * The setup, the tests, the demo and the benchmark all ask here, so that a server which one of
 * them finds is found by all. Plain Node without packages: the setup runs before there are any.
 */
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's own place for programs: the setup links a server there when it has to. */
export const toolsDirectory = fileURLToPath(new URL('../.tools', import.meta.url));

/** Where package managers put programs, for when PATH was cut short. */
const usualPlaces = [
  '/usr/bin',
  '/usr/local/bin',
  '/usr/sbin',
  '/usr/local/sbin',
  '/opt/homebrew/bin',
  '/opt/local/bin',
  '/home/linuxbrew/.linuxbrew/bin',
  '/opt/redis/bin',
  '/snap/bin',
];

/** The same programs under the names that Valkey gives them. */
const otherNames = { 'redis-server': 'valkey-server', 'redis-cli': 'valkey-cli' };

/** Variables that name the program itself, ahead of everything else. */
const variables = { 'redis-server': 'REDIS_SERVER', 'redis-cli': 'REDIS_CLI' };

/**
 * The path of a program, or undefined.
 * @param {'redis-server' | 'redis-cli'} name
 * @returns {string | undefined}
 */
export function findRedis(name) {
  const said = process.env[variables[name]];
  if (said !== undefined && said !== '') return said;
  const path = (process.env['PATH'] ?? '').split(delimiter).filter((place) => place !== '');
  const places = [...path, toolsDirectory, ...usualPlaces];
  return findProgram([name, otherNames[name]], places);
}

/**
 * The first of some names that is a program in one of some folders.
 * @param {readonly string[]} names
 * @param {readonly string[]} places
 * @returns {string | undefined}
 */
export function findProgram(names, places) {
  return names.flatMap((name) => places.map((place) => join(place, name))).find(isProgram);
}

/** @param {string} path */
function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

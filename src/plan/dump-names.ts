/** Which of the sources are files, and what the run knows of such a one. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { EndpointOptions } from '../options/options.js';

const standardInput = '-';
/** What can only be a server: with a scheme, or `host:port`, `[v6]:port`, `host:port/db`. */
const server = /^(\w+:\/\/|(\[[^\]]*\]|[^:/\s]+):\d+(\/\d*)?$)/;

/** @param text a source as given in `--from`. */
export function isDump(text: string): boolean {
  return text === standardInput || (!server.test(text) && existsSync(text));
}

/** Whether it can only be the name of a file: a server has a port. Text with an @ may be a password. */
export function namesFile(text: string): boolean {
  return !server.test(text) && /^[^@:\s]+$/.test(text);
}

export function dumpsIn({ from }: Pick<EndpointOptions, 'from'>): readonly string[] {
  return from.filter(isDump);
}

/**
 * What the run's job knows a file by: a file of another name, or one that was written since, is
 * another job, whose journal says nothing of this one.
 * @param databases that are wanted of it.
 */
export function jobOfFile(path: string, identity: string, databases: string): string {
  return `${resolve(path)} ${identity}/${databases}`;
}

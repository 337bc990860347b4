/** Where a run keeps its journal without --state: in the user's folder for such things. */
import { createHash } from 'node:crypto';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** File names may have 255 bytes; both endpoints get a share of them. */
const shownLength = 80;

/** What a job is known by before any server is asked. */
export interface JobName {
  /** `host:port/db` of each source. */
  readonly from: readonly string[];
  /** `host:port` of the seed. */
  readonly to: string;
  readonly mode: 'move' | 'copy' | 'follow';
}

type Environment = Readonly<Record<string, string | undefined>>;

/** `~/.local/state/cluster-import/<from>--<to>-<digest>.json`, or as the system wants it. */
export function defaultStatePath(
  job: JobName,
  env: Environment = process.env,
  platform: NodeJS.Platform = process.platform,
): string {
  // The digest tells apart what looks the same once it is cut and cleaned.
  const digest = createHash('sha1').update(JSON.stringify([job.from, job.to, job.mode]));
  const from = cleanName(job.from.join('+'));
  const name = `${from}--${cleanName(job.to)}-${digest.digest('hex').slice(0, 8)}.json`;
  return join(stateFolder(env, platform), 'cluster-import', name);
}

/** The user's folder for such things. */
export function stateFolder(env: Environment, platform: NodeJS.Platform): string {
  if (env['XDG_STATE_HOME']) return env['XDG_STATE_HOME'];
  if (platform === 'darwin') return join(homedir(), 'Library', 'Application Support');
  if (platform === 'win32') return env['LOCALAPPDATA'] ?? join(homedir(), 'AppData', 'Local');
  return join(homedir(), '.local', 'state');
}

/** What may stand in a file's name. */
export function cleanName(text: string): string {
  return text.replace(/[^\w.-]+/g, '_').slice(0, shownLength);
}

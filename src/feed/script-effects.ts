/**
 * Scripts in a source's stream: as they were called, or as the commands that they have carried out. Of a script
 * that is passed on as it was called it is not known which keys it wrote to, so each one makes all keys be compared
 * again: a source where scripts run all the time is never equal then.
 *
 * From 7.0 on it is what they did, in 5.0 too unless its configuration file says otherwise. Before, it can be asked
 * for: replicas, and files of commands, come to the same data by it.
 */
import { RefusedError } from '../errors.js';
import type { Control } from '../redis/control.js';

type Words = readonly [name: string, ...args: string[]];

export interface ScriptEffects {
  /** Puts back what was set; undefined: nothing was. */
  readonly putBack: Words | undefined;
  /** Why scripts are passed on as they were called; undefined: they are not. */
  readonly why: string | undefined;
}

/** From this version on scripts can't be passed on as they were called. */
export const effectsOnlySince = 70_000;

const nothingToDo: ScriptEffects = { putBack: undefined, why: undefined };
const setting = 'lua-replicate-commands';
const debug = (value: '0' | '1'): Words => ['DEBUG', 'lua-always-replicate-commands', value];

/** Has the source pass on what scripts do. @throws ConnectionError */
export async function passOnEffects(
  control: Control,
  { version, versionNumber }: { readonly version: string; readonly versionNumber: number },
): Promise<ScriptEffects> {
  if (versionNumber < 30_200) {
    return { putBack: undefined, why: `Redis ${version} knows no other way` };
  }
  try {
    // What it was can't be asked for: only DEBUG changes it, and a server begins with 0.
    if (versionNumber < 50_000) {
      await control.call(...debug('1'));
      return { putBack: debug('0'), why: undefined };
    }
    if (versionNumber < 60_000 || versionNumber >= effectsOnlySince) return nothingToDo;
    const reply = await control.call('CONFIG', 'GET', setting);
    if (!Array.isArray(reply) || reply[1] !== 'no') return nothingToDo;
    await control.call('CONFIG', 'SET', setting, 'yes');
    return { putBack: ['CONFIG', 'SET', setting, 'no'], why: undefined };
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    // From 6.0 on that is the exception: who may not ask is not warned of it.
    return versionNumber < 50_000 ? { putBack: undefined, why: error.message } : nothingToDo;
  }
}

/**
 * The copy of one key that a node has from this run: whether it is still what was stored, and what may be
 * done to it only then. WATCH at the node makes looking and acting one: what a client writes in between
 * makes the transaction fail (https://redis.io/docs/latest/develop/interact/transactions/).
 *
 * Writes of consumer groups touch no watched key (guard-by-watch.ts), so a stream has a fingerprint as well.
 * Payloads of equal values may differ in their bytes: what was stored is restored beside the copy, under a
 * temporary name, and the two are compared.
 */
import { compareValue, sideOf } from '../../compare/value.js';
import { RefusedError } from '../../errors.js';
import { askAt, type Word } from '../../redis/ask.js';
import type { Connection } from '../../redis/connection.js';
import { ErrorReply, type Reply, textOf } from '../../redis/reply.js';
import { leaseMs, temporaryNameFor } from '../elements/writer.js';
import { deadlineIn, isNear } from './deadlines.js';
import { fingerprintScript, ifUnchangedScript } from './guard-by-watch.js';
import type { SentValue } from './sent-values.js';
import type { StoreCommands } from './splice.js';

/** An `ErrorReply` is the node's refusal: nothing was done. */
export type Done = 'done' | 'touched' | 'absent' | ErrorReply;

export interface NodeCopy {
  /** `done`: the node has what was stored. */
  look(stored: SentValue): Promise<Done>;
  /**
   * @param next undefined: the copy is deleted.
   * @returns `same` when the source has what was stored: then nothing is replaced. `differs` when the next
   *   value did not arrive as the source has it: nothing is replaced either.
   */
  replace(
    stored: SentValue,
    next: SentValue | undefined,
    checks: ReplacementChecks,
  ): Promise<Done | 'same' | 'differs'>;
  discard(stored: SentValue): Promise<Done>;
  /** Deletes a copy that was watched over this connection since it was put there, if it is untouched. */
  takeBack(): Promise<Done>;
  /** Stores the value where the node has none. */
  store(next: SentValue): Promise<Done>;
}

/** What is asked about a temporary key of the node before it counts. */
interface ReplacementChecks {
  /** Whether the source has what was stored; asked of payloads whose bytes are other ones. */
  readonly isSameAtSource: (temporary: Buffer) => Promise<boolean>;
  /**
   * Whether the next value is what the source has. It is stored under a temporary name then, and takes the
   * place of the copy only if so. Undefined: that is not asked.
   */
  readonly hasArrived: ((temporary: Buffer) => Promise<boolean>) | undefined;
}

/**
 * @param target to the node, for nobody else meanwhile.
 * @param commands the commands that store a key at this node without replacing another.
 */
export function nodeCopy(target: Connection, name: Buffer, commands: StoreCommands): NodeCopy {
  const ask = (...words: readonly Word[]): Promise<Reply> => askAt(target, words);

  /** Looks under WATCH; whoever does nothing further ends that. */
  async function watched(
    stored: SentValue,
    temporary: Buffer | undefined,
  ): Promise<Done | { readonly mark: string }> {
    const watching = await ask('WATCH', name);
    if (watching instanceof ErrorReply) return watching;
    const [type, ttl] = await Promise.all([ask('TYPE', name), ask('PTTL', name)]);
    if (type instanceof ErrorReply) return type;
    const kind = textOf(type);
    if (kind === 'none') return 'absent';
    if (!isNear(deadlineIn(ttl), stored.deadlineMs)) return 'touched';
    if (temporary === undefined) {
      const value = await ask('GET', name);
      return Buffer.isBuffer(value) && value.equals(stored.bytes) ? { mark: '' } : 'touched';
    }
    const marks = kind === 'stream' ? await ask('EVAL', fingerprintScript, 1, name, '0') : [];
    // Where scripts are refused nobody can tell what consumer groups do.
    if (!Array.isArray(marks)) return 'touched';
    try {
      const side = sideOf(target);
      const compared = await compareValue(name, temporary, side, side, { valueOnly: true });
      if (compared.same) return { mark: textOf(marks[0] ?? '') };
      return compared.gone === 'source' ? 'absent' : 'touched';
    } catch (error) {
      if (error instanceof RefusedError) return new ErrorReply(error.reply);
      throw error;
    }
  }

  /** Does something with the copy in the transaction that its WATCH guards. */
  async function act(
    seen: Done | { readonly mark: string },
    next: SentValue | undefined,
    staged?: Buffer,
  ): Promise<Done> {
    if (typeof seen === 'string' || seen instanceof ErrorReply) {
      await ask('UNWATCH');
      return seen;
    }
    const queue: (readonly Word[])[] = [];
    const isMarked = seen.mark !== '';
    if (isMarked) queue.push(['EVAL', ifUnchangedScript, 1, name, '0', seen.mark, 'DEL']);
    else if (!next) queue.push(['DEL', name]);
    if (next && staged) queue.push(...renaming(staged, next, !isMarked));
    else if (next) queue.push(storing(next, !isMarked));
    // Outside of a transaction nothing may be done: so it is sent once it is known to be one.
    const begun = await ask('MULTI');
    if (begun instanceof ErrorReply) return begun;
    const queued = await Promise.all([...queue.map((words) => ask(...words)), ask('EXEC')]);
    const result = queued.pop();
    const refusal = queued.find((reply) => reply instanceof ErrorReply);
    if (refusal instanceof ErrorReply) return refusal;
    if (result instanceof ErrorReply) return result;
    if (result === null) return 'touched';
    const isQueued = queued.every((reply) => reply === 'QUEUED');
    if (!isQueued || !Array.isArray(result) || result.length !== queue.length) {
      // Nobody knows what it takes the next command for.
      target.close();
      return new ErrorReply('ERR a malformed reply to a transaction');
    }
    if (isMarked && textOf(result[0]) !== '1') return 'touched';
    const failed = result.find((reply) => reply instanceof ErrorReply);
    return failed instanceof ErrorReply ? failed : 'done';
  }

  /** A value beside the copy, while this lasts. */
  async function withTemporary<T>(
    { form, bytes }: SentValue,
    work: (temporary: Buffer) => Promise<T>,
  ): Promise<T | ErrorReply> {
    const temporary = temporaryNameFor(name);
    // A run that is killed leaves nothing for good.
    const reply = await (form === 'value'
      ? ask('SET', temporary, bytes, 'PX', leaseMs)
      : ask('RESTORE', temporary, leaseMs, bytes));
    if (reply instanceof ErrorReply) return reply;
    try {
      return await work(temporary);
    } finally {
      if (!target.lost) await ask('DEL', temporary);
    }
  }

  function storing({ form, deadlineMs, bytes }: SentValue, replaces: boolean): Word[] {
    const left = Math.max(1, deadlineMs - Date.now());
    if (form === 'value') {
      const absolute = commands.valueDeadlines;
      const expiry = absolute ? ['PXAT', deadlineMs + commands.skewMs] : ['PX', left];
      return ['SET', name, bytes, ...(replaces ? [] : ['NX']), ...(deadlineMs === 0 ? [] : expiry)];
    }
    const absolute = commands.payloadDeadlines && deadlineMs !== 0;
    const ttl = deadlineMs === 0 ? 0 : absolute ? deadlineMs + commands.skewMs : left;
    const more = [...(replaces ? ['REPLACE'] : []), ...(absolute ? ['ABSTTL'] : [])];
    return ['RESTORE', name, ttl, bytes, ...more];
  }

  /** Gives what stands under a temporary name the name of the key, and its deadline. */
  function renaming(staged: Buffer, { deadlineMs }: SentValue, replaces: boolean): Word[][] {
    const left = Math.max(1, deadlineMs - Date.now());
    return [
      deadlineMs === 0 ? ['PERSIST', staged] : ['PEXPIRE', staged, left],
      [replaces ? 'RENAME' : 'RENAMENX', staged, name],
    ];
  }

  async function look(stored: SentValue, next: SentValue | undefined | 'nothing'): Promise<Done> {
    const end = async (temporary?: Buffer): Promise<Done> => {
      const seen = await watched(stored, temporary);
      if (next !== 'nothing') return act(seen, next);
      await ask('UNWATCH');
      return typeof seen === 'string' || seen instanceof ErrorReply ? seen : 'done';
    };
    return stored.form === 'value' ? end() : withTemporary(stored, end);
  }

  return {
    look: (stored) => look(stored, 'nothing'),
    discard: (stored) => look(stored, undefined),
    async replace(stored, next, { isSameAtSource, hasArrived }) {
      const replaceBy = async (staged?: Buffer): Promise<Done | 'same'> => {
        if (stored.form === 'value') return act(await watched(stored, undefined), next, staged);
        return withTemporary(stored, async (temporary) => {
          if (await isSameAtSource(temporary)) return 'same';
          return act(await watched(stored, temporary), next, staged);
        });
      };
      if (!next || !hasArrived) return replaceBy();
      return withTemporary(next, async (staged) =>
        (await hasArrived(staged)) ? replaceBy(staged) : 'differs',
      );
    },
    async takeBack() {
      const groups = await ask('XINFO', 'GROUPS', name);
      // What consumer groups do touches no watched key.
      const hasGroups = Array.isArray(groups) && groups.length > 0;
      return act(hasGroups ? 'touched' : { mark: '' }, undefined);
    },
    async store(next) {
      const reply = await ask(...storing(next, false));
      if (reply === null) return 'touched';
      if (reply instanceof ErrorReply) return reply.code === 'BUSYKEY' ? 'touched' : reply;
      return 'done';
    },
  };
}

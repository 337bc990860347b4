/**
 * Moving keys while somebody writes to the source: WATCH them, read and store them, and delete them
 * in a transaction that the source refuses if any of them was touched
 * (https://redis.io/docs/latest/develop/interact/transactions/#optimistic-locking-using-check-and-set).
 *
 * Only writes to these very keys count, so it gets on where the write counter of guard-by-counter.ts never
 * stands still; and it needs no right to run scripts. It costs more: the server looks through a
 * connection's whole list for each key that it watches, so few keys are watched at a time.
 *
 * Some writes touch no watched key: those of consumer groups (XACK, XREADGROUP, XCLAIM, XGROUP; none
 * of them calls signalModifiedKey in Redis' t_stream.c), and PERSIST before 6.0. So, where scripts may
 * run, such keys get a fingerprint ahead of their values, and are deleted by a script that compares it.
 */
import { ask as askPieces, isForgotten, shaOf } from '../../redis/ask.js';
import type { Connection } from '../../redis/connection.js';
import { chosen, commandHead, frame, keyAt } from '../../redis/frames.js';
import { ConnectionPool, type ConnectNode, lanes } from '../../redis/pool.js';
import { ErrorReply, type Reply, textOf } from '../../redis/reply.js';
import type { Keys, Node } from '../../types.js';
import { changed, type Removal, type RemovalWord, type Removed } from './removal.js';
import { Gate } from '../../async.js';
import { type GuardedSource, RelayConnection } from './relay-connection.js';

/** How many keys are watched at a time: beyond some dozens each key costs more than the last. */
export const watchedKeys = 32;

const malformed = new ErrorReply('ERR a malformed reply to a transaction');
/**
 * What of a key may change without WATCH noticing it, as a mark; empty: nothing.
 *
 * Of a stream that is what its groups have come to: XINFO tells without reading the entries, and
 * times that go by are left out of it. (Where XINFO is forbidden, DUMP has to do; in it stands also
 * when a consumer last asked, so a stream is then moved only while nobody asks.)
 * `silent` is '1' where PERSIST goes unnoticed as well.
 */
const fingerprint = `local passing = {idle = true, inactive = true, ['radix-tree-nodes'] = true}
local told
local tell = function(answer)
  if answer.err then return false end
  for at = 1, #answer, 2 do
    local name, value = answer[at], answer[at + 1]
    if not passing[name] and type(value) ~= 'table' then told[#told + 1] = name .. '=' .. tostring(value) end
  end
  return true
end
local valueOf = function(answer, name)
  for at = 1, #answer, 2 do if answer[at] == name then return answer[at + 1] end end
end
local groups = function(key)
  told = {}
  if not tell(redis.pcall('XINFO', 'STREAM', key)) then return nil end
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', key)) do
    tell(group)
    local name = valueOf(group, 'name')
    for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', key, name)) do tell(consumer) end
  end
  return redis.sha1hex(table.concat(told, ' '))
end
local fingerprint = function(key, silent)
  local mark = ''
  if redis.call('TYPE', key).ok == 'stream' then
    mark = groups(key) or redis.sha1hex(redis.call('DUMP', key))
  end
  if silent == '1' and redis.call('PTTL', key) >= 0 then mark = mark .. '+' end
  return mark
end
`;

/** For each key its fingerprint. */
export const fingerprintScript = `${fingerprint}local marks = {}
for place, key in ipairs(KEYS) do marks[place] = fingerprint(key, ARGV[1]) end
return marks`;

/** Deletes the key if its fingerprint still is what the argument says; answers whether it is. */
export const ifUnchangedScript = `${fingerprint}\
if fingerprint(KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
if ARGV[3] ~= '' then redis.call(ARGV[3], KEYS[1]) end
return 1`;

const fingerprintSha = shaOf(fingerprintScript);
const ifUnchangedSha = shaOf(ifUnchangedScript);

export interface WatchOptions {
  /** Undefined: the source keeps the keys, and only whether they were touched is told. */
  readonly word: RemovalWord | undefined;
  /** Whether the source lets scripts run. */
  readonly scripts: boolean;
  /** Whether WATCH does not notice PERSIST: before 6.0. */
  readonly silentPersist: boolean;
}

/** For one batch at a time: `begin` and `remove` must take turns. */
export function watchedRemoval(
  source: Connection,
  { word, scripts, silentPersist }: WatchOptions,
): Removal {
  const silent = silentPersist ? '1' : '0';
  let refusal: ErrorReply | undefined;
  let watched: Keys | undefined;
  /** One for each watched key, empty where WATCH says all; undefined: not asked for. */
  let fingerprints: Buffer[] | undefined;

  const ask = (...pieces: Buffer[]): Promise<Reply> => askPieces(source, pieces, (reply) => reply);

  function note(asked: Promise<Reply>, read: (reply: Reply) => void): void {
    // Whoever asks for the values on this connection hears of its loss too.
    asked.then(read, () => undefined);
  }

  if (scripts) loadScripts();
  function loadScripts(): void {
    for (const script of [fingerprintScript, ifUnchangedScript]) {
      source.call('SCRIPT', 'LOAD', script).catch(() => undefined);
    }
  }

  function begin(keys: Keys): ReturnType<Removal['begin']> {
    refusal = undefined;
    watched = keys;
    fingerprints = undefined;
    note(ask(commandHead(keys.count, 'WATCH'), keys.bytes), (reply) => {
      if (reply instanceof ErrorReply) refusal = reply;
    });
    if (scripts) {
      const head = commandHead(keys.count + 1, 'EVALSHA', fingerprintSha, keys.count);
      note(ask(head, keys.bytes, frame(Buffer.from(silent))), (reply) => {
        if (Array.isArray(reply)) fingerprints = reply.map((one) => one as Buffer);
        else if (reply instanceof ErrorReply && !isForgotten(reply)) refusal ??= reply;
        else loadScripts();
      });
    }
    return { state: undefined };
  }

  /** The fingerprints of these of the watched keys. */
  function fingerprintsOf(keys: Keys): readonly Buffer[] {
    const none = Buffer.alloc(0);
    if (!watched || !fingerprints) return Array.from({ length: keys.count }, () => none);
    const known = Array.from({ length: watched.count }, (_, at) => keyAt(watched as Keys, at));
    return Array.from({ length: keys.count }, (_, index) => {
      const key = keyAt(keys, index);
      const at = known.findIndex((one) => one.equals(key));
      return fingerprints?.[at] ?? none;
    });
  }

  async function remove(keys: Keys): Promise<Removed> {
    const isUnknown = scripts && !fingerprints;
    if (refusal !== undefined || isUnknown || keys.count === 0) {
      await source.call('UNWATCH');
      if (keys.count === 0) return 'removed';
      return refusal ? { indexes: undefined, why: refusal } : changed;
    }
    const marks = fingerprintsOf(keys);
    const marked = indexesWhere(marks, (mark) => mark.length > 0);
    const plain = chosen(
      keys,
      indexesWhere(marks, (mark) => mark.length === 0),
    );
    // Deletes must never run outside of a transaction: so they are sent once it is known to be one.
    const begun = await source.call('MULTI');
    if (begun instanceof ErrorReply) return { indexes: undefined, why: begun };
    const queued: Promise<Reply>[] = [];
    if (word && plain.count > 0) queued.push(ask(commandHead(plain.count, word), plain.bytes));
    for (const index of marked) queued.push(askUnchanged(keys, index, marks));
    const [result, ...answers] = await Promise.all([source.call('EXEC'), ...queued]);
    // EXECABORT says only that one of them was refused: that one's own answer says why.
    const refused = answers.find((answer) => answer instanceof ErrorReply);
    if (result instanceof ErrorReply) return { indexes: undefined, why: refused ?? result };
    if (result === null) return changed;
    // One answer for each command that was queued: who takes another's for it counts keys as deleted.
    const isQueued = answers.every((answer) => answer === 'QUEUED');
    if (!isQueued || !Array.isArray(result) || result.length !== queued.length) {
      // Nobody knows what else it takes the next command for, nor whether the transaction has ended.
      source.close();
      return { indexes: undefined, why: refused ?? malformed };
    }
    const removed = judge(result, marked, keys.count);
    if (removed === 'removed' || !isForgotten(removed.why)) return removed;
    loadScripts();
    return { indexes: removed.indexes, why: 'changed' };
  }

  function askUnchanged(keys: Keys, index: number, marks: readonly Buffer[]): Promise<Reply> {
    const [key, mark] = [keyAt(keys, index), marks[index] as Buffer];
    const words = ['EVALSHA', ifUnchangedSha, 1].map((one) => frame(Buffer.from(String(one))));
    const more = [silent, mark, word ?? ''].map((one) => frame(Buffer.from(one)));
    const pieces = [...words, frame(key), ...more];
    return ask(Buffer.from(`*${String(pieces.length)}\r\n`), ...pieces);
  }

  return { watches: true, begin, remove };
}

/**
 * @param result the transaction's answers: that of the plain delete, if there was one, then one for
 *   each key with a fingerprint.
 * @param marked the indexes of those.
 */
function judge(result: readonly Reply[], marked: readonly number[], keyCount: number): Removed {
  const answers = result.slice(result.length - marked.length);
  const ofPlain = result.slice(0, result.length - marked.length);
  const refused = [...ofPlain, ...answers].find((answer) => answer instanceof ErrorReply);
  const isPlainKept = ofPlain.some((answer) => answer instanceof ErrorReply);
  const indexes = Array.from({ length: keyCount }, (_, index) => index).filter((index) => {
    const at = marked.indexOf(index);
    return at === -1 ? isPlainKept : textOf(answers[at]) !== '1';
  });
  if (indexes.length === 0) return 'removed';
  return { indexes, why: refused instanceof ErrorReply ? refused : 'changed' };
}

function indexesWhere(marks: readonly Buffer[], is: (mark: Buffer) => boolean): number[] {
  return marks.flatMap((mark, index) => (is(mark) ? [index] : []));
}

/* The connections that move keys under WATCH: a few, because what is watched belongs to a connection. */

export class WatchPool {
  readonly #free: Lendable[] = [];
  readonly #gate = new Gate();
  #lent = 0;

  /** @param size how many connections may be lent at one time. */
  constructor(
    readonly open: () => Promise<GuardedSource>,
    readonly connectNode: ConnectNode,
    readonly size: number,
  ) {}

  /** Lends a connection to the work as soon as one is free. */
  async with<T>(work: (connection: RelayConnection) => Promise<T>): Promise<T> {
    await this.#gate.until(() => this.#lent < this.size && ++this.#lent > 0);
    try {
      const lent = this.#free.pop() ?? (await this.#openAnother());
      let isWell = false;
      try {
        const result = await work(lent.connection);
        isWell = !lent.connection.source.lost;
        return result;
      } finally {
        // After an error nobody knows what is still watched, or owed.
        if (isWell) this.#free.push(lent);
        else lent.opened.close();
      }
    } finally {
      this.#lent--;
      this.#gate.check();
    }
  }

  /** Waits until none is lent. */
  async idle(): Promise<void> {
    // Whoever waited longer for one may have taken it again.
    while (this.#lent > 0) await this.#gate.until(() => this.#lent === 0);
  }

  async #openAnother(): Promise<Lendable> {
    const opened = new ConnectionPool();
    const guarded = await this.open();
    await opened.add(Promise.resolve(guarded.source));
    const targetTo = lanes((node: Node) => opened.add(this.connectNode(node)));
    return { connection: new RelayConnection(guarded, targetTo), opened };
  }
}

interface Lendable {
  readonly connection: RelayConnection;
  /** All that belongs to it. */
  readonly opened: ConnectionPool;
}

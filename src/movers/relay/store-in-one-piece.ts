/**
 * Stores values in one piece, each with one command, and many of them under way at a time.
 *
 * Strings travel as themselves, because DUMP compresses and checksums every value. Which keys are
 * strings is learned from MGET, which answers nil for all others at hardly any cost; where strings
 * are rare it is not asked.
 */
import { chosen, joined, noKeys, slice } from '../../redis/frames.js';
import type { Keys } from '../../types.js';
import { isVersionRefusal } from '../refused-keys.js';
import type { Attempt } from './attempt.js';
import { askDeadlines } from './deadlines.js';
import type { Durability, Form, StoreCommands } from './splice.js';
import type { Passed } from './relay-connection.js';
import type { Stage } from './verify-before-delete.js';
import { type Stored, type StoreOptions, Storing } from './store.js';

/** Stores values in one piece where they can travel so; asks for as much as the window lets in. */
export async function storeInOnePiece(
  options: StoreOptions,
  attempt: Attempt,
  stage: Stage | undefined,
): Promise<Stored> {
  const { keys } = attempt.batch;
  const storing = new StoringPieces(options, attempt, stage);
  const parts: Promise<Keys>[] = [];
  for (let from = 0; from < keys.count;) {
    const count = await options.window.enterSome(keys.count - from);
    const part = storing.storePart(slice(keys, from, from + count));
    // Whoever awaits it comes later than its end may.
    part.catch(() => undefined);
    parts.push(part);
    from += count;
  }
  return storing.stored(joined(await Promise.all(parts)));
}

/**
 * What is written to again and again is whole sooner in one piece, if nobody asked for slices and it keeps nobody
 * waiting for seconds.
 */
const oneFromChanges = 3;
const mostInOnePiece = 64 * 1024 * 1024;

/** Deadlines that are not sure are asked for again in so many attempts. */
const lastUnsure = 3;

/** Values are asked for only as the window lets them in. */
class StoringPieces extends Storing {
  readonly #form: Form;
  readonly #commands: StoreCommands;
  readonly #durability: Durability | undefined;
  /** Values up to there go in one piece, whatever the limit is. */
  readonly #leastBytes: number;
  /** A line that is always slow gets by with TTLs that are as good as it is. */
  readonly #mayAskAgain: boolean;

  constructor(...given: ConstructorParameters<typeof Storing>) {
    super(...given);
    const { options, attempt, stage } = this;
    this.#form = options.sameSlot ? 'payload' : options.shapes.nextForm();
    this.#commands = options.commandsFor(attempt.batch.node, this.overwrite);
    const isWaived = attempt.batch.changes >= oneFromChanges && options.sizes?.isOptional === true;
    this.#leastBytes = isWaived ? mostInOnePiece : 0;
    // What gets its name later is asked about then.
    this.#mayAskAgain = attempt.batch.attempt < lastUnsure;
    this.#durability = stage ? undefined : options.durabilityOf(attempt.batch.node);
  }

  /**
   * @param all which the window has let in.
   * @returns those that are whole at the node by this.
   */
  async storePart(all: Keys): Promise<Keys> {
    const { options, attempt, outcome, stage } = this;
    const { source } = attempt.connection;
    const { shapes, sizes } = options;
    const form = this.#form;
    if (form === 'payload' && shapes.payloadsRefused) {
      return this.#storeAs('elements', all, undefined);
    }
    const asksFirst = form === 'payload' || sizes?.ofStrings === true;
    const keys = asksFirst ? await this.#entered(all) : all;
    if (keys.count === 0) return noKeys;
    const deadlines = options.expiry.isKnown() ? askDeadlines(source, keys) : undefined;
    const ttls = deadlines?.byKey;
    const passing = this.#pass(keys, form, ttls);
    const noTtls = ttls ? undefined : options.expiry.confirmNone(source);
    noTtls?.catch(() => undefined);
    const first = await passing;
    const whole = await this.#settlePieces(keys, first, form);
    const message = deadlines
      ? !deadlines.areSure && this.#mayAskAgain && 'the line stood still while its TTL was read'
      : !(await noTtls) && 'its TTL was set meanwhile';
    if (message !== false) {
      // All go round again, and are asked for theirs.
      const why = { class: 'changing', message } as const;
      const copy = stage ? attempt.batch.copy : attempt.stored;
      outcome.retry(attempt.sent.withValues(whole), { ...why, copy });
      if (form === 'payload') await this.settleAbsent(keys, first);
      else outcome.retry(chosen(keys, first.absent), why);
      return noKeys;
    }
    if (form === 'payload' || first.refusedBySource !== undefined) {
      await this.settleAbsent(keys, first);
      return whole;
    }
    shapes.note(keys.count - first.absent.length, keys.count);
    if (first.absent.length === 0) return whole;
    const others = chosen(keys, first.absent);
    const isSized = asksFirst || shapes.payloadsRefused;
    const inOnePiece = isSized ? undefined : await this.#indexesInOnePiece(others);
    const indexes = inOnePiece?.map((at) => first.absent[at] as number) ?? first.absent;
    if (indexes.length === 0) return whole;
    await options.window.enter(indexes.length);
    const as = shapes.payloadsRefused ? 'elements' : 'payload';
    const theirTtls = ttls && Float64Array.from(indexes, (index) => ttls[index] as number);
    return joined([whole, await this.#storeAs(as, chosen(keys, indexes), theirTtls)]);
  }

  /** Those that may stay in the window, into which all have gone. */
  async #entered(all: Keys): Promise<Keys> {
    let keys = noKeys;
    try {
      const indexes = await this.#indexesInOnePiece(all);
      keys = indexes ? chosen(all, indexes) : all;
      return keys;
    } finally {
      if (keys.count < all.count) this.options.window.leave(all.count - keys.count, 0);
    }
  }

  /**
   * The indexes of those that are not too large to travel in one piece; the others go by elements.
   * Undefined: that is all of them.
   */
  async #indexesInOnePiece(keys: Keys): Promise<readonly number[] | undefined> {
    const { sizes } = this.options;
    const { source } = this.attempt.connection;
    const beyond = sizes ? await sizes.beyond(source, keys, this.#leastBytes) : [];
    if (beyond.length === 0) return undefined;
    this.byElements.push(chosen(keys, beyond));
    const large = new Set(beyond);
    return [...Array(keys.count).keys()].filter((index) => !large.has(index));
  }

  async #storeAs(as: Form | 'elements', keys: Keys, ttls: Float64Array | undefined): Promise<Keys> {
    const passed = await this.#pass(keys, as, ttls);
    await this.settleAbsent(keys, passed);
    return this.#settlePieces(keys, passed, as);
  }

  /** Keys leave the window when the node has answered for them. */
  async #pass(keys: Keys, as: Form | 'elements', ttls: Float64Array | undefined): Promise<Passed> {
    const { window } = this.options;
    const { stage } = this;
    const { connection, target, sent } = this.attempt;
    const { node, asking } = this.attempt.batch;
    let isInWindow = true;
    // Replicas may take their time: others must be able to go on meanwhile.
    const answered = (valueBytes: number): void => {
      if (isInWindow) window.leave(keys.count, valueBytes);
      isInWindow = false;
    };
    let bytes = 0;
    try {
      if (as === 'elements') stage?.forget(keys);
      const passed =
        as === 'elements'
          ? await this.passElements(keys, this.#durability, 'payload', this.options.sizes)
          : await connection.pass({
              keys: stage ? stage.begin(keys, ttls) : keys,
              node,
              target,
              form: as,
              commands: this.#commands,
              rewrite: this.options.rewrite,
              ttls,
              isTemporary: stage !== undefined,
              asking,
              durability: this.#durability,
              sent,
              answered,
            });
      bytes = passed.bytes;
      this.countBytes(keys, passed);
      return passed;
    } finally {
      answered(bytes);
    }
  }

  /** @returns those that are whole at the node. */
  async #settlePieces(keys: Keys, passed: Passed, as: Form | 'elements'): Promise<Keys> {
    const { options } = this;
    const { whole, unfit } = await this.settle(keys, passed, as);
    const wholes = [whole];
    if (passed.foreign && passed.lost === undefined && passed.undurable === undefined) {
      const foreign = chosen(keys, passed.foreign);
      // A copy is guarded only over there, where they go one by one.
      if (options.job.mode === 'copy') this.byElements.push(foreign);
      else {
        await options.window.enter(foreign.count);
        wholes.push(await this.#storeAs('elements', foreign, undefined));
      }
    }
    for (const refused of unfit) {
      // What is moved aside is deleted aside, which the guard of this connection takes for a stranger's
      // writes. So only what is large goes that way, and copies, whose guard is another one there.
      if (isVersionRefusal(refused.text) && options.job.mode === 'move') {
        options.shapes.payloadsRefused = true;
        await options.window.enter(refused.keys.count);
        wholes.push(await this.#storeAs('elements', refused.keys, undefined));
      } else this.byElements.push(refused.keys);
    }
    return joined(wholes);
  }
}

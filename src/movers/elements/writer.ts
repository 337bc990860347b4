/**
 * Commands to a node, many under way at a time, of which only the first refusal is remembered:
 * what a key is built with is worth nothing once one of them failed.
 */
import { Gate } from '../../async.js';
import { RefusedError } from '../../errors.js';
import type { Word } from '../../redis/ask.js';
import type { Connection } from '../../redis/connection.js';
import { command, commandHead } from '../../redis/frames.js';
import { keyAt, slice } from '../../redis/keys.js';
import { ErrorReply, type Reply, ReplyReader } from '../../redis/reply.js';
import type { Keys } from '../../types.js';
import { sliceElements } from './reading.js';

/** How many bytes may be without an answer before the next slice is asked for. */
const unansweredLimit = 1024 * 1024;

export interface Writer {
  /** The node's words when it first refused something. */
  readonly refused: string | undefined;
  /** An element that is longer than the node takes: neither it nor anything behind it was sent. */
  readonly tooLongBytes: number | undefined;
  /** Sends a command, the frames behind its words; its answer counts only if it is an error. */
  send(words: readonly Word[], frames?: Keys): void;
  /** Sends a command and gives its answer; errors count as for `send`. */
  ask(...words: Word[]): Promise<Reply>;
  /**
   * Waits until more may be sent.
   * @throws RefusedError once something was refused or too long, ConnectionError once the node is lost.
   */
  room(): Promise<void>;
  /** Waits for all answers; throws like `room`. */
  settled(): Promise<void>;
}

const askingCommand = command('ASKING');

type FailCallback = (error: Error) => void;

/**
 * @param asking the node takes these commands only right behind ASKING.
 * @param largestBytes a node that gets a longer argument hangs up: no answer says what it was.
 */
export function createWriter(node: Connection, asking: boolean, largestBytes: number): Writer {
  let tooLongBytes: number | undefined;
  let refused: string | undefined;
  let lost: Error | undefined;
  let unanswered = 0;
  const gate = new Gate();
  const isBroken = (): boolean =>
    tooLongBytes !== undefined || refused !== undefined || lost !== undefined;

  function expect(byteCount: number, settle?: (reply: Reply) => void, fail?: FailCallback): void {
    unanswered += byteCount;
    const answered = (): void => {
      unanswered -= byteCount;
      gate.check();
    };
    node.expect(
      new ReplyReader(
        (reply) => {
          refused ??= refusalIn(reply);
          settle?.(reply);
          answered();
        },
        (error) => {
          lost ??= error;
          fail?.(error);
          answered();
        },
      ),
    );
  }

  function ahead(): void {
    if (!asking) return;
    node.out.append(askingCommand);
    expect(askingCommand.length);
  }

  function isTooLong(words: readonly Word[], frames?: Keys): boolean {
    tooLongBytes ??= longerThan(largestBytes, words, frames);
    return tooLongBytes !== undefined;
  }

  async function below(limit: number): Promise<void> {
    await gate.until(() => isBroken() || unanswered <= limit);
    if (lost) throw lost;
    if (tooLongBytes !== undefined) throw new RefusedError('an element is too long', '');
    if (refused !== undefined) {
      throw new RefusedError(`${node.address} answered: ${refused}`, refused);
    }
  }

  return {
    get refused() {
      return refused;
    },
    get tooLongBytes() {
      return tooLongBytes;
    },
    send(words, frames) {
      if (isTooLong(words, frames)) return;
      ahead();
      if (!frames) {
        const whole = command(...words);
        node.out.append(whole);
        expect(whole.length);
        return;
      }
      const head = commandHead(frames.count, ...words);
      node.out.append(head);
      node.out.append(frames.bytes);
      expect(head.length + frames.bytes.length);
    },
    ask(...words) {
      return new Promise((settle, fail) => {
        ahead();
        const whole = command(...words);
        node.out.append(whole);
        expect(whole.length, settle, fail);
      });
    },
    room: () => below(unansweredLimit),
    settled: () => below(0),
  };
}

/** An error, also within what EXEC answers. */
function refusalIn(reply: Reply): string | undefined {
  if (reply instanceof ErrorReply) return reply.text;
  return Array.isArray(reply) ? reply.map(refusalIn).find((text) => text !== undefined) : undefined;
}

/** How long the first argument is that is longer than this; undefined: none is. */
function longerThan(limit: number, words: readonly Word[], frames?: Keys): number | undefined {
  const word = words.find((one) => typeof one !== 'number' && one.length > limit);
  if (word !== undefined) return (word as Buffer).length;
  // Hardly ever is all of it longer than one of them may be.
  if (!frames || frames.bytes.length <= limit) return undefined;
  for (let index = 0; index < frames.count; index++) {
    const { length } = keyAt(frames, index);
    if (length > limit) return length;
  }
  return undefined;
}

/**
 * Sends elements behind these words, in as many commands as they need.
 * @param perElement how many frames make one element.
 */
export function sendElements(
  writer: Writer,
  words: readonly Word[],
  frames: Keys,
  perElement: 1 | 2,
): void {
  const most = sliceElements * perElement;
  for (let from = 0; from < frames.count; from += most) {
    writer.send(words, slice(frames, from, Math.min(frames.count, from + most)));
  }
}

/** Writes the command that stores one key whose value was brought along. */
import {
  deadlineOf,
  formOf,
  forms,
  frameStart,
  hintsOf,
  largeOf,
} from '../../redis/value-record.js';
import type { Connection } from '../../redis/connection.js';
import { frame } from '../../redis/frames.js';
import { keyStart } from '../../redis/keys.js';
import type { Keys, LargeValues } from '../../types.js';
import { commandFrames, type StoreCommands } from '../relay/store-commands.js';

/** How many bytes may wait for a node before more is written, and when that goes on. */
const pauseAboveBytes = 8 * 1024 * 1024;
const resumeBelowBytes = 2 * 1024 * 1024;

const nothing = Buffer.alloc(0);
const { never } = commandFrames;

/** Values, and where they go. */
export interface Cargo {
  readonly values: Keys;
  /** What each is to be called. */
  readonly names: Keys;
  readonly commands: StoreCommands;
  readonly asking: boolean;
  /** Whether the node takes hints of how much a key was used. */
  readonly takesHints: boolean;
}

/** Sends a value that is at hand. */
export function sendHeld({ out }: Connection, cargo: Cargo, index: number): void {
  const { values, names, commands } = cargo;
  const { bytes } = values;
  const at = values.starts[index] as number;
  const valueEnd = values.starts[index + 1] as number;
  const deadlineMs = deadlineOf(bytes, at);
  if (cargo.asking) out.append(commandFrames.asking);
  const isValue = formOf(bytes, at) === forms.value;
  if (!isValue && (deadlineMs >= 0 || hintsFor(cargo, index).length > 0)) {
    openRestore(out, cargo, index, deadlineMs);
    out.copy(bytes, frameStart(at), valueEnd);
    endRestore(out, cargo, index, deadlineMs);
    return;
  }
  const { prefix, suffix } = !isValue
    ? commands.payload
    : commands[deadlineMs >= 0 ? 'expiringValue' : 'value'];
  const nameFrom = names.starts[index] as number;
  const nameEnd = names.starts[index + 1] as number;
  const between = isValue ? nothing : never;
  // prettier-ignore
  out.store(prefix, names.bytes, nameFrom, nameEnd, between, bytes, frameStart(at), valueEnd, suffix);
  if (deadlineMs >= 0) out.integerFrame(timeOf(deadlineMs, commands.valueDeadlines, commands));
}

/** Sends a value that has to be read again; nothing else may be written meanwhile. */
export async function sendLarge(
  connection: Connection,
  cargo: Cargo,
  index: number,
  large: LargeValues,
): Promise<void> {
  const { out } = connection;
  const at = cargo.values.starts[index] as number;
  const { id, size } = largeOf(cargo.values.bytes, at);
  const deadlineMs = deadlineOf(cargo.values.bytes, at);
  if (cargo.asking) out.append(commandFrames.asking);
  openRestore(out, cargo, index, deadlineMs);
  out.append(Buffer.from(`$${String(size)}\r\n`, 'latin1'));
  for await (const piece of large.pieces(id)) {
    out.append(piece);
    await hasRoom(connection);
    if (connection.lost) return;
  }
  out.append(Buffer.from('\r\n'));
  endRestore(out, cargo, index, deadlineMs);
}

/** Waits while too much is unsent. */
export function hasRoom({ out }: Connection): Promise<void> | undefined {
  if (out.unsentBytes <= pauseAboveBytes) return undefined;
  return new Promise((go) => {
    out.whenBelow(resumeBelowBytes, go);
  });
}

function openRestore(
  out: Connection['out'],
  cargo: Cargo,
  index: number,
  deadlineMs: number,
): void {
  const { commands, names } = cargo;
  const { prefix } = deadlineMs >= 0 ? commands.expiringPayload : commands.payload;
  out.append(hintsFor(cargo, index).length > 0 ? withTwoMore(prefix) : prefix);
  out.copy(names.bytes, names.starts[index] as number, names.starts[index + 1] as number);
  if (deadlineMs >= 0) out.integerFrame(timeOf(deadlineMs, commands.payloadDeadlines, commands));
  else out.append(never);
}

function endRestore(out: Connection['out'], cargo: Cargo, index: number, deadlineMs: number): void {
  const { commands } = cargo;
  const { suffix } = deadlineMs >= 0 ? commands.expiringPayload : commands.payload;
  if (suffix.length > 0) out.append(suffix);
  for (const word of hintsFor(cargo, index)) out.append(frame(Buffer.from(String(word))));
}

function hintsFor({ takesHints, values }: Cargo, index: number): ReturnType<typeof hintsOf> {
  return takesHints ? hintsOf(values.bytes, values.starts[index] as number) : [];
}

/** The head of the same command with two arguments more. */
function withTwoMore(prefix: Buffer): Buffer {
  const lineEnd = keyStart(prefix, 0) - 2;
  const count = Number(prefix.toString('latin1', 1, lineEnd)) + 2;
  return Buffer.concat([Buffer.from(`*${String(count)}`), prefix.subarray(lineEnd)]);
}

function timeOf(deadlineMs: number, isAbsolute: boolean, { skewMs }: StoreCommands): number {
  return isAbsolute ? deadlineMs + skewMs : Math.max(1, deadlineMs - Date.now());
}

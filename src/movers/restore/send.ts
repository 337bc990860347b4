/** Writes the command that stores one key whose value was brought along. */
import { formOf, forms, frameStart, deadlineOf, hintsOf, largeOf } from '../../redis/brought.js';
import type { Connection } from '../../redis/connection.js';
import { frame } from '../../redis/frames.js';
import { keyStart } from '../../redis/keys.js';
import type { Keys, LargeValues } from '../../types.js';
import { commandWords, type StoreWords } from '../relay/words.js';

/** How many bytes may wait for a node before more is written, and when that goes on. */
const pauseAboveBytes = 8 * 1024 * 1024;
const resumeBelowBytes = 2 * 1024 * 1024;

/** A value, and where it goes. */
export interface Shipment {
  readonly values: Keys;
  readonly place: number;
  /** The frame of the name that it gets is `name[nameFrom .. nameEnd)`. */
  readonly name: Buffer;
  readonly nameFrom: number;
  readonly nameEnd: number;
  readonly words: StoreWords;
  readonly asking: boolean;
  /** Whether the node takes hints of how much a key was used. */
  readonly takesHints: boolean;
}

/** Sends a value that is at hand. */
export function sendHeld({ out }: Connection, shipment: Shipment): void {
  const { values, place, name, nameFrom, nameEnd, words } = shipment;
  const at = values.starts[place] as number;
  const { bytes } = values;
  const valueFrom = frameStart(at);
  const valueEnd = values.starts[place + 1] as number;
  if (shipment.asking) out.append(commandWords.asking);
  const deadlineMs = deadlineOf(bytes, at);
  if (formOf(bytes, at) === forms.value) {
    const { prefix, suffix } = deadlineMs >= 0 ? words.expiringValue : words.value;
    out.append(prefix);
    out.copy(name, nameFrom, nameEnd);
    out.copy(bytes, valueFrom, valueEnd);
    if (suffix.length > 0) out.append(suffix);
    if (deadlineMs >= 0) out.integerFrame(timeOf(deadlineMs, words.valueDeadlines, words));
    return;
  }
  openRestore(out, shipment, deadlineMs);
  out.copy(bytes, valueFrom, valueEnd);
  endRestore(out, shipment, deadlineMs);
}

/** Sends a value that has to be read again; nothing else may be written meanwhile. */
export async function sendLarge(
  connection: Connection,
  shipment: Shipment,
  large: LargeValues,
): Promise<void> {
  const { out } = connection;
  const at = shipment.values.starts[shipment.place] as number;
  const { id, size } = largeOf(shipment.values.bytes, at);
  const deadlineMs = deadlineOf(shipment.values.bytes, at);
  if (shipment.asking) out.append(commandWords.asking);
  openRestore(out, shipment, deadlineMs);
  out.append(Buffer.from(`$${String(size)}\r\n`, 'latin1'));
  for await (const piece of large.pieces(id)) {
    out.append(piece);
    await hasRoom(connection);
    if (connection.lost) return;
  }
  out.append(Buffer.from('\r\n'));
  endRestore(out, shipment, deadlineMs);
}

/** Waits while too much is unsent. */
export function hasRoom({ out }: Connection): Promise<void> | undefined {
  if (out.unsentBytes <= pauseAboveBytes) return undefined;
  return new Promise((go) => {
    out.whenBelow(resumeBelowBytes, go);
  });
}

function openRestore(out: Connection['out'], shipment: Shipment, deadlineMs: number): void {
  const { words, name, nameFrom, nameEnd } = shipment;
  const { prefix } = deadlineMs >= 0 ? words.expiringPayload : words.payload;
  out.append(hintsFor(shipment).length > 0 ? withTwoMore(prefix) : prefix);
  out.copy(name, nameFrom, nameEnd);
  out.integerFrame(deadlineMs >= 0 ? timeOf(deadlineMs, words.payloadDeadlines, words) : 0);
}

function endRestore(out: Connection['out'], shipment: Shipment, deadlineMs: number): void {
  const { words } = shipment;
  const { suffix } = deadlineMs >= 0 ? words.expiringPayload : words.payload;
  if (suffix.length > 0) out.append(suffix);
  for (const word of hintsFor(shipment)) out.append(frame(Buffer.from(String(word))));
}

function hintsFor({ takesHints, values, place }: Shipment): readonly (string | number)[] {
  return takesHints ? hintsOf(values.bytes, values.starts[place] as number) : [];
}

/** The head of the same command with two arguments more. */
function withTwoMore(prefix: Buffer): Buffer {
  const lineEnd = keyStart(prefix, 0) - 2;
  const count = Number(prefix.toString('latin1', 1, lineEnd)) + 2;
  return Buffer.concat([Buffer.from(`*${String(count)}`), prefix.subarray(lineEnd)]);
}

function timeOf(deadlineMs: number, isAbsolute: boolean, { skewMs }: StoreWords): number {
  return isAbsolute ? deadlineMs + skewMs : Math.max(1, deadlineMs - Date.now());
}

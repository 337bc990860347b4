/** The records of an RDB file that are neither keys nor tell which database the keys are of. */
import { moduleTypeAt } from '../../redis/value-record.js';
import type { RdbSink } from './entry.js';
import type { Product } from '../../types.js';
import { Extent } from './extent.js';
import { length, takeCount, takeString, text } from './lengths.js';

const opcodes = {
  slotInfo: 244,
  library: 245,
  oldLibrary: 246,
  moduleAux: 247,
  aux: 250,
  sizes: 251,
} as const;

/** Its type, when it was written (a code and a number), and what the module wrote. */
const moduleAuxParts = ['length', 'length', 'length', 'module values'] as const;

const extent = new Extent();

/** What only one product writes, below the opcodes of all. */
const ahead = {
  /** Of Redis Enterprise: how lately a key was used, and the slot of the keys behind it. Each is a number. */
  enterpriseUse: 107,
  enterpriseSlot: 121,
  /** Of Redis since 8.6: what modules have attached to the key behind it. Of Valkey: slots that are coming in. */
  keyMetadataOrSlotImport: 243,
} as const;

/** So many classes: four bytes of its name and flags, and what the module wrote. */
const keyMetadataParts = [[4, 'module values']] as const;
/** Its name; so many ranges of slots. */
const slotImportParts = ['string', ['length', 'length']] as const;

/**
 * Takes what stands behind an opcode of one product.
 * @returns where that ends; -1: not all of it is here; undefined: there is no such opcode.
 */
export function takeAhead(
  sink: RdbSink,
  product: Product,
  opcode: number,
  bytes: Buffer,
  at: number,
  end: number,
): number | undefined {
  if (opcode === ahead.keyMetadataOrSlotImport) {
    const isOfRedis = product === 'Redis';
    extent.begin(isOfRedis ? keyMetadataParts : slotImportParts);
    const next = extent.take(bytes, at, end);
    if (!extent.done) return -1;
    sink.skipped(
      isOfRedis
        ? 'metadata of modules that belongs to keys'
        : 'a note of slots that were coming in',
    );
    return next;
  }
  const isOfEnterprise = opcode === ahead.enterpriseUse || opcode === ahead.enterpriseSlot;
  return isOfEnterprise && product === 'Redis' ? takeCount(bytes, at, end) : undefined;
}

/** Takes what stands behind the opcode. @returns where that ends; -1: not all of it is here. */
export function takeAside(
  sink: RdbSink,
  opcode: number,
  bytes: Buffer,
  at: number,
  end: number,
): number {
  switch (opcode) {
    case opcodes.sizes: {
      const expiring = takeCount(bytes, at, end);
      const keyCount = length.value;
      const next = expiring === -1 ? -1 : takeCount(bytes, expiring, end);
      if (next !== -1) sink.announced(keyCount);
      return next;
    }
    case opcodes.slotInfo: {
      let next = at;
      for (let nth = 0; nth < 3 && next !== -1; nth++) next = takeCount(bytes, next, end);
      return next;
    }
    case opcodes.aux: {
      const value = takeString(bytes, at, end);
      return value === -1 ? -1 : takeString(bytes, value, end);
    }
    case opcodes.library: {
      const next = takeString(bytes, at, end);
      if (next !== -1) sink.library(Buffer.from(text.bytes.subarray(text.from, text.end)));
      return next;
    }
    case opcodes.oldLibrary:
      return takeOldLibrary(sink, bytes, at, end);
    default:
      return takeModuleAux(sink, bytes, at, end);
  }
}

/** Name, engine, whether a description follows, code: as the first candidates of 7.0 wrote it. */
function takeOldLibrary(sink: RdbSink, bytes: Buffer, at: number, end: number): number {
  let next = takeString(bytes, at, end);
  if (next !== -1) next = takeString(bytes, next, end);
  if (next !== -1) next = takeCount(bytes, next, end);
  const strings = length.value === 0 ? 1 : 2;
  for (let nth = 0; nth < strings && next !== -1; nth++) next = takeString(bytes, next, end);
  if (next !== -1) sink.skipped('a function library of a release candidate of Redis 7.0');
  return next;
}

function takeModuleAux(sink: RdbSink, bytes: Buffer, at: number, end: number): number {
  extent.begin(moduleAuxParts);
  const next = extent.take(bytes, at, end);
  if (!extent.done) return -1;
  sink.skipped(`data that belongs to no key, of the module type ${moduleTypeAt(bytes, at, end)}`);
  return next;
}

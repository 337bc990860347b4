/**
 * Which version an RDB file is of, by its first nine bytes, and which server wrote it. Redis and Valkey count their
 * versions apart since Valkey 9.0: `REDIS0012`, `VALKEY080`. What is newer than all that is known is read as far as it
 * is known: a type of value, or an opcode, never changes its meaning within a product.
 */
import type { Product } from '../../types.js';
import { RdbError } from './rdb-errors.js';

export interface FileVersion {
  readonly number: number;
  readonly product: Product;
  /** Newer than what is known: there may be something in it that is not. */
  readonly isNewer: boolean;
}

/** The magic and the version. */
export const headerBytes = 9;
/** In which the server's version stands, behind the header. */
export const headBytes = 128;

/** The newest versions of which everything is known: Redis 7.4 to 8.4, Valkey 9.0 and 9.1. */
const newest: Readonly<Record<Product, number>> = { Redis: 12, Valkey: 80 };
/** Which numbers belong to whom (rdb.h of Valkey). */
const firstOfValkey = 80;

/** Whose magic a file begins with, and the digits behind it; undefined: none. */
function magicOf(head: string): { readonly product: Product; readonly digits: string } | undefined {
  const [, magic, digits] = /^(REDIS(?=\d{4})|VALKEY(?=\d{3}))(\d+)/.exec(head) ?? [];
  if (digits === undefined) return undefined;
  return { product: magic === 'REDIS' ? 'Redis' : 'Valkey', digits };
}

/** @returns undefined if that is not the head of an RDB file, or of no version that can be. */
export function fileVersionOf(head: string): FileVersion | undefined {
  const magic = magicOf(head);
  if (!magic) return undefined;
  const { product } = magic;
  const number = Number(magic.digits.slice(0, 4));
  const isOfProduct = product === 'Redis' ? number < firstOfValkey : number >= firstOfValkey;
  if (number < 1 || !isOfProduct) return undefined;
  return { number, product, isNewer: number > newest[product] };
}

/**
 * @param head the file's first bytes, one character a byte; the more, the more is told of the file.
 * @param name of the file, for errors. @throws RdbError when they are not those of a file that is known.
 */
export function versionIn(head: string, name: string): FileVersion {
  const version = fileVersionOf(head);
  if (version) return version;
  const magic = magicOf(head);
  if (!magic) {
    throw new RdbError(
      'unknown',
      /^(\*\d|#TS:)/.test(head)
        ? `${name} is an append-only file, which can be read only as a plain file: unpack it, or save it, and give that in --from`
        : `${name} is neither a dump (RDB) nor an append-only file`,
    );
  }
  const { product } = magic;
  const which = `version ${String(Number(magic.digits))}${product === 'Valkey' ? ' of Valkey' : ''}`;
  throw new RdbError(
    'unknown',
    `${name} is an RDB file of ${which}${writtenBy(head)}, and ${String(newest[product])} is the newest that is known: start a server on it, and give that in --from`,
  );
}

/** `, written by Valkey 9.1.2`: as a field at the file's beginning says; nothing if none does. */
export function writtenBy(head: string): string {
  const [, product, length = '', text = ''] =
    /(redis|valkey)-ver([\x01-\x3f])([\d.]+)/.exec(head) ?? [];
  if (product === undefined) return '';
  const version = text.slice(0, length.charCodeAt(0));
  return `, written by ${product === 'redis' ? 'Redis' : 'Valkey'} ${version}`;
}

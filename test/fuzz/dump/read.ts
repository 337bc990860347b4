/** Reads a dump as an import does, up to what would be sent to nodes; nothing is sent. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formOf, forms, frameStart, largeOf } from '../../../src/redis/value-record.js';
import { keyAt } from '../../../src/redis/frames.js';
import { dumpSource, largeKeeper } from '../../../src/sources/dump/source.js';
import { type DumpInput, openInput } from '../../../src/sources/dump/input.js';
import type { Keys } from '../../../src/types.js';
import { inPieces } from '../../support/rdb.js';

export interface Read {
  /** What would be sent, in order: `db key`, form, deadline and value. */
  readonly sent: readonly string[];
  readonly damage: Error | undefined;
  readonly isUnsummed: boolean;
}

/** @param pieceBytes how many bytes come at one time. */
export function readDump(file: Buffer, pieceBytes: number): Promise<Read> {
  return readInput({
    ...{ file: undefined, identity: undefined, bytes: undefined, progress: undefined },
    ...inPieces(file, pieceBytes),
    stop: () => undefined,
    close: () => Promise.resolve(),
  });
}

/** The same of one that is compressed, which is a file then: one that has no name any more once it is open. */
export async function readPacked(packed: Buffer): Promise<Read> {
  const folder = mkdtempSync(join(tmpdir(), 'cluster-import-fuzz-'));
  let input: DumpInput;
  try {
    const file = join(folder, 'dump.rdb.gz');
    writeFileSync(file, packed);
    input = await openInput(file);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return readInput(input);
}

async function readInput(input: DumpInput): Promise<Read> {
  const large = largeKeeper(input.file);
  const sent: string[] = [];
  const source = dumpSource(input, {
    ...{ name: 'a.rdb', large, payloadVersion: 10 },
    wants: () => true,
    prefixFor: () => undefined,
    onLibraries: () => Promise.resolve(),
  });
  try {
    for await (const page of source.pages()) {
      for (let place = 0; place < page.count; place++) sent.push(await told(page, place));
    }
    return { sent, damage: source.damage, isUnsummed: source.isUnsummed };
  } finally {
    source.stop();
    await large.close();
    await input.close();
  }

  async function told({ values, ...keys }: Keys, place: number): Promise<string> {
    if (!values) throw new Error('no values were brought along');
    const at = values.starts[place] as number;
    const end = values.starts[place + 1] as number;
    const head = values.bytes.toString('latin1', at, frameStart(at));
    const key = keyAt(keys, place).toString('latin1');
    if (formOf(values.bytes, at) !== forms.large) {
      const value = values.bytes.toString('latin1', frameStart(at), end);
      const [, size = '', rest = ''] = /^\$(\d+)\r\n([^]*)\r\n$/.exec(value) ?? [];
      if (Number(size) !== rest.length || size === '') throw new Error('what is sent is no frame');
      return `${key} ${head} ${value}`;
    }
    const { id, size } = largeOf(values.bytes, at);
    const whole: Buffer[] = [];
    for await (const piece of large.pieces(id)) whole.push(Buffer.from(piece));
    large.done(id);
    const value = Buffer.concat(whole);
    if (value.length !== size) throw new Error('a large value is not of its size');
    return `${key} ${head.slice(0, 1)} ${value.toString('latin1')}`;
  }
}

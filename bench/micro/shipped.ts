/**
 * The data plane as it is shipped: from dist/, where the compiler put it. What tsx makes of src/ for the
 * moment wraps every function it makes, which costs more than some of what is measured here.
 */
import type * as batcher from '../../src/engine/batcher.js';
import type * as record from '../../src/engine/seen-keys.js';
import type * as acks from '../../src/movers/relay/acks.js';
import type * as splice from '../../src/movers/relay/splice.js';
import type * as words from '../../src/movers/relay/splice.js';
import type * as bulks from '../../src/redis/reply.js';
import type * as output from '../../src/redis/output.js';
import type * as page from '../../src/sources/scan.js';

async function load<Module>(path: string): Promise<Module> {
  return (await import(new URL(`../../dist/${path}`, import.meta.url).href)) as Module;
}

export const shipped = {
  ...(await load<typeof batcher>('engine/batcher.js')),
  ...(await load<typeof record>('engine/seen-keys.js')),
  ...(await load<typeof acks>('movers/relay/acks.js')),
  ...(await load<typeof splice>('movers/relay/splice.js')),
  ...(await load<typeof words>('movers/relay/store-commands.js')),
  ...(await load<typeof bulks>('redis/bulks.js')),
  ...(await load<typeof output>('redis/output.js')),
  ...(await load<typeof page>('sources/page.js')),
};

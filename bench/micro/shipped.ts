/**
 * The data plane as it is shipped: from dist/, where the compiler put it. What tsx makes of src/ for the
 * moment wraps every function it makes, which costs more than some of what is measured here.
 */
export { batcher } from '../../dist/engine/batcher.js';
export { listingRecord } from '../../dist/engine/seen-keys.js';
export { AckReader, Splice, storeCommands } from '../../dist/movers/relay/splice.js';
export { createOutput } from '../../dist/redis/output.js';
export { BulksReader } from '../../dist/redis/reply.js';
export { PageReader } from '../../dist/sources/scan.js';

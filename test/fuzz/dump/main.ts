/**
 * `npm run fuzz:dump -- --inputs 100000 --seed 1`: mutated and truncated dumps. Each must be imported as
 * it stands, or end in a clear error; nothing may hang, crash, or take more memory than it may.
 */
import { runFuzzer } from '../command.js';

const worker = new URL('./worker.ts', import.meta.url);
await runFuzzer({ worker, script: 'fuzz:dump' }, { inputs: 100_000, memoryMb: 400 });

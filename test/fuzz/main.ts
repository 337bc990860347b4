/** `npm run fuzz -- --inputs 1000000 --seed 1`: mutated replies for every reader of the data plane. */
import { runFuzzer } from './command.js';

const worker = new URL('./worker.ts', import.meta.url);
await runFuzzer({ worker, script: 'fuzz' }, { inputs: 1_000_000, memoryMb: 300 });

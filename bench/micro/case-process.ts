/** One case in a process of its own: `case-process.ts <case> <keys> <most keys>`; prints ns per key. */
import { cases } from './cases.js';

const [name = '', keys = '', most = ''] = process.argv.slice(2);
const work = cases[name]?.(Number(most));
if (!work) throw new Error(`there is no case named ${name}`);

// The same beforehand, however much is measured: what the compiler does then is no part of it.
await work(Number(most) / 2);
const startedNs = process.hrtime.bigint();
await work(Number(keys));
console.log(String(Number(process.hrtime.bigint() - startedNs) / Number(keys)));

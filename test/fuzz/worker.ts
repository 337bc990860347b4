/** The thread of `npm run fuzz`. */
import { doJob } from './job.js';
import { tryInput } from './trial.js';

await doJob(tryInput);

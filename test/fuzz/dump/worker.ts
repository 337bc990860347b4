/** The thread of `npm run fuzz:dump`. */
import { doJob } from '../job.js';
import { tryDump } from './trial.js';

await doJob(tryDump);

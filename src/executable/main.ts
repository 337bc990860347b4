/** What the executable runs: the command, or in a process that it has forked for a job, that job. */
import { setFlagsFromString } from 'node:v8';
import { jobProcess } from '../installed.js';
import { v8Flags } from '../v8-flags.js';

// Ahead of all else, as in bin/cluster-import.js.
for (const flag of v8Flags) setFlagsFromString(flag);

if (process.send && process.argv.includes(jobProcess.path)) {
  void import('../workers/job-process.js');
} else {
  void import('../cli.js').then(({ main }) => main(process.argv));
}

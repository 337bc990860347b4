/** What the executable runs: the command, or in a process that it has forked for a job, that job. */
import { setFlagsFromString } from 'node:v8';
import { main } from '../cli.js';
import { jobProcess } from '../installed.js';

// bin/cluster-import.js says what each is for.
setFlagsFromString('--optimize-for-size');
setFlagsFromString('--no-parallel-scavenge');

if (process.send && process.argv.includes(jobProcess.path)) {
  void import('../workers/job-process.js');
} else {
  void main(process.argv);
}

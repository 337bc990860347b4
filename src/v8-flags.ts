/** For V8, of the command and of each process that it starts: bin/cluster-import.js says what each is for. */
export const v8Flags: readonly string[] = ['--optimize-for-size', '--no-parallel-scavenge'];

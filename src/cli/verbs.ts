/** The table of verbs: the command line, completion, the man page and docs/options.md are made from it. */
import { assessVerb } from './assess-verb.js';
import { checkVerb } from './check-verb.js';
import { completionVerb } from './completion.js';
import { ctlVerb } from './ctl-verb.js';
import { importVerb } from './import-verb.js';
import type { Verb } from './verb.js';
import { verifyVerb } from './verify-verb.js';
import { workerVerb } from './worker-verb.js';

/** What moves, looks and steers. The first is what is meant when none is named. */
const working: readonly [Verb, ...Verb[]] = [
  importVerb,
  assessVerb,
  verifyVerb,
  checkVerb,
  ctlVerb,
  workerVerb,
];

export const verbs: readonly [Verb, ...Verb[]] = [...working, completionVerb(working)];

/** The table of verbs. The first is what is meant when none is named. */
import { assessVerb } from './assess-verb.js';
import { checkVerb } from './check-verb.js';
import { ctlVerb } from './ctl-verb.js';
import { importVerb } from './import-verb.js';
import type { Verb } from './verb.js';
import { verifyVerb } from './verify-verb.js';

export const verbs: readonly [Verb, ...Verb[]] = [
  importVerb,
  assessVerb,
  verifyVerb,
  checkVerb,
  ctlVerb,
];

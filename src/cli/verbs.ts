/** The table of verbs. The first is what is meant when none is named. */
import { assessVerb } from './assess.js';
import { checkVerb } from './check.js';
import { ctlVerb } from './ctl.js';
import { importVerb } from './import.js';
import type { Verb } from './verb.js';
import { verifyVerb } from './verify.js';

export const verbs: readonly [Verb, ...Verb[]] = [
  importVerb,
  assessVerb,
  verifyVerb,
  checkVerb,
  ctlVerb,
];

/** What would repair a pattern that a cluster refuses. */
import { joinShapes } from './key-shapes.js';
import { commonParts, nameSign, taggedAt } from './names.js';

export type Trouble =
  | 'cross-slot' // keys of several slots in one unit
  | 'undeclared' // a script uses keys that it did not declare, of another slot
  | 'keyless-script' // a script declares no keys, and uses some
  | 'refused' // refused by clusters: SORT by a pattern for keys
  | 'database'; // another database than 0

interface Broken {
  readonly trouble: Trouble;
  readonly shapes: readonly string[];
  /** The keys with a hash tag around what varies and is common to them. */
  readonly tagged: string | undefined;
}

export function repairOf({ trouble, shapes, tagged }: Broken): string {
  if (trouble === 'database') {
    return 'keep to database 0; --key-prefix keeps the keys of several databases apart';
  }
  if (trouble === 'refused') {
    return 'sort in the application, or keep what is sorted by and got in one place with it';
  }
  const keys = tagged === undefined ? withoutTag(shapes) : `give the keys a hash tag: ${tagged}`;
  if (trouble === 'cross-slot') return keys;
  return `declare its keys when it is called${tagged === undefined ? ';' : ', and'} ${keys}`;
}

function withoutTag(shapes: readonly string[]): string {
  const part = commonParts(shapes).at(-1);
  if (part === undefined) {
    return 'the keys have no part in common: do it key by key, or give them a constant hash tag';
  }
  const tagged = joinShapes([...new Set(shapes.map((shape) => taggedAt(shape, part)))]);
  const varies = shapes.some((shape) => /<n>|<id>/.test(shape) || shape.includes(nameSign));
  if (!varies && shapes.length > 1) return `give the keys a hash tag: ${tagged}`;
  return `what varies in the keys is not common to them: do it key by key, or give them a constant hash tag, which puts all of them into one slot: ${tagged}`;
}

/** Whether `--type` names what servers know: a slip selects nothing, and looks like a success. */
const ownTypes = ['string', 'list', 'set', 'zset', 'hash', 'stream'];
/** Modules name theirs as they like, with capitals and dashes mostly. */
const modules = /[^a-z]|^vectorset$/;

/** @returns what to tell of names that are most likely slips; undefined: there are none. */
export function unknownTypes(types: readonly string[]): string | undefined {
  const unknown = types.filter((type) => !ownTypes.includes(type) && !modules.test(type));
  if (unknown.length === 0) return undefined;
  return `--type ${unknown.join(', ')}: no Redis has such a type; they are ${ownTypes.join(', ')}, and those of modules.`;
}

/**
 * What CLIENT LIST answers: a line for each client, of fields as `name=value`, the same since 2.6
 * (https://redis.io/docs/latest/commands/client-list/).
 */
export type ClientFields = ReadonlyMap<string, string>;

/** @param list the reply. @returns the fields of each client, by name. */
export function clientsIn(list: string): readonly ClientFields[] {
  const lines = list.split('\n').filter((line) => line !== '');
  return lines.map((line) => new Map(line.trim().split(' ').map(fieldOf)));
}

function fieldOf(text: string): [string, string] {
  const at = text.indexOf('=');
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}

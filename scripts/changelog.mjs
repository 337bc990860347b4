/** The changelog of a release: what was pending becomes its section, under an empty pending one. */

/**
 * @param {string} text of CHANGELOG.md @param {string} version @param {string} date 2026-11-29
 * @throws Error when nothing is pending.
 */
export function released(text, version, date) {
  const heading = '## Pending\n';
  const at = text.indexOf(heading);
  if (at === -1) throw new Error('CHANGELOG.md has no section "Pending"');
  const behind = text.slice(at + heading.length);
  const pending = behind.split(/^## /m, 1)[0] ?? '';
  if (pending.trim() === '') throw new Error('CHANGELOG.md has nothing under "Pending"');
  if (text.includes(`## ${version} `)) throw new Error(`CHANGELOG.md has ${version} already`);
  return `${text.slice(0, at)}${heading}\n## ${version} (${date})\n${behind}`;
}

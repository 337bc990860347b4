/** docs/troubleshooting.md has an entry for each error that a command can end with, and none besides. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { messagesOfErrors } from './messages.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const page = readFileSync(`${root}docs/troubleshooting.md`, 'utf8');

/** What stands in the first column, and in the list at the end. */
const entries = page.split('\n').flatMap((line) => {
  const [, first = ''] = /^\| (`.*?) +\| /.exec(line) ?? [];
  return quoted(first);
});
const others = quoted(page.slice(page.indexOf('## Replies that should not come')));

function quoted(text: string): readonly string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, words = '']) => words);
}

it('has an entry for each message', () => {
  const messages = messagesOfErrors();
  expect(messages.length).toBeGreaterThan(150);
  const known = [...entries, ...others];
  const without = messages.filter(({ text }) => !known.some((words) => text.includes(words)));
  expect(without.map(({ file, line, text }) => `${file}:${String(line)}: ${text}`)).toEqual([]);
});

it('has no entry for what nobody says', () => {
  const source = readdirSync(`${root}src`, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => readFileSync(`${root}src/${file}`, 'utf8'))
    .join('\n')
    .replaceAll(/\$\{[^{}]*(\{[^{}]*\}[^{}]*)*\}/g, '…');
  const isSaid = (words: string): boolean =>
    words.split('…').every((part) => source.includes(part.trim()));
  expect(entries.filter((words) => !isSaid(words))).toEqual([]);
});

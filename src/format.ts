/** Numbers as people read them, the same on every screen, and text from elsewhere, made harmless or read as JSON. */
import type { FollowStatus } from './types.js';

/** The order of addresses as people see it. One collator for all: to make one takes longer than a thousand comparisons. */
export const compareNames = new Intl.Collator('en', { numeric: true }).compare;

/** `1,234,567` */
export function formatCount(count: number): string {
  return Math.round(count).toLocaleString('en');
}

const byteUnits = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'];

/** `64.0 MB` (of 1,000,000 bytes), as rates on networks are counted. */
export function formatBytes(bytes: number): string {
  let amount = bytes;
  let unit = 0;
  while (amount >= 999.95 && unit < byteUnits.length - 1) {
    amount /= 1000;
    unit++;
  }
  return `${unit === 0 ? String(Math.round(amount)) : amount.toFixed(1)} ${byteUnits[unit] ?? ''}`;
}

/** `0.4 s`, `42 s`, `3 min 05 s`, `2 h 07 min` */
export function formatDuration(durationMs: number): string {
  if (durationMs < 9950) return `${(durationMs / 1000).toFixed(1)} s`;
  const seconds = Math.round(durationMs / 1000);
  if (seconds < 60) return `${String(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${String(minutes)} min ${two(seconds % 60)} s`;
  return `${String(Math.floor(minutes / 60))} h ${two(minutes % 60)} min`;
}

function two(count: number): string {
  return String(count).padStart(2, '0');
}

/** Whether there is an end that could be waited for: a source that is followed has none after its first copy. */
export function hasEnd(follow: FollowStatus | null | undefined): boolean {
  return !follow || follow.phase === 'joining' || follow.phase === 'copying';
}

/** How the following of a source stands, on one line. */
export function followWords(follow: FollowStatus): string {
  const { phase, changedKeys, lagNowMs, changes, gaps, expectedHoldMs, refused, cutover } = follow;
  if (cutover) return `${phase} · writes were held for ${formatCount(cutover.heldMs)} ms`;
  const waits =
    changedKeys === null
      ? 'all keys are compared again'
      : `${formatCount(changedKeys)} changed ${changedKeys === 1 ? 'key waits' : 'keys wait'}`;
  return [
    phase,
    waits,
    `lag ${formatCount(lagNowMs)} ms`,
    `${formatCount(changes)} changes heard`,
    ...(gaps > 0 ? [`${formatCount(gaps)} ${gaps === 1 ? 'gap' : 'gaps'}`] : []),
    ...(expectedHoldMs === null || phase === 'holding'
      ? []
      : [`a cutover would hold writes for about ${formatCount(expectedHoldMs)} ms`]),
    ...(refused === null ? [] : [refused]),
  ].join(' · ');
}

/* Text from elsewhere, made harmless: a key must not write to a terminal what it likes. */

/** `"user:42"`, or `base64:…` for what is no text; cut to a length. */
export function quoteKey(
  { key, keyEncoding }: { readonly key: string; readonly keyEncoding: string },
  maxLength: number,
): string {
  const quoted = keyEncoding === 'utf8' ? harmless(JSON.stringify(key)) : `base64:${key}`;
  return quoted.length > maxLength ? `${quoted.slice(0, maxLength)}…` : quoted;
}

/** Control characters, and those that turn the direction of writing, as escapes. */
export function harmless(text: string): string {
  return text.replace(
    /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** An object as JSON writes it; undefined: the text is something else. */
export function parseObject(text: string): Partial<Record<string, unknown>> | undefined {
  try {
    const value = JSON.parse(text) as unknown;
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** How many columns it takes: East Asian characters and emoji take two. */
export function widthOf(text: string): number {
  let width = 0;
  for (const char of text) width += (char.codePointAt(0) ?? 0) >= 0x1100 && isWide(char) ? 2 : 1;
  return width;
}

function isWide(char: string): boolean {
  return /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\uff00-\uff60]/u.test(
    char,
  );
}

/** Breaks at spaces; a word that is wider stands on a line of its own. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line: string | undefined;
  for (const word of text.split(' ')) {
    if (line !== undefined && widthOf(line) + 1 + widthOf(word) > width) {
      lines.push(line);
      line = undefined;
    }
    line = line === undefined ? word : `${line} ${word}`;
  }
  return [...lines, line ?? ''];
}

/** Text from elsewhere, made harmless: a key must not write to a terminal what it likes. */
import type { ReportedKey } from './report.js';

/** `"user:42"`, or `base64:…` for what is no text; cut to a length. */
export function quoteKey({ key, keyEncoding }: ReportedKey, maxLength: number): string {
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

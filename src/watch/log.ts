/**
 * Logs, as JSON lines for machines or as text for people. Both come from pino; the text is made of
 * its JSON, because a few lines in a run are not worth another library.
 */
import { type Logger as PinoLogger, pino } from 'pino';
import { harmless, wrap } from '../format.js';
import { withoutName } from './words.js';

type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface LogOptions {
  readonly format: 'text' | 'json';
  readonly level: LogLevel;
  /** Takes whole lines, and what a terminal of so many columns gets instead, if that is something else. */
  readonly write: (text: string, fitted?: (columns: number) => string) => void;
}

const names = { debug: 'debug:', info: 'info:', warn: 'WARNING:', error: 'ERROR:' } as const;
/** What is never to be written, wherever it stands: two levels are more than any line has. */
const secrets = ['password', 'fromPassword', 'toPassword', 'username', 'auth'];

export function createLogger({ format, level, write }: LogOptions): PinoLogger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: secrets.flatMap((name) => [name, `*.${name}`]), censor: '(secret)' },
      serializers: { err: errorFields },
    },
    {
      write(line) {
        if (format === 'json') {
          write(line);
          return;
        }
        const said = JSON.parse(line) as LogLine;
        write(`${textLine(said)}\n`, (columns) => `${terminalLines(said, columns).join('\n')}\n`);
      },
    },
  );
}

/** Only these: errors of clients carry the command that failed, and that may be a login. */
function errorFields(error: unknown): object {
  if (!(error instanceof Error)) return { message: String(error) };
  return { type: error.name, message: error.message, stack: error.stack };
}

interface LogLine extends Readonly<Record<string, unknown>> {
  readonly level: LogLevel;
  readonly time: string;
  readonly msg: string;
}

/** `12:01:02 WARNING: a node is left alone for now  node=10.0.0.1:7000` */
function textLine({ level, time, msg, ...fields }: LogLine): string {
  const rest = Object.entries(fields).map(([name, value]) => `${name}=${textOf(value)}`);
  const said = [`${clock(time)} ${names[level]} ${msg}`, ...rest].join('  ');
  return harmless(said);
}

/** What stands before the words of a line. */
const indent = ' '.repeat('12:01:02 '.length);
const narrowest = 20;

/**
 * Of trouble the sentence and the reason, without the fields, which are for programs: as many lines as it takes.
 *
 *     12:01:02 WARNING: 10.0.0.1:7000 refuses keys: left alone for now – did not
 *              answer within 2000 ms
 */
function terminalLines(said: LogLine, columns: number): string[] {
  const { level, time, msg } = said;
  if (level !== 'warn' && level !== 'error') return [textLine(said)];
  const words = harmless(`${names[level]} ${msg}${reasonOf(said)}`);
  const width = Math.max(narrowest, columns - 1 - indent.length);
  return wrap(words, width).map((line, nth) => (nth === 0 ? `${clock(time)} ` : indent) + line);
}

function reasonOf({ msg, server, reason }: LogLine): string {
  if (typeof reason !== 'string' || msg.includes(reason)) return '';
  const isNamed = typeof server === 'string' && msg.includes(server);
  return ` – ${isNamed ? withoutName(server, reason) : reason}`;
}

function textOf(value: unknown): string {
  if (typeof value === 'string' && /^[^\s"=]+$/.test(value)) return value;
  return JSON.stringify(value);
}

function clock(time: string): string {
  return new Date(time).toTimeString().slice(0, 8);
}

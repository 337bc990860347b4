/**
 * Logs, as JSON lines for machines or as text for people. Both come from pino; the text is made of
 * its JSON, because a few lines in a run are not worth another library.
 */
import { type Logger as PinoLogger, pino } from 'pino';
import { harmless, wrap } from '../format.js';
import { type Report, reportedFailure } from '../report.js';
import type { FailureClass, KeyFailure, Logger } from '../types.js';
import { standing } from './live.js';
import { progressLine } from './progress.js';
import type { RunFacts, Sampler } from './sampler.js';
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

/*
 * The run's course as log lines: few, whatever the number of keys. Keys stand in them only at the
 * level debug; everywhere else it is counts and classes.
 */

const progressEveryMs = 5000;

export interface RunLog {
  failed(failure: KeyFailure): void;
  /** Looks what has changed. */
  look(): void;
  ended(report: Report): void;
}

export interface RunLogOptions {
  /** There is no screen, so the log is where progress can be seen. */
  readonly showsProgress: boolean;
  /** People see a view, which shows what is left behind and why: the log repeats none of it. */
  readonly hasView: boolean;
  /** The log is for people. */
  readonly hasReader: boolean;
}

export function logRun(
  sampler: Sampler,
  logger: Logger,
  { showsProgress, hasView, hasReader }: RunLogOptions,
): RunLog {
  const told = new Set<FailureClass>();
  let mover = moverName(sampler.read().facts);
  let progressAtMs = Date.now();

  return {
    failed(failure) {
      const { key, keyEncoding, class: why, message } = reportedFailure(failure);
      logger.debug({ key, keyEncoding, class: why, reason: message }, 'a key is left behind');
      if (hasView || told.has(why)) return;
      told.add(why);
      logger.warn(
        { class: why, reason: message },
        'keys are left behind; the report lists them, and this class is not logged again',
      );
    },
    look() {
      const sample = sampler.read();
      const now = moverName(sample.facts);
      if (now !== mover) {
        mover = now;
        const { name, reason } = sample.facts.mover;
        logger.info({ mover: name, reason }, `the mover is ${name}`);
      }
      if (!showsProgress || sample.atMs - progressAtMs < progressEveryMs) return;
      progressAtMs = sample.atMs;
      const { moved, progress, conflicting, failed } = sample.snapshot;
      logger.info(
        { moved, progress, conflicting, failed, keysPerSecond: sample.speed.keysPerSecond },
        progressLine(standing(sampler, undefined)),
      );
    },
    ended({ status, keys, bytes, durationMs, keysPerSecond, retries, redirects, ...rest }) {
      const { mover: name, moverReason, error } = rest;
      const numbers = { ...keys, bytes, durationMs, keysPerSecond, retries, redirects };
      const fields = { status, ...numbers, mover: name, moverReason };
      // People read the report.
      if (error === undefined || hasReader) logger.info(fields, `the run ended: ${status}`);
      else logger.error({ ...fields, reason: error }, `the run ended: ${status}`);
    },
  };
}

/** Undefined while movers take turns. */
function moverName({ mover }: RunFacts): string | undefined {
  return mover.measuring ? undefined : mover.name;
}

/**
 * How far the run has come, for those who watch it: on a terminal one line that moves, else one
 * line every few seconds. It only reads the tally.
 */
import { createLogUpdate } from 'log-update';
import { formatBytes, formatCount, formatDuration } from '../format.js';
import type { Tally, TallySnapshot } from '../types.js';
import { speedometer, type Speed } from './speed.js';

const terminalIntervalMs = 200;
const lineIntervalMs = 5000;

export interface Progress {
  /** Leaves the terminal as it was found. */
  stop(): void;
}

/** @param stream usually standard error. */
export function showProgress(
  tally: Tally,
  stream: NodeJS.WriteStream | NodeJS.WritableStream,
): Progress {
  const meter = speedometer();
  // Some terminals have no size (in containers, say): there a line can't be moved in place.
  const isTerminal = 'isTTY' in stream && stream.isTTY && stream.columns > 0;
  const show = isTerminal ? terminalLine(stream) : plainLine(stream);

  function draw(): void {
    const snapshot = tally.snapshot();
    show.line(progressLine(snapshot, meter.read(snapshot, Date.now()), Date.now()));
  }

  const timer = setInterval(draw, isTerminal ? terminalIntervalMs : lineIntervalMs);
  // The run's end is the pipeline's business: watching it must not keep the process up.
  timer.unref();
  return {
    stop() {
      clearInterval(timer);
      show.end();
    },
  };
}

interface Screen {
  line(text: string): void;
  end(): void;
}

function terminalLine(stream: NodeJS.WriteStream): Screen {
  const update = createLogUpdate(stream, { showCursor: true });
  return {
    line(text) {
      // A line that wraps can't be taken back in every terminal.
      update(text.slice(0, stream.columns - 1));
    },
    end() {
      update.clear();
      update.done();
    },
  };
}

function plainLine(stream: NodeJS.WritableStream): Screen {
  return {
    line: (text) => void stream.write(`${text}\n`),
    end: () => undefined,
  };
}

/** The same line on every kind of screen. */
export function progressLine(snapshot: TallySnapshot, speed: Speed, nowMs: number): string {
  const { moved, conflicting, failed, progress, startedAtMs } = snapshot;
  const left = speed.leftMs === undefined ? '–' : formatDuration(speed.leftMs);
  return [
    `${formatCount(moved)} keys`,
    `${formatCount(speed.keysPerSecond)} keys/s`,
    `${formatBytes(speed.bytesPerSecond)}/s`,
    `${(Math.min(progress, 1) * 100).toFixed(1)} %`,
    `${formatDuration(nowMs - startedAtMs)} so far`,
    `${left} left`,
    ...(conflicting > 0 ? [`${formatCount(conflicting)} conflicting`] : []),
    ...(failed > 0 ? [`${formatCount(failed)} failed`] : []),
  ].join(' · ');
}

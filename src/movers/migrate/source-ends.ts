/** The connections over which a source is told to MIGRATE. */
import type { Connection } from '../../redis/connection.js';
import { preparePresence } from './together.js';

export interface SourceEnd {
  readonly source: Connection;
  /** Its run_id: another one after each restart. */
  readonly sourceRun: string;
}

/** A connection to the source, opened when it is needed and again when it was lost. */
export interface SourceEnds {
  open(): Promise<SourceEnd>;
  close(): void;
}

/** @param scripts whether scripts are used on it. */
export function sourceEnds(openSource: () => Promise<SourceEnd>, scripts: boolean): SourceEnds {
  let opened: Promise<SourceEnd> | undefined;
  return {
    open() {
      if (opened) return opened;
      const opening = openSource().then((end) => {
        end.source.onLost(() => (opened = undefined));
        if (scripts) preparePresence(end.source);
        return end;
      });
      opened = opening;
      opening.catch(() => (opened = undefined));
      return opening;
    },
    close() {
      opened
        ?.then(({ source }) => {
          source.close();
        })
        .catch(() => undefined);
    },
  };
}

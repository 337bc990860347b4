import { describe, expect, it } from 'vitest';
import { createServerStates } from '../../../src/engine/server-states.js';
import { connectionLog } from '../../../src/run/connections.js';
import { createLogger, logRun } from '../../../src/watch/log.js';
import { createSampler, type RunFacts } from '../../../src/watch/sampler.js';
import { ConnectionError, type ImportError } from '../../../src/errors.js';
import { keptLog } from '../../support/kept-log.js';
import { facts, newTally } from '../../support/tallies.js';

const quiet = { showsProgress: false, hasView: false, hasReader: false };

function logged(format: 'text' | 'json', say: (logger: ReturnType<typeof createLogger>) => void) {
  let text = '';
  say(createLogger({ format, level: 'info', write: (line) => (text += line) }));
  return text;
}

describe('a log line', () => {
  it('is JSON for machines, with its level in words and its time in the usual form', () => {
    const text = logged('json', (logger) => {
      logger.info({ node: 'a:1' }, 'a node is back');
    });
    expect(text).toMatch(/\}\n$/);
    expect(JSON.parse(text)).toEqual({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) as string,
      node: 'a:1',
      msg: 'a node is back',
    });
  });

  it('is text for people, and can not write to the terminal what it likes', () => {
    const text = logged('text', (logger) => {
      logger.warn({ node: 'a:1', reason: 'no\u001b[2J way', keys: 3 }, 'left alone');
    });
    expect(text).toMatch(
      /^\d\d:\d\d:\d\d WARNING: left alone {2}node=a:1 {2}reason="no\\u001b\[2J way" {2}keys=3\n$/,
    );
  });

  it('says of trouble on a terminal what it is and why, broken between words', () => {
    let text = '';
    const write = (_: string, fitted?: (columns: number) => string): void => {
      text += fitted?.(80) ?? '';
    };
    const logger = createLogger({ format: 'text', level: 'info', write });
    const server = '127.0.0.1:7902';
    logger.warn(
      { server, reason: `${server} did not answer within 2000 ms`, class: 'unavailable' },
      `${server} refuses keys: left alone for now`,
    );
    logger.warn({ server, reason: `${server} closed the connection` }, 'lost the source');
    logger.error({ reason: 'no\u001b[2J way' }, 'it ended: no way');
    logger.info({ node: 'a:1' }, 'a node is back');
    expect(text.replace(/^\d\d:\d\d:\d\d/gm, 'now')).toBe(
      'now WARNING: 127.0.0.1:7902 refuses keys: left alone for now – did not\n' +
        '         answer within 2000 ms\n' +
        'now WARNING: lost the source – 127.0.0.1:7902 closed the connection\n' +
        'now ERROR: it ended: no way – no\\u001b[2J way\n' +
        'now info: a node is back  node=a:1\n',
    );
  });

  it('is not written below its level', () => {
    const text = logged('text', (logger) => {
      logger.debug({ key: 'k' }, 'a key');
    });
    expect(text).toBe('');
  });

  it('never holds a secret, however it came there', () => {
    const error = Object.assign(new Error('refused'), { command: { args: ['s3cret'] } });
    const text = logged('json', (logger) => {
      logger.error({ err: error, password: 's3cret', endpoint: { password: 's3cret' } }, 'no');
    });
    expect(text).toContain('refused');
    expect(text).not.toContain('s3cret');
  });
});

describe('the log of a run', () => {
  const failure = { key: Buffer.from('user:42'), class: 'conflict', message: 'is there' } as const;

  it('names keys only at the level debug, and each class of failure once', () => {
    const kept = keptLog();
    const log = logRun(createSampler(newTally(), facts), kept, quiet);
    log.failed(failure);
    log.failed(failure);
    const withKey = kept.lines.filter((line) => JSON.stringify(line).includes('user:42'));
    expect(withKey.map(([level]) => level)).toEqual(['debug', 'debug']);
    expect(kept.lines.filter(([level]) => level === 'warn')).toHaveLength(1);
  });

  it('says which mover it became', () => {
    const kept = keptLog();
    const mover = { name: 'relay' as const, reason: 'measured', measuring: true };
    const changing: RunFacts = { ...facts, mover };
    const log = logRun(createSampler(newTally(), changing), kept, quiet);
    log.look();
    expect(kept.lines).toEqual([]);
    mover.measuring = false;
    log.look();
    log.look();
    expect(kept.lines).toEqual([
      ['info', 'the mover is relay', { mover: 'relay', reason: 'measured' }],
    ]);
  });
});

describe('lost connections', () => {
  it('are logged once for a server, and so is its return', () => {
    const kept = keptLog();
    const told: string[] = [];
    const states = createServerStates(kept, (sentence) => void told.push(sentence));
    const log = connectionLog(kept, states, 'the source');
    const losses: ((error: ImportError) => void)[] = [];
    const connection = {
      address: 'a:1',
      isOwed: true,
      heardCount: 0,
      onLost: (callback: (error: ImportError) => void) => losses.push(callback),
    };
    log.opened(connection, 'source');
    log.opened(connection, 'source');
    for (const lose of losses) lose(new ConnectionError('a:1 closed the connection'));
    expect(states.of('the source').state).toBe('away');
    log.opened(connection, 'source');
    log.opened(connection, 'source');
    expect(states.of('the source').state).toBe('ok');
    log.close();
    for (const lose of losses) lose(new ConnectionError('the connection to a:1 was closed'));
    expect(kept.lines.map(([level, message]) => [level, message])).toEqual([
      ['warn', 'lost the source; trying again'],
      ['info', 'a connection to a:1 was lost'],
      ['info', 'connected to a:1 again'],
    ]);
  });

  it('are no trouble where nothing was asked, as servers close what is idle', () => {
    const kept = keptLog();
    const states = createServerStates(kept, () => undefined);
    let lose: (error: ImportError) => void = () => undefined;
    connectionLog(kept, states, 'the source').opened(
      {
        address: 'a:1',
        isOwed: false,
        heardCount: 0,
        onLost: (callback) => (lose = callback),
      },
      'source',
    );
    lose(new ConnectionError('a:1 closed the connection'));
    expect(states.of('the source').state).toBe('ok');
    expect(kept.lines.map(([level]) => level)).toEqual(['info']);
  });
});

/** A mock of a source that holds all clients but those that have asked for MONITOR. */
import { expect, it, onTestFinished } from 'vitest';
import { openSideDoor } from '../../../src/follow/side-door.js';
import { openControl } from '../../../src/redis/control.js';
import type { Endpoint } from '../../../src/redis/endpoint.js';
import { mockServer } from '../../support/mock-server.js';

const timeoutMs = 2000;
const told = '+1764412345.012345 [0 127.0.0.1:40612] "GET" "a"\r\n';

async function doorOf(source: Endpoint): Promise<Endpoint> {
  const door = await openSideDoor(source, timeoutMs);
  onTestFinished(() => {
    door.close();
  });
  return door.endpoint;
}

it('lets in whoever enters, logged in and without what MONITOR tells', async () => {
  let heard = '';
  const { endpoint } = await mockServer((socket) => {
    socket.on('data', (bytes) => {
      const words = bytes.toString('latin1');
      heard += words;
      if (words.includes('MONITOR')) socket.write(`+OK\r\n+OK\r\n${told}`);
      else if (words.includes('PING')) socket.write(`${told}+PONG\r\n`);
      else socket.write(`${told}$5\r\nvalue\r\n${told}`);
    });
  });
  const entered = await doorOf({ ...endpoint, password: 'secret' });
  const control = await openControl(entered, { side: 'from', timeoutMs });
  expect(await control.call('GET', 'a')).toBe('value');
  expect(heard).toMatch(/^\*2\r\n\$4\r\nAUTH\r\n\$6\r\nsecret\r\n\*1\r\n\$7\r\nMONITOR\r\n/);
  control.close();
});

it('says what the source says that refuses MONITOR', async () => {
  const { endpoint } = await mockServer((socket) => {
    socket.on('data', () => socket.write("-ERR unknown command 'MONITOR'\r\n"));
  });
  const entered = await doorOf(endpoint);
  await expect(openControl(entered, { side: 'from', timeoutMs })).rejects.toThrow(/MONITOR|PING/);
});

/**
 * docker-compose.yml against what docs/getting-started.md and its own head say of it: nobody has Docker where the
 * tests run, so at least ports, passwords and services must be those that are written about.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const read = (path: string): string =>
  readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const compose = read('docker-compose.yml');

/** The lines of each service, by name: the file keeps to two spaces a level. */
const services = new Map(
  (/^services:\n((?: .*\n|\n)*)/m.exec(compose)?.[1] ?? '')
    .split(/^ {2}(?=[\w-]+:\n)/m)
    .flatMap((part) => {
      const name = /^([\w-]+):\n/.exec(part)?.[1];
      return name === undefined ? [] : [[name, part] as const];
    }),
);
const service = (name: string): string => services.get(name) ?? '';

/** A flag's value in a `command`, whether that is written in one line or as a list. */
function valueOf(flag: string, text: string): string | undefined {
  return new RegExp(`'?--${flag}'?(?:,|\\n\\s+-)\\s+'?([^\\s',]+)`).exec(text)?.[1];
}

/** The lines about Docker, as the page has them and as the file's head does. */
const told = [
  /(docker compose up --detach\n[^]*?)```/,
  /^(# {3}docker compose up --detach\n[^]*?)#\n/m,
]
  .map(
    (pattern, at) => pattern.exec(at === 0 ? read('docs/getting-started.md') : compose)?.[1] ?? '',
  )
  .map((text) => text.replaceAll(/^# +/gm, '').trim());
const [lines = ''] = told;

describe('docker-compose.yml', () => {
  it('is written about with the same words in both places', () => {
    expect(lines).toContain('docker compose run --rm cluster-import --from');
    expect(told[1]).toBe(lines);
  });

  it('has the services, and only known ones wait for others', () => {
    const names = ['net', 'master-1', 'master-2', 'master-3', 'create-cluster', 'source'];
    const others = ['cluster-import', 'fill', 'import', 'prometheus', 'grafana'];
    expect([...services.keys()]).toEqual([...names, ...others]);
    for (const [, text] of services) {
      const waits = [...text.matchAll(/^ {6}(?:- )?([\w-]+): \{ condition/gm)].map(
        ([, name]) => name,
      );
      for (const name of waits) expect(services.has(name ?? '')).toBe(true);
    }
  });

  it('publishes what is dialled, on the loopback alone', () => {
    const published = [...compose.matchAll(/^ +- '([\d.]+):(\d+):(\d+)'$/gm)];
    expect(published.length).toBeGreaterThan(0);
    for (const [, host, outside, inside] of published) {
      expect(host).toBe('127.0.0.1');
      // Nodes are told of by their addresses, which must mean the same on both sides.
      expect(outside).toBe(inside);
    }
    const ports = new Set(published.map(([, , outside]) => outside));
    for (const [, port] of `${lines}\n${compose}`.matchAll(/127\.0\.0\.1:(\d+)/g)) {
      expect(ports).toContain(port);
    }
  });

  it('has the passwords and ports that are told', () => {
    const login = /^x-cluster-import: &cluster-import\n([^]*?)\n\n/m.exec(compose)?.[1] ?? '';
    const [, from] = /CLUSTER_IMPORT_FROM_PASSWORD: (\S+)/.exec(login) ?? [];
    const [, to] = /CLUSTER_IMPORT_TO_PASSWORD: (\S+)/.exec(login) ?? [];
    const source = service('source');
    expect(valueOf('requirepass', source)).toBe(from);
    expect(lines).toContain(
      `exec source redis-benchmark -p ${valueOf('port', source) ?? ''} -a ${from ?? ''}`,
    );
    expect(lines).toContain(`--from 127.0.0.1:${valueOf('port', source) ?? ''}`);
    const masters = ['master-1', 'master-2', 'master-3'].map(service);
    for (const master of masters) {
      expect(valueOf('requirepass', master)).toBe(to);
      expect(valueOf('masterauth', master)).toBe(to);
      expect(master).toContain(`'-p', '${valueOf('port', master) ?? ''}', 'ping'`);
    }
    const ports = masters.map((master) => valueOf('port', master));
    expect(lines).toContain(`--to 127.0.0.1:${ports[0] ?? ''}`);
    expect(service('create-cluster')).toContain(
      ports.map((port) => `127.0.0.1:${port ?? ''}`).join(' '),
    );
    expect(compose).toContain(`&source-login\n  REDISCLI_AUTH: ${from ?? ''}\n`);
    expect(compose).toContain(`&cluster-login\n  REDISCLI_AUTH: ${to ?? ''}\n`);
    const importing = service('import');
    for (const text of [importing, service('cluster-import')]) {
      expect(text).toContain('<<: *cluster-import\n');
    }
    const metrics = /--metrics=0\.0\.0\.0:(\d+)/.exec(importing)?.[1];
    expect(read('monitoring/prometheus.yml')).toContain(`127.0.0.1:${metrics ?? ''}`);
  });
});

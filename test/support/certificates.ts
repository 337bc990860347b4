/** Certificates for tests: an authority of their own, and whatever it is asked to sign. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generate } from 'selfsigned';

export interface Certificate {
  /** PEM, and the files that hold it. */
  readonly cert: string;
  readonly certFile: string;
  readonly keyFile: string;
}

export interface Authority {
  /** Its own certificate. */
  readonly cert: string;
  readonly certFile: string;
  /** Signs one for these names and addresses. */
  sign(names: readonly string[], expired?: 'expired'): Promise<Certificate>;
}

const folders: string[] = [];
process.once('exit', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

const day = 24 * 3600 * 1000;
const common = { keyType: 'ec', curve: 'P-256', algorithm: 'sha256' } as const;
const called = (name: string) => [{ name: 'commonName', value: name }];

export async function createAuthority(): Promise<Authority> {
  const folder = mkdtempSync(join(tmpdir(), 'cluster-import-tls-'));
  folders.push(folder);
  let fileCount = 0;
  function file(text: string): string {
    const path = join(folder, `${String(fileCount++)}.pem`);
    writeFileSync(path, text);
    return path;
  }
  const own = await generate(called(`authority ${folder}`), {
    ...common,
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, critical: true },
    ],
  });
  return {
    cert: own.cert,
    certFile: file(own.cert),
    async sign(names, expired) {
      const agoMs = expired ? 2 * day : day;
      const signed = await generate(called(names[0] ?? ''), {
        ...common,
        notBeforeDate: new Date(Date.now() - agoMs),
        notAfterDate: new Date(Date.now() + (expired ? -day : day)),
        ca: { key: own.private, cert: own.cert },
        extensions: [
          { name: 'keyUsage', digitalSignature: true, keyEncipherment: true },
          {
            name: 'subjectAltName',
            altNames: names.map((name) =>
              /^[\d.:]+$/.test(name) ? { type: 7, ip: name } : { type: 2, value: name },
            ),
          },
        ],
      });
      return { cert: signed.cert, certFile: file(signed.cert), keyFile: file(signed.private) };
    },
  };
}

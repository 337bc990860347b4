import { expect, it } from 'vitest';
import { parseEndpoint } from '../../../src/redis/endpoint.js';
import { sentence } from '../../../src/redis/sentences.js';

const situation = (url: string) => {
  const endpoint = parseEndpoint(url, '--from');
  return {
    side: 'from',
    endpoint,
    address: `${endpoint.host}:${String(endpoint.port)}`,
    timeoutMs: 10_000,
    command: 'INFO',
  } as const;
};

it.each([
  ['connect ECONNREFUSED 127.0.0.1:1', /^Nothing listens at h:1: .*--from/],
  ['getaddrinfo ENOTFOUND h', /^The name h can't be resolved: correct --from/],
  ['connect ETIMEDOUT', /^h:1 did not answer within 10000 ms.*--timeout/],
  ['Connection is closed.', /closed the connection: if it requires TLS, .*rediss:/],
  ['NOAUTH Authentication required.', /needs a password: .*CLUSTER_IMPORT_FROM_PASSWORD/],
  ['ERR invalid password', /refuses the password/],
  ['WRONGPASS invalid username-password pair or user is disabled.', /password of user joe/],
  ['ERR Client sent AUTH, but no password is set', /has no password, but one was given/],
  ['ERR AUTH <password> called without any password configured', /has no password/],
  ["ERR wrong number of arguments for 'auth' command", /older than 6\.0 and has no users/],
  ["NOPERM this user has no permissions to run the 'info' command", /ACL SETUSER joe \+info/],
  ['LOADING Redis is loading the dataset in memory', /still loading/],
  ['ERR DB index is out of range', /has no database 3/],
  ["ERR unknown command 'INFO'", /no command INFO/],
  ['self-signed certificate', /certificate of h:1 is not accepted.*--from-tls-ca/],
  [
    "Hostname/IP does not match certificate's altnames: IP: 10.0.0.1 is not in the cert's list: ",
    /is for another name than h .*--from-tls-servername/,
  ],
  ['certificate has expired', /is not accepted.*renew it/],
  [
    '00:error:0A00045C:SSL routines:ssl3_read_bytes:tlsv13 alert certificate required',
    /requires a client certificate: .*--from-tls-cert and --from-tls-key/,
  ],
  ['00:error:SSL routines:ssl3_read_bytes:tlsv1 alert unknown ca', /does not accept our cert/],
  ['ERR something new', /^h:1 answers INFO with: ERR something new$/],
])('makes a plain sentence of "%s"', (words, expected) => {
  const text = sentence(words, situation('redis://joe:hush@h:1/3'));
  expect(text).toMatch(expected);
  expect(text).not.toContain('hush');
});

// Raw requests that recipients are known to read differently, and random changes of them. A
// character is a byte.
import fc from 'fast-check';

const get = (lines = '', target = '/'): string =>
  `GET ${target} HTTP/1.1\r\nHost: a\r\n${lines}\r\n`;
const post = (lines: string, body = ''): string =>
  `POST /p HTTP/1.1\r\nHost: a\r\n${lines}\r\n${body}`;
const chunked = (body: string): string => post('Transfer-Encoding: chunked\r\n', body);
const withHost = (host: string): string => `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
const withVersion = (version: string): string => `GET / ${version}\r\nHost: a\r\n\r\n`;

const wellFormed = [
  get(),
  get('Connection: close\r\n'),
  get('Connection: close\r\n') + get(),
  get() + post('Content-Length: 3\r\n', 'abc') + get('X: y\r\n'),
  `\r\n${get()}`,
  get() + `\r\n${get()}`,
  'GET / HTTP/1.0\r\n\r\n',
  'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /b HTTP/1.0\r\n\r\n',
  'GET / HTTP/1.0\r\nHost: a\r\n\r\nGET /b HTTP/1.0\r\n\r\n',
  'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n',
  'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n',
  'CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\nbytes',
  'CONNECT [::1]:443 HTTP/1.1\r\nHost: a\r\n\r\n',
  'M-SEARCH /x HTTP/1.1\r\nHost: a\r\n\r\n',
  'PURGE /x HTTP/1.1\r\nHost: a\r\n\r\n',
  'BREW /x HTTP/1.1\r\nHost: a\r\n\r\n',
  'get / HTTP/1.1\r\nHost: a\r\n\r\n',
  get('', 'http://b.example:80/c?d'),
  get('', 'HTTPS://b%20b?c'),
  get('', 'http://[::1]:1'),
  get('', '//x/%zz?a="b"|{c}^`\\'),
  get('', `/${'a'.repeat(4000)}`),
  get('X:\r\nY: \t \r\nZ:\t a  b \t\r\n'),
  get("!#$%&'*+-.^_`|~9: x\r\n"),
  get('X: caf\xe9 \xff\x80\r\n'),
  get('Cookie: a=b\r\nCookie: c=d\r\nX: 1\r\nx: 2\r\n'),
  get('Connection: Upgrade\r\nUpgrade: websocket\r\n') + get(),
  get('Connection: x, , keep-alive\r\n'),
  get('TE: trailers, deflate\r\n'),
  post('Content-Length: 0\r\n') + get(),
  post('Content-Length: 0003\r\n', 'abc') + get(),
  post('Content-Length: 5\r\n', 'abc'),
  post('Content-Length:\t3\t\r\nExpect: 100-continue\r\n', 'abc'),
  post('Content-Length: 3\r\nConnection: upgrade\r\nUpgrade: x\r\n', 'abc') + get(),
  `GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc${get()}`,
  post('Transfer-Encoding: CHUNKED\r\n', '3\r\nabc\r\n0\r\n\r\n') + get(),
  chunked('3\r\nabc\r\n00a\r\n0123456789\r\n0\r\n\r\n') + get(),
  chunked('3;x;y=z;w="q\\"\\\\\t\x80"\r\nabc\r\n0;e\r\n\r\n') + get(),
  chunked('1\r\nx\r\n0\r\nX-Sum: 1\r\nEmpty:\r\n\r\n') + get(),
  chunked('4\r\n\r\n\r\n\r\n0\r\n\r\n') + get(),
  chunked('3\r\nab'),
  withHost('a:80'),
  withHost('[::ffff:1.2.3.4]:8080'),
  withHost('a%20b'),
  withHost(''),
];

const heads = [
  ' GET / HTTP/1.1\r\nHost: a\r\n\r\n',
  `\r\n\r\n${get()}`,
  `\n${get()}`,
  `\r${get()}`,
  'GET  / HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET / HTTP/1.1\nHost: a\n\n',
  'GET / HTTP/1.1\r\nHost: a\n\r\n',
  'GET / HTTP/1.1\r\nHost: a\r\n\n',
  'GET / HTTP/1.1\rHost: a\r\n\r\n',
  'GET / HTTP/1.1\r\r\nHost: a\r\n\r\n',
  'GET /\r\n\r\n',
  'G\x00T / HTTP/1.1\r\nHost: a\r\n\r\n',
  withVersion('HTTP/1.2'),
  withVersion('HTTP/2.0'),
  withVersion('HTTP/0.9'),
  withVersion('HTTP/1.10'),
  withVersion('http/1.1'),
  withVersion('HTTP/1'),
  withVersion('HTTP/1.1 '),
  withVersion(' HTTP/1.1'),
  withVersion('ICE/1.0'),
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  get('', '/a#b'),
  get('', '/a b'),
  get('', '/a\tb'),
  get('', '/a\x01'),
  get('', '/a\x7f'),
  get('', '/\xe4'),
  get('', '*'),
  get('', 'a'),
  get('', 'a:80'),
  get('', 'ftp://a/'),
  get('', 'http://u:p@a/'),
  get('', 'http:///a'),
  get('', 'http://a:b/'),
  'CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n',
  'CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n',
  'CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc',
  get('A : b\r\n'),
  get(': b\r\n'),
  get('A\r\n'),
  get('A b: c\r\n'),
  get('A: b\r\n c\r\n'),
  'GET / HTTP/1.1\r\n Host: a\r\n\r\n',
  get('A: b\rc\r\n'),
  get('A: b\x00c\r\n'),
  get('A: b\x01\r\n'),
  get('A: b\x7f\r\n'),
  get('\xe4: b\r\n'),
  get('A: b\r\n'.repeat(100)),
  get('', `/${'a'.repeat(9000)}`),
  get(`A: ${'b'.repeat(20_000)}\r\n`),
  'GET / HTTP/1.1\r\n\r\n',
  `GET / HTTP/1.1\r\n\r\n${get()}`,
  get('Host: a\r\n'),
  withHost('a b'),
  withHost('u@a'),
  withHost('a:b'),
  withHost('a/b'),
  withHost('[::1'),
  withHost('a%4'),
  'GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n',
  get('Expect: 200-ok\r\n'),
  get('Expect: 200-ok\r\n') + get(),
];

const bodies = [
  post('Content-Length: 3\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'),
  post('Transfer-Encoding: chunked\r\nContent-Length: 3\r\n', '0\r\n\r\n'),
  post('Content-Length: 3\r\nContent-Length: 3\r\n', 'abc'),
  post('Content-Length: 3\r\nContent-Length: 4\r\n', 'abc'),
  post('Content-Length: 3, 3\r\n', 'abc'),
  post('Content-Length: +3\r\n', 'abc'),
  post('Content-Length: -3\r\n', 'abc'),
  post('Content-Length: 0x3\r\n', 'abc'),
  post('Content-Length: 3 3\r\n', 'abc'),
  post('Content-Length:\r\n', 'abc'),
  post('Content-Length: 18446744073709551616\r\n', 'abc'),
  post('Transfer-Encoding: gzip, chunked\r\n', '0\r\n\r\n'),
  post('Transfer-Encoding: gzip\r\n', '0\r\n\r\n'),
  post('Transfer-Encoding: identity\r\n', 'abc'),
  post('Transfer-Encoding: chunked, gzip\r\n', '0\r\n\r\n'),
  post('Transfer-Encoding: chunked, chunked\r\n', '0\r\n\r\n'),
  post('Transfer-Encoding: xchunked\r\n', '0\r\n\r\n'),
  post('Transfer-Encoding: \x0bchunked\r\n', '0\r\n\r\n'),
  post('Transfer-Encoding:\r\n', '0\r\n\r\n'),
  post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'),
  'POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  chunked('g\r\n'),
  chunked('\r\n'),
  chunked('-1\r\n'),
  chunked('0x3\r\nabc\r\n0\r\n\r\n'),
  chunked('3 \r\nabc\r\n0\r\n\r\n'),
  chunked(' 3\r\nabc\r\n0\r\n\r\n'),
  chunked('3\nabc\r\n0\r\n\r\n'),
  chunked('3\r\nabc\n0\r\n\r\n'),
  chunked('3\r\nabc0\r\n\r\n'),
  chunked('3\r\nabcd\r\n0\r\n\r\n'),
  chunked('3\r\nabc\r\n0\r\n\n'),
  chunked('fffffffffffffffff\r\n'),
  chunked('00000000000000003\r\nabc\r\n0\r\n\r\n'),
  chunked('3;\r\nabc\r\n0\r\n\r\n'),
  chunked('3; a\r\nabc\r\n0\r\n\r\n'),
  chunked('3;a=\r\nabc\r\n0\r\n\r\n'),
  chunked('3;a="b\r\nabc\r\n0\r\n\r\n'),
  chunked('3;a\nabc\r\n0\r\n\r\n'),
  chunked(`1;${'a'.repeat(20_000)}\r\nx\r\n0\r\n\r\n`),
  chunked('0\r\nContent-Length: 3\r\n\r\n'),
  chunked('0\r\nHost: b\r\n\r\n'),
  chunked('0\r\nA\r\n\r\n'),
  chunked('0\r\nA: b\n\r\n'),
  chunked('0\r\nA: b\x00\r\n\r\n'),
  chunked(`0\r\nA: ${'b'.repeat(9000)}\r\n\r\n`),
];

export const requests: readonly string[] = [...wellFormed, ...heads, ...bodies];

const fragments = [
  ...['\r', '\n', '\r\n', '\0', '\t', ' ', ':', ',', ';', '=', '"', '#', '/', '*', '%', '@', '0'],
  ...['1', 'a', 'F', '\x7f', '\x80', '\xff', 'Host: b\r\n', 'Content-Length: 3\r\n', 'HTTP/1.0'],
  ...['Transfer-Encoding: chunked\r\n', 'Connection: close\r\n', '0\r\n\r\n', 'X: y\r\n', 'GET '],
];

const change = fc.record({
  kind: fc.constantFrom('insert', 'replace', 'remove', 'repeat', 'case'),
  where: fc.noBias(fc.nat({ max: 9999 })),
  length: fc.integer({ min: 1, max: 12 }),
  fragment: fc.constantFrom(...fragments),
});

type Change = typeof change extends fc.Arbitrary<infer Value> ? Value : never;

function apply(request: string, { kind, where, length, fragment }: Change): string {
  const at = Math.floor((where / 10_000) * request.length);
  const [before, part, after] = [
    request.slice(0, at),
    request.slice(at, at + length),
    request.slice(at + length),
  ];
  if (kind === 'insert') return before + fragment + part + after;
  if (kind === 'replace') return before + fragment + request.slice(at + fragment.length);
  if (kind === 'remove') return before + after;
  if (kind === 'repeat') return before + part + part + after;
  const swapped = part === part.toUpperCase() ? part.toLowerCase() : part.toUpperCase();
  return before + swapped + after;
}

// Most are well-formed, as a change to what is malformed seldom makes it good.
const short = (table: readonly string[]): fc.Arbitrary<string> =>
  fc.constantFrom(...table.filter(({ length }) => length < 1000));

/** A request of the table with a few changes, sometimes with another one behind it. */
const mutated = fc
  .record({
    first: fc.oneof(
      { arbitrary: short(wellFormed), weight: 3 },
      { arbitrary: short(requests), weight: 1 },
    ),
    second: fc.constantFrom('', '', get()),
    changes: fc.array(change, { minLength: 1, maxLength: 2 }),
  })
  .map(({ first, second, changes }) => changes.reduce(apply, first + second));

export const mutations = (count: number, seed: number): string[] =>
  fc.sample(mutated, { numRuns: count, seed });

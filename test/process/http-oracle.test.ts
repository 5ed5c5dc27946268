// The HTTP layer against node:http: what we accept, Node accepts, with the same method, target,
// headers and body; where Node is laxer is listed, with why we are not.
import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { root } from '../lib/support.js';
import { mutations, requests } from './http-requests.js';

interface Message {
  readonly method: string;
  readonly url: string;
  readonly version: string;
  readonly headers: string[];
  readonly body: string;
}

/** `end`: of ours as test/native/net/http_print.cc says, of Node's an error code if there was. */
interface Connection {
  readonly messages: Message[];
  end: string;
}

const compiler = process.env.CXX ?? 'c++';
const canCompile = spawnSync(compiler, ['--version']).status === 0;
if (!canCompile) console.log(`skipped: the HTTP oracle needs a C++ compiler, got no ${compiler}`);

function buildProgram(): string {
  const folder = join(root, 'build', 'http-oracle');
  mkdirSync(folder, { recursive: true });
  const program = join(folder, `http_print-${process.pid}`);
  const names = ['http_parser', 'http_target', 'http_body'];
  const sources = names.map((name) => `native/net/${name}.cc`);
  const args = ['-std=c++17', '-O1', '-I', 'native', 'test/native/net/http_print.cc', ...sources];
  execFileSync(compiler, [...args, '-o', program], { cwd: root });
  return program;
}

function askOurs(program: string, inputs: readonly string[]): Connection[] {
  const input = Buffer.from(inputs.map((each) => `${each.length}\n${each}`).join(''), 'latin1');
  const output = execFileSync(program, { input, encoding: 'utf8', maxBuffer: 1 << 28 });
  return output
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Connection);
}

const seen = new Map<number, Connection>();
const server = http.createServer();
// Requests before the end of what a client sends may still be read; @types/node lacks the property.
Object.assign(server, { httpAllowHalfOpen: true });

function note(request: http.IncomingMessage, body: string): void {
  seen.get(request.socket.remotePort!)?.messages.push({
    method: request.method!,
    url: request.url!,
    version: request.httpVersion,
    headers: request.rawHeaders,
    body,
  });
}

server.on('request', (request, response) => {
  let body = '';
  request.setEncoding('latin1');
  request.on('error', () => {});
  request.on('data', (chunk: string) => (body += chunk));
  request.on('end', () => {
    note(request, body);
    response.end();
  });
});
server.on('connect', (request, socket) => {
  note(request, '');
  socket.end();
});
server.on('clientError', ({ code }: NodeJS.ErrnoException, socket) => {
  const connection = seen.get((socket as net.Socket).remotePort!);
  if (connection !== undefined) connection.end = code ?? 'error';
  // Requests before the faulty one have not all said that they ended.
  setImmediate(() => socket.destroy());
});

async function askNodeOne(input: string): Promise<Connection> {
  const { port } = server.address() as net.AddressInfo;
  const socket = net.connect(port, '127.0.0.1');
  socket.on('error', () => {}).resume();
  await once(socket, 'connect');
  // Node does not see the end of a client that stops within the body of an upgrade.
  socket.setTimeout(2_000, () => socket.destroy());
  const connection: Connection = { messages: [], end: '' };
  seen.set(socket.localPort!, connection);
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.end(Buffer.from(input, 'latin1'));
  await closed;
  return connection;
}

async function askNode(inputs: readonly string[]): Promise<Connection[]> {
  const answers: Connection[] = [];
  for (let i = 0; i < inputs.length; i += 64) {
    answers.push(...(await Promise.all(inputs.slice(i, i + 64).map(askNodeOne))));
  }
  return answers;
}

const unnamedCoding = '400 transfer-encoding';

/** Our refusals of what Node accepts. */
const laxer: Record<string, string> = {
  '400 empty line before the request': 'one is what RFC 9112 2.2 asks for',
  '400 bare CR before the request': 'a CR alone ends no line (RFC 9112 2.2)',
  '400 space before the target': 'one space stands there (RFC 9112 3)',
  '400 space before the version': 'one space stands there (RFC 9112 3)',
  '400 no version': 'a line without one is HTTP/0.9',
  '400 fragment': 'a target has none (RFC 9112 3.2)',
  '400 target form': 'the forms that go with the method (RFC 9112 3.2); no user, no other scheme',
  '400 host': 'a server must refuse it (RFC 9112 3.2)',
  '400 no host': 'Node refuses it too, and reads on behind it',
  '417 expect': 'Node refuses it too, and reads on behind it',
  '400 more than one host': 'a server must refuse it (RFC 9112 3.2)',
  '400 body with CONNECT': 'the bytes behind it belong to the tunnel (RFC 9110 9.3.6)',
  [unnamedCoding]: 'one that names no coding leaves the length open (RFC 9112 6.3)',
  '501 transfer-encoding': 'a coding that nobody undoes (RFC 9112 6.1)',
  '400 transfer-encoding with HTTP/1.0': 'its framing is faulty (RFC 9112 6.1)',
  '505 version not supported': 'Node reads 0.9 and 2.0 as if they were 1.1',
  '400 chunk size too large': 'leading zeros without a bound',
  '400 chunk extension': 'a value of no bytes is neither token nor quoted string',
  '400 forbidden trailer': 'it could be taken for a header of the request (RFC 9110 6.5.1)',
  '414 target too long': 'our limit is lower',
  '431 too many headers': 'our limit is lower',
  '431 trailers too long': 'our limit is lower',
};

const isRefusal = (end: string): boolean => /^\d{3} /.test(end);

/** Why Node may refuse a message that we accept. */
function mayNodeRefuse({ method, headers }: Message, end: string): boolean {
  // It knows its list of methods; we leave them to the application.
  if (end === 'HPE_INVALID_METHOD') return !http.METHODS.includes(method);
  // It takes spaces around a length, and no tab behind it; RFC 9112 5 has both.
  const hasLength = headers.some((name) => /^content-length$/i.test(name));
  return end === 'HPE_INVALID_CONTENT_LENGTH' && hasLength;
}

/** What is wrong with the two answers; `used` collects where Node is laxer. */
function compare(ours: Connection, theirs: Connection, used: Set<string>): string | undefined {
  for (const [index, message] of ours.messages.entries()) {
    const their = theirs.messages[index];
    if (their === undefined && mayNodeRefuse(message, theirs.end)) return undefined;
    if (!isDeepStrictEqual(their, message)) return 'not the same message';
  }
  if (theirs.messages.length === ours.messages.length) return undefined;
  if (!isRefusal(ours.end)) return `Node found another message, we ended with ${ours.end}`;
  if (laxer[ours.end] === undefined) return `Node accepts what we refuse with ${ours.end}`;
  used.add(ours.end);
  return undefined;
}

describe.skipIf(!canCompile)('a request that we accept is the same to node:http', () => {
  let program = '';
  beforeAll(async () => {
    program = buildProgram();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  }, 120_000);
  afterAll(() => {
    server.close();
    rmSync(program, { force: true });
  });

  let accepted = 0;
  async function disagreements(inputs: readonly string[], used: Set<string>): Promise<unknown[]> {
    const ours = askOurs(program, inputs);
    accepted = ours.reduce((sum, { messages }) => sum + messages.length, 0);
    const theirs = await askNode(inputs);
    expect(ours.length).toBe(inputs.length);
    return inputs.flatMap((input, index) => {
      const [our, their] = [ours[index]!, theirs[index]!];
      const problem = compare(our, their, used);
      return problem === undefined ? [] : [{ input, problem, ours: our, node: their }];
    });
  }

  test('for requests known to be read differently, and Node is laxer where we say', async () => {
    const used = new Set<string>();
    expect(await disagreements(requests, used)).toEqual([]);
    const unused = Object.keys(laxer).filter((reason) => !used.has(reason));
    // From Node 22 on that one is refused.
    expect(unused).toEqual(process.version.startsWith('v20.') ? [] : [unnamedCoding]);
    expect(accepted).toBeGreaterThan(50);
  });

  test('for 2,000 random changes of them', async () => {
    expect(await disagreements(mutations(2000, 20_260_101), new Set())).toEqual([]);
    expect(accepted).toBeGreaterThan(500);
  }, 120_000);
});

// Listening and dialling: TCP and Unix sockets whose every system call is made on fibers.
import { connOf, readAddress, run } from './conn.js';
import type { Address, Conn, IoOptions } from './conn.js';
import { HeddleError } from './errors.js';
import { netKernels } from './kernels.js';
import { refuse, wholeNumber } from './refuse.js';
import type { Socket } from './socket.js';
import './socket.js'; // makes the sockets that kernels give
import type { Task } from './task.js';

/** Where to listen. */
export interface ListenOptions {
  /** 0: any that is free. */
  port?: number;
  /** A name or an address in figures; default: all addresses. */
  host?: string;
  /** Of a Unix socket, instead of a port; `@name` is one without a file. */
  path?: string;
  /** A socket that listens already, by its file descriptor, such as systemd's. */
  fd?: number;
  /** How many clients may wait to be accepted, 1 to 65,535; default 511. */
  backlog?: number;
  /** Several processes or listeners share the port; the system spreads clients. */
  reusePort?: boolean;
}

/** Where to dial. */
export interface DialOptions extends IoOptions {
  port?: number;
  /** A name or an address in figures; default: this machine. */
  host?: string;
  /** Of a Unix socket, instead of a port. */
  path?: string;
}

const kMostPort = 65_535;
const kMostBacklog = 65_535;
const kMostDescriptor = 2 ** 31 - 1;

function checkOptions(options: unknown): void {
  if (typeof options !== 'object' || options === null) refuse('options', 'an object', options);
}

// A file, or a name in the abstract namespace. The system would end it at a null character.
function pathOf({ host, port, path }: DialOptions): string {
  if (typeof path !== 'string' || path === '') refuse('path', 'a path', path);
  if (path.includes('\0')) {
    refuse('path', "one without a null character ('@name' is one without a file)", path);
  }
  if (port !== undefined) refuse('port', 'nothing beside a path', port);
  if (host !== undefined) refuse('host', 'nothing beside a path', host);
  return /^[/@]|^\.\//.test(path) ? path : `./${path}`;
}

// As native/net/tcp.h reads it. What comes from a host must not be read as a path.
function endpointOf(options: DialOptions, caller: string): string {
  const { host, port, path } = options;
  if (path !== undefined) return pathOf(options);
  if (port === undefined) refuse(`${caller}: port`, 'a port or a path', port);
  wholeNumber(port, 'port', 0, kMostPort);
  if (host === undefined) return `:${port}`;
  if (typeof host !== 'string' || /[/@\0]/.test(host)) refuse('host', 'a name or an address', host);
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

// What the system's resolver says, in the words of node:dns.
function asNode(error: unknown): unknown {
  if (!(error instanceof Error) || !('code' in error)) return error;
  const { code, message } = error;
  if (code !== 'EAI_NONAME' && code !== 'EAI_NODATA') return error;
  error.message = message.replace(code, 'ENOTFOUND');
  error.code = 'ENOTFOUND';
  return error;
}

/** Accepts connections. Made by {@link listen}. */
export class Listener implements AsyncIterable<Conn, undefined> {
  readonly #socket: Socket;
  #accepting: Task<Socket> | undefined;
  // Of the file that it has made, which it removes.
  readonly #file: string | undefined;
  /** Where it listens; with the port that the system has chosen. */
  readonly address: Address | undefined;

  /** @internal */
  constructor(socket: Socket, file?: string) {
    this.#socket = socket;
    this.#file = file;
    this.address = readAddress(socket.address(false));
  }

  /** The port, or undefined for a Unix socket. */
  get port(): number | undefined {
    return this.address !== undefined && 'port' in this.address ? this.address.port : undefined;
  }

  get closed(): boolean {
    return this.#socket.isClosed;
  }

  /** The next connection; rejects with ERR_HEDDLE_CLOSED after `close`. One call at a time. */
  async accept(options: IoOptions = {}): Promise<Conn> {
    if (this.#accepting !== undefined) {
      throw new HeddleError('ERR_HEDDLE_BUSY', 'accept: expected no other one in progress');
    }
    const task = run(netKernels.accept, options, this.#socket);
    this.#accepting = task;
    try {
      return connOf(await task);
    } finally {
      this.#accepting = undefined;
    }
  }

  /** Connections, until it is closed. Leaving the loop does not close it. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Conn, undefined, undefined> {
    while (!this.closed) {
      try {
        yield await this.accept();
      } catch (error) {
        if (this.closed) return;
        throw error;
      }
    }
  }

  /**
   * Sends back what comes on each connection, on fibers alone, until the listener is closed or the
   * task cancelled; gives how many connections there were.
   */
  echo(options: IoOptions = {}): Task<number> {
    this.#checkOpen('echo');
    return run(netKernels.echoServer, options, this.#socket);
  }

  /**
   * Connects each connection with another one to there, on fibers alone, until the listener is
   * closed or the task cancelled; gives how many connections there were.
   */
  proxy(to: DialOptions): Task<number> {
    checkOptions(to);
    this.#checkOpen('proxy');
    const { signal, deadline } = to;
    const options: IoOptions = {};
    if (signal !== undefined) options.signal = signal;
    if (deadline !== undefined) options.deadline = deadline;
    return run(netKernels.proxyServer, options, this.#socket, endpointOf(to, 'proxy'));
  }

  // Later it is how a service ends.
  #checkOpen(operation: string): void {
    if (!this.closed) return;
    const problem = `${operation}: expected an open listener, got a closed one`;
    throw new HeddleError('ERR_HEDDLE_CLOSED', problem);
  }

  /**
   * Accepts no more, refuses those who wait for it, and removes the file of a Unix socket that
   * `listen` has made. Connections stay, but for those of `echo` and `proxy`.
   */
  close(): void {
    this.#accepting?.catch(() => {});
    if (this.closed) return;
    // Before the close, after which the file may be another one's.
    if (this.#file !== undefined) {
      process.getBuiltinModule('node:fs').rmSync(this.#file, { force: true });
    }
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Listens for connections.
 *
 * @example
 * const listener = await listen({ port: 8080 });
 * for await (const conn of listener) pipeline(conn, conn).catch(console.error);
 */
export async function listen(options: ListenOptions): Promise<Listener> {
  checkOptions(options);
  const { fd, host, port, path, backlog = 511, reusePort = false } = options;
  if (typeof reusePort !== 'boolean') refuse('reusePort', 'a boolean', reusePort);
  wholeNumber(backlog, 'backlog', 1, kMostBacklog);
  if (fd !== undefined) {
    wholeNumber(fd, 'fd', 0, kMostDescriptor);
    for (const [name, value] of Object.entries({ host, port, path })) {
      if (value !== undefined) refuse(name, 'nothing beside an fd', value);
    }
  }
  const endpoint = fd === undefined ? endpointOf(options, 'listen') : '';
  try {
    const socket =
      fd === undefined
        ? await run(netKernels.listen, {}, endpoint, backlog, reusePort ? 1 : 0)
        : await run(netKernels.adopt, {}, fd);
    const isFile = path !== undefined && !path.startsWith('@');
    return new Listener(
      socket,
      isFile ? process.getBuiltinModule('node:path').resolve(path) : undefined,
    );
  } catch (error) {
    throw asNode(error);
  }
}

/**
 * Opens a connection.
 *
 * @example
 * const conn = await dial({ host: 'example.org', port: 80, deadline: 1000 });
 */
export async function dial(options: DialOptions): Promise<Conn> {
  checkOptions(options);
  const endpoint = endpointOf(options, 'dial');
  const { signal, deadline } = options;
  const limits: IoOptions = {};
  if (signal !== undefined) limits.signal = signal;
  if (deadline !== undefined) limits.deadline = deadline;
  try {
    return connOf(await run(netKernels.dial, limits, endpoint));
  } catch (error) {
    throw asNode(error);
  }
}

// A connection as a stream of Node's, whose reads and writes are tasks on fibers.
//
// Always true: at most one read task and one write task of it are in progress. What the stream
// reads ahead is at most its highWaterMark; readInto takes that first. A stream cannot be told that
// its own read or write has come too early but by an error: so the second one of a direction ends
// the connection if it is the stream's, and is refused if it is not.
//
// Node's streams cost as much to load as a third of heddle, so the class is made with the first
// connection.
import type { Duplex } from 'node:stream';
import { HeddleError } from './errors.js';
import { nativeKernel, netKernels } from './kernels.js';
import type { Kernel } from './kernels.js';
import { refuse } from './refuse.js';
import { spawnKernelWith } from './spawn-kernel.js';
import type { SpawnOptions } from './spawn-options.js';
import type { Socket } from './socket.js';
import type { Task } from './task.js';

/** Of one operation. */
export interface IoOptions {
  /** Ends it; its reason is the rejection. */
  signal?: AbortSignal;
  /** Ends it after so many milliseconds, with a TimeoutError. */
  deadline?: number;
}

/** Where a socket is: a host in figures and a port, or the path of a Unix socket. */
export type Address = { readonly host: string; readonly port: number } | { readonly path: string };

export function readAddress(text: string | undefined): Address | undefined {
  if (text === undefined || text === '') return undefined;
  const colon = text.lastIndexOf(':');
  if (colon < 0 || /^[/.@]/.test(text)) return { path: text };
  const host = text.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  return { host, port: Number(text.slice(colon + 1)) };
}

export function run<A extends unknown[], R>(
  kernel: Kernel<A, R>,
  options: SpawnOptions,
  ...args: A
): Task<R> {
  return spawnKernelWith(options, nativeKernel(kernel)!, args) as Task<R>;
}

const kMostRead = 64 * 1024;

/**
 * A connection over TCP or a Unix socket. It is a `stream.Duplex`, so `for await`, `pipeline` and
 * `Duplex.toWeb` work on it and `end()` closes this side only; `readInto` and `writeAll` are the
 * same with promises and deadlines.
 */
export interface Conn extends Duplex {
  readonly localAddress: Address | undefined;
  readonly remoteAddress: Address | undefined;
  /**
   * Reads into the buffer what has come, at least one byte, and gives the count; 0 at the end of
   * the stream. After a deadline nothing is lost: the next read gets it.
   */
  readInto(buffer: Uint8Array, options?: IoOptions): Promise<number>;
  /** Writes all of it, several pieces by one system call; resolves when the system has it. */
  writeAll(bytes: Uint8Array | readonly Uint8Array[], options?: IoOptions): Promise<void>;
  /** Tells the other end that something is wrong (RST), and closes. */
  reset(): void;
}

function joined(bytes: Uint8Array | readonly Uint8Array[]): Uint8Array {
  if (bytes instanceof Uint8Array) return bytes;
  if (!Array.isArray(bytes)) refuse('bytes', 'Uint8Arrays', bytes);
  for (const piece of bytes as readonly Uint8Array[]) {
    if (!(piece instanceof Uint8Array)) refuse('bytes', 'Uint8Arrays', piece);
  }
  return Buffer.concat(bytes as readonly Uint8Array[]);
}

function closed(operation: string): HeddleError {
  const problem = `${operation}: expected an open connection, got a closed one`;
  return new HeddleError('ERR_HEDDLE_CLOSED', problem);
}

function busy(operation: string): HeddleError {
  const problem = `${operation}: expected no other one in progress, got one`;
  return new HeddleError('ERR_HEDDLE_BUSY', problem);
}

/** The operations of a connection that are in progress: one of each direction. */
class Transfers {
  reading: Task<Uint8Array> | undefined;
  writing: Task<undefined> | undefined;
  hasEnded = false;

  constructor(readonly socket: Socket) {}

  async read(most: number, options: IoOptions): Promise<Uint8Array> {
    if (this.reading !== undefined) throw busy('read');
    this.reading = run(netKernels.read, options, this.socket, Math.min(most, kMostRead));
    try {
      const bytes = await this.reading;
      this.hasEnded = bytes.length === 0;
      return bytes;
    } finally {
      this.reading = undefined;
    }
  }

  async write(bytes: Uint8Array, options: IoOptions): Promise<void> {
    if (this.writing !== undefined) throw busy('write');
    this.writing = run(netKernels.write, options, this.socket, bytes);
    try {
      await this.writing;
    } finally {
      this.writing = undefined;
    }
  }

  /** What is in progress ends by this, which is no failure of it. */
  close(reset: boolean): void {
    this.reading?.catch(() => {});
    this.writing?.catch(() => {});
    this.socket.close(reset);
  }
}

function makeClass(): new (socket: Socket) => Conn {
  const { Duplex } = process.getBuiltinModule('node:stream');
  return class StreamConn extends Duplex implements Conn {
    readonly #transfers: Transfers;
    readonly localAddress: Address | undefined;
    readonly remoteAddress: Address | undefined;

    constructor(socket: Socket) {
      super({ allowHalfOpen: true, autoDestroy: true });
      this.#transfers = new Transfers(socket);
      this.localAddress = readAddress(socket.address(false));
      this.remoteAddress = readAddress(socket.address(true));
    }

    async readInto(buffer: Uint8Array, options: IoOptions = {}): Promise<number> {
      if (!(buffer instanceof Uint8Array) || buffer.length === 0) {
        refuse('buffer', 'a Uint8Array with room', buffer);
      }
      let bytes: Uint8Array | null = null;
      const ahead = Math.min(buffer.length, this.readableLength);
      if (ahead > 0 && !this.destroyed) bytes = this.read(ahead) as Uint8Array | null;
      if (bytes === null && this.#transfers.hasEnded) return 0;
      if (bytes === null && this.destroyed) throw closed('readInto');
      bytes ??= await this.#transfers.read(buffer.length, options);
      buffer.set(bytes);
      if (bytes.length === 0) this.#end();
      return bytes.length;
    }

    async writeAll(
      bytes: Uint8Array | readonly Uint8Array[],
      options: IoOptions = {},
    ): Promise<void> {
      const all = joined(bytes);
      if (this.destroyed) throw closed('writeAll');
      if (this.writableLength > 0) throw busy('writeAll');
      await this.#transfers.write(all, options);
    }

    reset(): void {
      this.#transfers.close(true);
      this.destroy();
    }

    // What has come to an end for readInto has for the stream: so it can close by itself.
    #end(): void {
      if (this.readableEnded || this.destroyed) return;
      this.push(null);
      this.read(0);
    }

    override _read(size: number): void {
      this.#transfers.read(size, {}).then(
        (bytes) => this.push(bytes.length === 0 ? null : bytes),
        (error: Error) => this.destroy(error),
      );
    }

    override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error) => void): void {
      this.#transfers.write(chunk, {}).then(() => done(), done);
    }

    override _writev(chunks: { chunk: Uint8Array }[], done: (error?: Error) => void): void {
      const all = Buffer.concat(chunks.map(({ chunk }) => chunk));
      this.#transfers.write(all, {}).then(() => done(), done);
    }

    override _final(done: (error?: Error) => void): void {
      const end = (): Task<undefined> => run(netKernels.end, {}, this.#transfers.socket);
      // Not in the midst of a writeAll, which reports its failure itself.
      const writing = this.#transfers.writing;
      const ended = writing === undefined ? end() : writing.then(end, end);
      ended.then(() => done(), done);
    }

    override _destroy(error: Error | null, done: (error: Error | null) => void): void {
      // Leaving a loop over it is no failure, though Node makes one of it: what was written before
      // must not be lost by a reset.
      const { code } = (error ?? {}) as { code?: string };
      this.#transfers.close(error !== null && code !== 'ABORT_ERR');
      done(error);
    }
  };
}

let StreamConn: ReturnType<typeof makeClass> | undefined;

export function connOf(socket: Socket): Conn {
  StreamConn ??= makeClass();
  return new StreamConn(socket);
}

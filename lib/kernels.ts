// The built-in native tasks, with their types. A kernel is an object that names a C++ function.
import { binding } from './binding.js';
import type { Channel } from './channel.js';
import { HeddleError } from './errors.js';
import type { Socket } from './socket.js';

declare const signature: unique symbol;

/** A native task: takes `A`, gives `R`. Runs on a fiber, or on a thread with `on: 'thread'`. */
export interface Kernel<A extends unknown[], R> {
  readonly name: string;
  readonly [signature]: (...args: A) => R;
}

/** Bytes that a kernel reads. They are copied once, when the task is spawned. */
export type BytesLike = ArrayBufferView | ArrayBuffer;

class NativeKernel<A extends unknown[], R> implements Kernel<A, R> {
  declare readonly [signature]: (...args: A) => R;
  constructor(
    readonly name: string,
    readonly id: number,
    readonly takesArguments: boolean,
    readonly stack: 'compact' | 'standard',
    /** Bits of the arguments that may be anything, and of those that are handles. */
    readonly any: number,
    readonly handles: number,
  ) {}
}

const infos = binding.kernels();

function kernel<A extends unknown[], R>(name: string): Kernel<A, R> {
  const id = infos.findIndex((info) => info.name === name);
  const info = infos[id];
  if (info === undefined) throw new HeddleError('ERR_HEDDLE_LOAD', `the addon has no ${name}`);
  const { argumentCount, stack, any, handles } = info;
  return Object.freeze(new NativeKernel<A, R>(name, id, argumentCount > 0, stack, any, handles));
}

export const kernels = Object.freeze({
  /** Does nothing. */
  noop: kernel<[], undefined>('noop'),
  /** Sleeps `ms` milliseconds on its fiber; never early, negative at once, Infinity for ever. */
  sleep: kernel<[ms: number], undefined>('sleep'),
  /** Computes for `ms` milliseconds and gives its turns; a hog, unless it makes checkpoints. */
  spin: kernel<[ms: number, checkpoints?: boolean], number>('spin'),
  /** The n-th Fibonacci number by naive recursion, n stack frames deep. */
  fib: kernel<[n: number], number>('fib'),
  /** The SHA-256 digest, 32 bytes. */
  sha256: kernel<[bytes: BytesLike], Uint8Array>('sha256'),
  /** CRC-32 as in gzip and PNG, 0 to 2³²−1. */
  crc32: kernel<[bytes: BytesLike], number>('crc32'),
  /** The contents of a file; fails like `fs.readFile`, with `code`, `errno`, `syscall`, `path`. */
  readFile: kernel<[path: string], Uint8Array>('readFile'),
  /** Gives its argument back, after a copy in each direction. */
  echo: kernel<[value?: unknown], unknown>('echo'),
  /** Sends 0 to count−1, then closes the channel if asked to; gives the count. */
  produce: kernel<[to: Channel<number>, count: number, close?: boolean], number>('produce'),
  /** Receives until the channel is closed; gives how many values came. */
  consume: kernel<[from: Channel<unknown>], number>('consume'),
  /**
   * Passes on what comes, until `from` is closed, then closes `to` if asked to; gives the count.
   */
  relay: kernel<[from: Channel<unknown>, to: Channel<unknown>, close?: boolean], number>('relay'),
  /** Answers each value on the other channel, until `from` is closed; gives the count. */
  pingPong: kernel<[from: Channel<unknown>, to: Channel<unknown>], number>('pingPong'),
  /** Sends the SHA-256 digest of each of the bytes that come, in order; else like `relay`. */
  mapBytes: kernel<[from: Channel<Uint8Array>, to: Channel<Uint8Array>, close?: boolean], number>(
    'mapBytes',
  ),
  /** Throws: what becomes of a kernel’s exceptions. */
  fail: kernel<[message: string | number], never>('fail'),
});

/** What sockets are done with; not for users. */
export const netKernels = {
  listen: kernel<[endpoint: string, backlog: number, flags: number], Socket>('listen'),
  adopt: kernel<[descriptor: number], Socket>('adopt'),
  dial: kernel<[endpoint: string], Socket>('dial'),
  accept: kernel<[listener: Socket], Socket>('accept'),
  read: kernel<[connection: Socket, most: number], Uint8Array>('read'),
  write: kernel<[connection: Socket, bytes: BytesLike], undefined>('write'),
  end: kernel<[connection: Socket], undefined>('end'),
  echoServer: kernel<[listener: Socket], number>('echoServer'),
  proxyServer: kernel<[listener: Socket, endpoint: string], number>('proxyServer'),
};

export function nativeKernel(target: unknown): NativeKernel<unknown[], unknown> | undefined {
  return target instanceof NativeKernel ? target : undefined;
}

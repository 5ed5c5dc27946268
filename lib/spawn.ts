// spawn: checks everything, makes the promise, and hands the task to native code.
import { binding, SpawnFlags } from './binding.js';
import { callNative, describe, HeddleError } from './errors.js';
import { nativeKernel } from './kernels.js';
import type { Kernel } from './kernels.js';
import { createTask, discardTask, followSignal } from './task.js';
import type { Task, TaskPromise } from './task.js';

export interface SpawnOptions {
  /** For reports and snapshots; default: the kernel's name. */
  name?: string;
  /** Cancels the task; its reason is the rejection. */
  signal?: AbortSignal;
  /** Runs it on a fresh OS thread of its own, for comparison. Default: on a fiber. */
  on?: 'thread';
}

export interface KernelOptions extends SpawnOptions {
  /**
   * `compact`: parked frames are copied, a few hundred bytes; `standard`: a stack of its own once it
   * parks; a number: a stack of that many bytes, 4 KiB to 1 GiB, rounded up to a power of two.
   */
  stack?: 'compact' | 'standard' | number;
  /** Keeps the task on one OS thread. Not for compact ones. */
  lockToThread?: boolean;
  /** Bytes of stack, on a fiber like a number in `stack`, on a thread the thread's. */
  stackSize?: number;
}

const kMinStackBytes = 4096;
const kMaxStackBytes = 2 ** 30;
const kNoArguments: never[] = [];

function stackBytes(value: number, option: string): number {
  if (typeof value !== 'number' || !(value >= kMinStackBytes && value <= kMaxStackBytes)) {
    throw new HeddleError(
      'ERR_HEDDLE_OPTION',
      `${option}: expected a number of bytes from ${kMinStackBytes} to ${kMaxStackBytes}, ` +
        `got ${describe(value)}`,
    );
  }
  return Math.ceil(value);
}

function refuse(option: string, expected: string, got: unknown): never {
  throw new HeddleError(
    'ERR_HEDDLE_OPTION',
    `${option}: expected ${expected}, got ${describe(got)}`,
  );
}

/** Bytes of stack (0 = default) and flags, as native code takes them. */
function readStack(options: KernelOptions, compactByDefault: boolean): [number, number] {
  const { stack, stackSize, lockToThread, on } = options;
  if (on !== undefined && on !== 'thread') refuse('on', "'thread'", on);
  if (lockToThread !== undefined && typeof lockToThread !== 'boolean') {
    refuse('lockToThread', 'a boolean', lockToThread);
  }
  let bytes = stackSize === undefined ? 0 : stackBytes(stackSize, 'stackSize');
  let compact = compactByDefault && bytes === 0 && lockToThread !== true;
  if (typeof stack === 'number') {
    bytes = stackBytes(stack, 'stack');
    compact = false;
  } else if (stack === 'compact' || stack === 'standard') {
    compact = stack === 'compact';
  } else if (stack !== undefined) {
    refuse('stack', "'compact', 'standard' or a number of bytes", stack);
  }
  if (compact && lockToThread === true) {
    refuse('lockToThread', 'a standard stack, since a compact fiber cannot keep a thread', true);
  }
  if (compact && bytes !== 0) refuse('stackSize', "nothing beside stack: 'compact'", bytes);
  const flags =
    (compact ? SpawnFlags.compact : 0) |
    (lockToThread === true ? SpawnFlags.lockToThread : 0) |
    (on === 'thread' ? SpawnFlags.onThread : 0);
  return [bytes, flags];
}

function checkSignal(signal: unknown): void {
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    refuse('signal', 'an AbortSignal', signal);
  }
}

/** A task that never ran, because its signal had fired before. */
export function abortedTask<T>(name: string, signal: AbortSignal): TaskPromise<T> {
  const task = createTask<T>(name);
  discardTask(task as TaskPromise<unknown>);
  task.ending = 'cancelled';
  task.catch(() => {});
  task.reject(signal.reason);
  return task;
}

function targetError(target: unknown): HeddleError {
  return new HeddleError('ERR_HEDDLE_TARGET', `expected a kernel, got ${describe(target)}`);
}

function spawnWithOptions(options: KernelOptions, target: unknown, args: unknown[]): Task<unknown> {
  const kernel = nativeKernel(target);
  if (kernel === undefined) throw targetError(target);
  const { name, signal } = options;
  if (name !== undefined && typeof name !== 'string') refuse('name', 'a string', name);
  checkSignal(signal);
  const [bytes, flags] = readStack(options, kernel.compact);
  if (signal?.aborted) return abortedTask(name ?? kernel.name, signal);
  const task = createTask<unknown>(name ?? kernel.name);
  try {
    callNative(() => binding.spawnWith(kernel.id, task.slot, args, bytes, flags, name));
  } catch (error) {
    discardTask(task);
    throw error;
  }
  if (signal !== undefined) followSignal(task, signal);
  return task;
}

/**
 * Starts a native task and gives a promise of its result. Wrong targets, options and arguments throw
 * a {@link HeddleError} before anything is queued.
 *
 * @example
 * const digest = await spawn(kernels.sha256, bytes);
 * const onThread = await spawn({ on: 'thread', stackSize: 1 << 20 }, kernels.fib, 40);
 */
export function spawn<A extends unknown[], R>(target: Kernel<A, R>, ...args: A): Task<R>;
export function spawn<A extends unknown[], R>(
  options: KernelOptions,
  target: Kernel<A, R>,
  ...args: A
): Task<R>;
export function spawn(first: unknown, ...rest: unknown[]): Task<unknown> {
  const kernel = nativeKernel(first);
  if (kernel === undefined) {
    if (typeof first !== 'object' || first === null) throw targetError(first);
    return spawnWithOptions(first as KernelOptions, rest[0], rest.slice(1));
  }
  const task = createTask<unknown>(kernel.name);
  try {
    if (rest.length === 0) {
      // The fast path checks nothing: a kernel that wants arguments goes the long way below.
      if (kernel.takesNothing) binding.spawn(kernel.id, task.slot);
      else callNative(() => spawnDefault(kernel.id, task.slot, kNoArguments, kernel.compact));
    } else {
      callNative(() => spawnDefault(kernel.id, task.slot, rest, kernel.compact));
    }
  } catch (error) {
    discardTask(task);
    throw error;
  }
  return task;
}

function spawnDefault(id: number, slot: number, args: unknown[], compact: boolean): void {
  binding.spawnWith(id, slot, args, 0, compact ? SpawnFlags.compact : 0, undefined);
}

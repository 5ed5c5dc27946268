// spawn: one word for native tasks, tasks of modules and functions.
import { nativeKernel } from './kernels.js';
import type { Kernel } from './kernels.js';
import { spawnKernel, spawnKernelWith } from './spawn-kernel.js';
import { kKernelOptions, kTaskOptions, refuseOthers } from './spawn-options.js';
import type { KernelOptions, SpawnOptions, TaskOptions } from './spawn-options.js';
import { spawnTask, taskTarget } from './spawn-task.js';
import { targetError } from './target.js';
import type { Target } from './target.js';
import type { StreamTask } from './stream.js';
import type { Task } from './task.js';
import type { ResultOf, TaskFn, TaskRef } from './tasks.js';

/** What a function gives when it is spawned: a stream if it is a generator. */
export type Spawned<R> =
  R extends AsyncGenerator<infer V, unknown, unknown>
    ? StreamTask<V>
    : R extends Generator<infer V, unknown, unknown>
      ? StreamTask<V>
      : Task<ResultOf<R>>;

/**
 * Starts a task and gives a promise of its result: a kernel on a fiber; a task of
 * {@link defineTasks}, or a function that closes over nothing, in another isolate, with its context
 * as the first argument. A generator gives a task that can be iterated. Wrong targets, options and
 * arguments throw a {@link HeddleError} before anything is queued.
 *
 * @example
 * const digest = await spawn(kernels.sha256, bytes);
 * const onThread = await spawn({ on: 'thread', stackSize: 1 << 20 }, kernels.fib, 40);
 * const small = await spawn(tasks.resize, move(image), 640);
 * const sum = await spawn((ctx, n: number) => n * (n + 1) / 2, 100);
 */
export function spawn<A extends unknown[], R>(target: Kernel<A, R>, ...args: A): Task<R>;
export function spawn<A extends unknown[], R>(target: TaskRef<A, R>, ...args: A): Task<R>;
export function spawn<A extends unknown[], R>(
  target: TaskRef<A, R, true>,
  ...args: A
): StreamTask<R>;
export function spawn<A extends unknown[], R>(target: TaskFn<A, R>, ...args: A): Spawned<R>;
export function spawn<A extends unknown[], R>(target: Target<A, R>, ...args: A): Task<R>;
export function spawn<A extends unknown[], R>(
  options: KernelOptions,
  target: Kernel<A, R>,
  ...args: A
): Task<R>;
export function spawn<A extends unknown[], R>(
  options: TaskOptions,
  target: TaskRef<A, R>,
  ...args: A
): Task<R>;
export function spawn<A extends unknown[], R>(
  options: TaskOptions,
  target: TaskRef<A, R, true>,
  ...args: A
): StreamTask<R>;
export function spawn<A extends unknown[], R>(
  options: TaskOptions,
  target: TaskFn<A, R>,
  ...args: A
): Spawned<R>;
export function spawn<A extends unknown[], R>(
  options: SpawnOptions,
  target: Target<A, R>,
  ...args: A
): Task<R>;
export function spawn(first: unknown, ...rest: unknown[]): Task<unknown> {
  const kernel = nativeKernel(first);
  if (kernel !== undefined) return spawnKernel(kernel, rest);
  const target = taskTarget(first);
  if (target !== undefined) return spawnTask(target, rest);
  if (typeof first !== 'object' || first === null || Array.isArray(first)) throw targetError(first);
  return spawnWith(first, rest[0], rest.slice(1));
}

function spawnWith(options: object, target: unknown, args: unknown[]): Task<unknown> {
  const kernel = nativeKernel(target);
  if (kernel !== undefined) {
    refuseOthers(options, kTaskOptions, 'a kernel');
    return spawnKernelWith(options, kernel, args);
  }
  const task = taskTarget(target);
  if (task !== undefined) {
    refuseOthers(options, kKernelOptions, 'a task of JavaScript');
    return spawnTask(task, args, options);
  }
  throw targetError(target);
}

// What can be run: by spawn, in a pool, in a group. One type and one check for all of them.
import { describe, HeddleError } from './errors.js';
import type { IsolateSet } from './isolates.js';
import { nativeKernel } from './kernels.js';
import type { Kernel } from './kernels.js';
import { spawnKernel, spawnKernelWith } from './spawn-kernel.js';
import { kTaskOptions, refuseOthers } from './spawn-options.js';
import type { TaskOptions } from './spawn-options.js';
import { readPlan, startTask, taskTarget } from './spawn-task.js';
import type { Limiter } from './spawn-task.js';
import type { Task } from './task.js';
import type { TaskFn, TaskRef } from './tasks.js';

/** Takes `A`, gives `R`: a kernel, a task of a module, or a function that closes over nothing. */
export type Target<A extends unknown[], R> =
  Kernel<A, R> | TaskRef<A, R> | TaskFn<A, R | Promise<R>>;

export function isTarget(value: unknown): boolean {
  return nativeKernel(value) !== undefined || taskTarget(value) !== undefined;
}

/** Whether it gives a stream. */
export function isStream(value: unknown): boolean {
  return taskTarget(value)?.isGenerator === true;
}

export function targetError(target: unknown): HeddleError {
  return new HeddleError(
    'ERR_HEDDLE_TARGET',
    `expected a kernel, a task or a function, got ${describe(target)}`,
  );
}

/** Starts one target over and over. */
export type Starter<R> = (args: unknown[], options: TaskOptions | undefined) => Task<R>;

/**
 * `set`: where it is started if it is a task of JavaScript; and how many at once, how long. Throws
 * what is wrong with the limits.
 */
export function starterOf<A extends unknown[], R>(
  target: Target<A, R>,
  set: () => IsolateSet,
  limiter: Limiter,
  limits: TaskOptions,
): Starter<R> {
  const kernel = nativeKernel(target);
  if (kernel !== undefined) {
    refuseOthers(limits, kTaskOptions, 'a kernel');
    return (args, options) =>
      (options === undefined
        ? spawnKernel(kernel, args)
        : spawnKernelWith(options, kernel, args)) as Task<R>;
  }
  const task = taskTarget(target);
  if (task === undefined) throw targetError(target);
  const plain = readPlan(limits, limiter);
  return (args, options) => {
    const plan = options === undefined ? plain : readPlan({ ...limits, ...options }, limiter);
    return startTask(set(), task, args, plan) as Task<R>;
  };
}

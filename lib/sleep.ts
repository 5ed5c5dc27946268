import { binding } from './binding.js';
import { callNative, describe, HeddleError } from './errors.js';
import { abortedTask } from './spawn.js';
import { createTask, discardTask, followSignal } from './task.js';
import type { Task } from './task.js';

/**
 * Settles after `ms` milliseconds: never early, unmoved by wall-clock jumps; at once if negative,
 * never if Infinity. A timer of the native runtime, so it is exact while JavaScript is busy.
 */
export function sleep(ms: number, options: { signal?: AbortSignal } = {}): Task<undefined> {
  if (typeof ms !== 'number' || Number.isNaN(ms)) {
    throw new HeddleError(
      'ERR_HEDDLE_ARGUMENT',
      `sleep: expected a number of milliseconds, got ${describe(ms)}`,
    );
  }
  const { signal } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new HeddleError(
      'ERR_HEDDLE_OPTION',
      `signal: expected an AbortSignal, got ${describe(signal)}`,
    );
  }
  if (signal?.aborted) return abortedTask('sleep', signal);
  const task = createTask<undefined>('sleep');
  try {
    callNative(() => binding.sleep(task.slot, ms));
  } catch (error) {
    discardTask(task);
    throw error;
  }
  if (signal !== undefined) followSignal(task, signal);
  return task;
}

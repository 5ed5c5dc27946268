import { binding } from './binding.js';
import { describe, HeddleError } from './errors.js';
import { refuse } from './refuse.js';
import { checkSignal } from './signals.js';
import { TaskPromise } from './task.js';
import type { Task } from './task.js';

/**
 * Settles after `ms` milliseconds: never early, unmoved by wall-clock jumps; at once if negative,
 * never if Infinity, which does not keep the process alive. A timer of the native runtime, so it is
 * exact while JavaScript is busy.
 */
export function sleep(ms: number, options: { signal?: AbortSignal } = {}): Task<undefined> {
  if (typeof ms !== 'number' || Number.isNaN(ms)) {
    throw new HeddleError(
      'ERR_HEDDLE_ARGUMENT',
      `sleep: expected a number of milliseconds, got ${describe(ms)}`,
    );
  }
  if (typeof options !== 'object' || options === null) refuse('options', 'an object', options);
  const { signal } = options;
  checkSignal(signal);
  return TaskPromise.start('sleep', signal, (slot) => binding.sleep(slot, ms));
}

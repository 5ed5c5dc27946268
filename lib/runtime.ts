import { binding } from './binding.js';
import type { NativeStats } from './binding.js';
import { describe, HeddleError } from './errors.js';

const kMaxProcessors = 256;

/** Counters of the whole runtime; times in nanoseconds, sizes in bytes. */
export type RuntimeStats = NativeStats;

/** The one runtime of the process, shared by all its isolates. */
export const runtime = {
  /**
   * How many fibers may run at once, 1 to 256; default: the CPUs that this process may use
   * (affinity and cgroup quota). May be set at any time; fibers that run are not interrupted.
   */
  get processors(): number {
    return binding.getProcessors();
  },
  set processors(count: number) {
    if (!Number.isInteger(count) || count < 1 || count > kMaxProcessors) {
      throw new HeddleError(
        'ERR_HEDDLE_OPTION',
        `processors: expected an integer from 1 to ${kMaxProcessors}, got ${describe(count)}`,
      );
    }
    binding.setProcessors(count);
  },
  /** One picture of the counters. Starts nothing. */
  stats(): RuntimeStats {
    return binding.stats();
  },
};

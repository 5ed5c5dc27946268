import { binding } from './binding.js';
import type { NativeStats } from './binding.js';
import { describe, HeddleError } from './errors.js';
import { isolateCount, isolateStats, setIsolateCount } from './isolates.js';
import type { IsolateStats } from './isolates.js';

const kMaxProcessors = 256;

/** Counters of the whole runtime; times in nanoseconds, sizes in bytes. */
export interface RuntimeStats extends NativeStats {
  /** Tasks of JavaScript that wait for an isolate. */
  queuedTasks: number;
  /** The isolates of those that all share. */
  isolates: IsolateStats[];
}

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
  /**
   * How many isolates may run tasks of JavaScript, 1 to 256; default: the CPUs that this process
   * may use. They are started when tasks wait for one, and end when they have long been idle.
   */
  get isolates(): number {
    return isolateCount();
  },
  set isolates(count: number) {
    setIsolateCount(count);
  },
  /** One picture of the counters. Starts nothing. */
  stats(): RuntimeStats {
    const { queued, isolates } = isolateStats();
    return { ...binding.stats(), queuedTasks: queued, isolates };
  },
};

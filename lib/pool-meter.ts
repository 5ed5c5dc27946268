// What a pool counts and how it takes the time.
import { createHistogram } from 'node:perf_hooks';
import type { RecordableHistogram } from 'node:perf_hooks';
import { kResolved } from './waits.js';

/** How durations are spread, in milliseconds; the percentiles within one percent. 0: none yet. */
export interface Spread {
  readonly min: number;
  readonly mean: number;
  readonly max: number;
  readonly p50: number;
  readonly p99: number;
}

const kNsPerMs = 1e6;
/** About 28 hours; longer ones count as that. */
const kLongestNs = 1e14;

let batchMs = 0;
let isFresh = false;
const expire = (): void => {
  isFresh = false;
};

/**
 * The time, in milliseconds as of performance.now(), taken once for the results that arrive in one
 * batch: their reactions run one after the other, and ahead of what is queued here.
 */
export function batchTimeMs(): number {
  if (isFresh) return batchMs;
  isFresh = true;
  batchMs = performance.now();
  void kResolved.then(expire);
  return batchMs;
}

class Durations {
  // Made when it is needed: it takes 40 KB.
  #histogram: RecordableHistogram | undefined;

  record(ms: number): void {
    this.#histogram ??= createHistogram({ lowest: 1, highest: kLongestNs, figures: 2 });
    this.#histogram.record(Math.min(Math.max(Math.round(ms * kNsPerMs), 1), kLongestNs));
  }

  get spread(): Spread {
    const histogram = this.#histogram;
    if (histogram === undefined) return { min: 0, mean: 0, max: 0, p50: 0, p99: 0 };
    return {
      min: histogram.min / kNsPerMs,
      mean: histogram.mean / kNsPerMs,
      max: histogram.max / kNsPerMs,
      p50: histogram.percentile(50) / kNsPerMs,
      p99: histogram.percentile(99) / kNsPerMs,
    };
  }
}

export class PoolMeter {
  completed = 0;
  failed = 0;
  cancelled = 0;
  dropped = 0;
  rejected = 0;
  readonly #wait = new Durations();
  readonly #run = new Durations();
  #busyMs = 0;
  // Time by places, up to the last change of their number.
  #placeMs = 0;
  #sinceMs = performance.now();

  waited(ms: number): void {
    this.#wait.record(ms);
  }

  ran(ms: number): void {
    this.#run.record(ms);
    this.#busyMs += ms;
  }

  /** Before the number of places changes. */
  endPlaces(count: number): void {
    const nowMs = performance.now();
    this.#placeMs += (nowMs - this.#sinceMs) * count;
    this.#sinceMs = nowMs;
  }

  get wait(): Spread {
    return this.#wait.spread;
  }

  get run(): Spread {
    return this.#run.spread;
  }

  /** The part of `count` places that was in use; `startedMs`: of the runs in progress. */
  utilisation(count: number, startedMs: Iterable<number>): number {
    this.endPlaces(count);
    let busyMs = this.#busyMs;
    for (const each of startedMs) busyMs += this.#sinceMs - each;
    return this.#placeMs <= 0 ? 0 : Math.min(Math.max(busyMs / this.#placeMs, 0), 1);
  }
}

// Pools: what a user sees of them, and the checks of what they are given.
import { availableParallelism } from 'node:os';
import { Context } from './context.js';
import { describe, HeddleError } from './errors.js';
import { PoolCore } from './pool-core.js';
import type { RunSettings } from './pool-core.js';
import { PoolMap } from './pool-map.js';
import type { AnyIterable } from './pool-map.js';
import type { Spread } from './pool-meter.js';
import { kMostPriority } from './pool-queue.js';
import { refuse, wholeNumber } from './refuse.js';
import { checkSignal, signalOf } from './signals.js';
import type { WaitOptions } from './signals.js';
import type { IsolateOptions, IsolateStats } from './isolates.js';
import { PoolIsolates } from './pool-isolates.js';
import type { TaskOptions } from './spawn-options.js';
import { isStream, isTarget, starterOf, targetError } from './target.js';
import type { Target } from './target.js';
import { memoryLimit } from './water-level.js';

const kMostRuns = 2 ** 31 - 1;
/** The longest timer of Node: more would fire at once. */
const kMostMs = 2 ** 31 - 1;
const kDefaultQueue = 1024;
const kDefaultCloseMs = 10_000;

/** With `resourceLimits`, `env` or `execArgv` it has isolates of its own. */
export interface PoolOptions extends IsolateOptions {
  /** The most runs in progress, 1 to 2³¹−1. Default: `os.availableParallelism()`. */
  concurrency?: number;
  /** What remains of it when little is to be done or memory is short. Default: 1. */
  min?: number;
  /** The most runs that wait for a place, from 0; Infinity: any number. Default: 1024. */
  queue?: number;
  /**
   * What becomes of a run that finds the queue full. `reject`, the default: it is rejected with
   * ERR_HEDDLE_QUEUE_FULL. `dropOldest`: it takes the place of the oldest of those with the lowest
   * priority, itself included, which is rejected with ERR_HEDDLE_DROPPED.
   */
  overflow?: 'reject' | 'dropOldest';
  /** Cancels a run so many milliseconds after its call, 0 to 2³¹−1, with a TimeoutError. */
  deadline?: number;
  /** As those of spawn, for a task of JavaScript: how long each may run, from its start on. */
  timeout?: number;
  kill?: boolean;
  /** For reports, and the name of its tasks. Default: that of the target. */
  name?: string;
  /** How long `close` and disposal wait for runs, in milliseconds, or Infinity. Default: 10 000. */
  closeDeadline?: number;
  /**
   * How many runs of a task of JavaScript an isolate may have started, from 1. Default: 1, for
   * tasks that compute; more for those that mostly wait.
   */
  perIsolate?: number;
  /** Its own isolates end after so many milliseconds without work. Default: 10 000. */
  idleTimeout?: number;
  adapt?: {
    /**
     * Bytes; true: the limit of the cgroup or, without one, the machine's memory. Once the resident
     * memory of the process, asked every 100 ms, has come to 80 % of that, half of `concurrency`
     * starts; to 90 %, a quarter; never less than `min`. Runs in progress go on.
     */
    memory?: number | true;
  };
}

export interface RunOptions {
  /** Cancels the run, in the queue or in progress; its reason is the rejection. */
  signal?: AbortSignal;
  /** Cancels the run when the context is done, with its reason; the task runs under it. */
  context?: Context;
  /** Runs of a higher one start first, −100 to 100. Default: 0. */
  priority?: number;
  /** As that of the pool, instead of it. */
  deadline?: number;
}

export interface MapOptions extends WaitOptions {
  /** Results in the order of their inputs, the default, or in the order in which they come. */
  ordered?: boolean;
  /** How many inputs beyond `concurrency` are pulled ahead of the consumer. Default: 0. */
  buffer?: number;
}

export interface CloseOptions {
  /** How long to wait for the runs in progress, in milliseconds, or Infinity. */
  deadline?: number;
}

/** Each run is counted once: as queued, as running, or as what became of it. */
export interface PoolStats {
  readonly name: string;
  /** Runs that wait for a place. */
  readonly queued: number;
  readonly running: number;
  readonly completed: number;
  readonly failed: number;
  /** By their signal, context or deadline, by the end of their map, or by `close`. */
  readonly cancelled: number;
  /** For a later one, under `dropOldest`. */
  readonly dropped: number;
  /** As the queue was full, or the pool closed. */
  readonly rejected: number;
  /** In effect now: what the runs at hand ask for, from `min` to what memory allows. */
  readonly concurrency: number;
  /** From the call of `run` to its start, in milliseconds; inputs of maps do not wait. */
  readonly wait: Spread;
  /** From the start to the end, in milliseconds. */
  readonly run: Spread;
  /** The part of its places that was in use since it was made, 0 to 1. */
  readonly utilisation: number;
  /** Those that its runs of JavaScript share, or its own ones. */
  readonly isolates: readonly IsolateStats[];
}

/** What a map can be made of: inputs with which alone the target can be called. */
export type MapInputs<A extends unknown[]> = [A[0]] extends A
  ? AnyIterable<A[0]>
  : { readonly error: 'map needs a target that can be called with one argument' };

function checkObject(options: unknown, name: string): void {
  if (typeof options !== 'object' || options === null) refuse(name, 'an object', options);
}

function deadlineOf(value: unknown, name: string): number | undefined {
  return value === undefined ? undefined : wholeNumber(value, name, 0, kMostMs);
}

function sizesOf({ min, concurrency }: PoolOptions): { least: number; concurrency: number } {
  const usual = Math.max(availableParallelism(), typeof min === 'number' ? min : 1);
  const most = concurrency === undefined ? usual : concurrency;
  wholeNumber(most, 'concurrency', 1, kMostRuns);
  return {
    least: min === undefined ? 1 : wholeNumber(min, 'min', 0, most),
    concurrency: most,
  };
}

function timeLimits({ timeout, kill }: PoolOptions): TaskOptions {
  const limits: TaskOptions = {};
  if (timeout !== undefined) limits.timeout = timeout;
  if (kill !== undefined) limits.kill = kill;
  return limits;
}

function closeDeadlineOf(value: unknown, name: string): number {
  return value === Infinity ? Infinity : wholeNumber(value, name, 0, kMostMs);
}

function memoryBytesOf(adapt: PoolOptions['adapt']): number | undefined {
  if (adapt === undefined) return undefined;
  checkObject(adapt, 'adapt');
  const { memory } = adapt;
  if (memory === undefined) return undefined;
  if (memory === true) return memoryLimit();
  return wholeNumber(memory, 'adapt.memory', 1, Number.MAX_SAFE_INTEGER);
}

/**
 * Runs one target over and over, a limited number at a time, with a limited queue before it. It
 * holds nothing but its runs, so a pool that is idle keeps no process alive.
 *
 * Arguments are taken when a run starts: bytes that wait in the queue are still yours to change,
 * and those that `move` gives away are gone only then. An argument that the target does not take
 * rejects the run.
 *
 * @example
 * const pool = new Pool(kernels.sha256, { concurrency: 8 });
 * for await (const digest of pool.map(files)) console.log(digest);
 * await pool.close();
 */
export class Pool<A extends unknown[], R> implements AsyncDisposable {
  readonly name: string;
  readonly #core: PoolCore<A, R>;
  readonly #isolates: PoolIsolates;
  readonly #least: number;
  readonly #deadlineMs: number | undefined;
  readonly #closeMs: number;

  constructor(target: Target<A, R>, options: PoolOptions = {}) {
    if (!isTarget(target)) throw targetError(target);
    if (isStream(target)) refuse('target', 'a task with one result', 'a generator');
    checkObject(options, 'options');
    const { name, overflow = 'reject', queue = kDefaultQueue } = options;
    if (name !== undefined && typeof name !== 'string') refuse('name', 'a string', name);
    const { least, concurrency } = sizesOf(options);
    if (overflow !== 'reject' && overflow !== 'dropOldest') {
      refuse('overflow', "'reject' or 'dropOldest'", overflow);
    }
    const leastQueue = overflow === 'dropOldest' ? 1 : 0;
    if (queue !== Infinity) wholeNumber(queue, 'queue', leastQueue, kMostRuns);
    const { deadline, closeDeadline = kDefaultCloseMs, adapt } = options;
    this.name = name ?? (target.name === '' ? '(anonymous)' : target.name);
    this.#least = least;
    this.#deadlineMs = deadlineOf(deadline, 'deadline');
    this.#closeMs = closeDeadlineOf(closeDeadline, 'closeDeadline');
    const memoryBytes = memoryBytesOf(adapt);
    this.#isolates = new PoolIsolates(target, options, concurrency);
    this.#core = new PoolCore<A, R>(
      starterOf(target, () => this.#isolates.set, this.#isolates.limiter, timeLimits(options)),
      {
        title: `pool ${this.name}`,
        name,
        least,
        concurrency,
        queueLength: queue,
        dropsOldest: overflow === 'dropOldest',
        memoryBytes,
        isolates: this.#isolates,
      },
    );
  }

  /** The most runs in progress. Runs beyond a lower number go on; a higher one starts more. */
  get concurrency(): number {
    return this.#core.concurrency;
  }

  set concurrency(count: number) {
    const least = Math.max(this.#least, 1);
    this.#isolates.concurrency = wholeNumber(count, 'concurrency', least, kMostRuns);
    this.#core.concurrency = count;
  }

  get closed(): boolean {
    return this.#core.closed !== undefined;
  }

  /**
   * Settles when the pool has room for another run: a place, or one in the queue. Producers that
   * run once directly after it are never refused, however many there are.
   *
   * @example
   * for (const job of jobs) {
   *   await pool.ready();
   *   pool.run(job).catch(report);
   * }
   */
  ready(options?: WaitOptions): Promise<void> {
    return this.#core.ready(signalOf(options));
  }

  /**
   * Runs the target, now or when it is its turn. Rejects with what the task throws, as it is; with
   * ERR_HEDDLE_QUEUE_FULL, ERR_HEDDLE_DROPPED, ERR_HEDDLE_POOL_CLOSED; or with a TimeoutError.
   */
  run(...args: A): Promise<R> {
    if (this.#deadlineMs === undefined) return this.#core.run(args, undefined);
    return this.runWith({}, ...args);
  }

  /**
   * The same with options of its own. A run whose signal fires leaves the queue at once.
   *
   * @example
   * await pool.runWith({ signal, priority: 10, deadline: 500 }, bytes);
   */
  runWith(options: RunOptions, ...args: A): Promise<R> {
    checkObject(options, 'options');
    const { signal, context, priority = 0, deadline } = options;
    checkSignal(signal);
    if (context !== undefined && !(context instanceof Context)) {
      refuse('context', 'a Context', context);
    }
    const settings: RunSettings = {
      priority: wholeNumber(priority, 'priority', -kMostPriority, kMostPriority),
      deadlineMs: deadlineOf(deadline, 'deadline') ?? this.#deadlineMs,
      signal,
      context,
    };
    return this.#core.run(args, settings);
  }

  /**
   * The results of all inputs. Inputs are pulled as they are needed: at most concurrency + `buffer`
   * ahead of the consumer. They are never queued, dropped or refused, and take turns with what is
   * queued; the pool's deadline is not for them. The first failure ends it, as `signal` does: the
   * tasks are cancelled, the inputs are closed, and when all has ended it rejects. To leave the
   * loop does the same without a rejection. An asynchronous input that is being pulled just then
   * is not awaited, since it may never come; its iterator is closed after it.
   *
   * @example
   * for await (const digest of pool.map(files, { ordered: false })) count(digest);
   */
  map(inputs: MapInputs<A>, options: MapOptions = {}): AsyncIterableIterator<R, undefined> {
    const given = inputs as AnyIterable<A[0]>;
    const isIterable =
      given !== undefined &&
      given !== null &&
      (typeof (given as AsyncIterable<A[0]>)[Symbol.asyncIterator] === 'function' ||
        typeof (given as Iterable<A[0]>)[Symbol.iterator] === 'function');
    if (!isIterable) {
      const problem = `${this.name}: expected inputs that can be iterated, got ${describe(inputs)}`;
      throw new HeddleError('ERR_HEDDLE_ARGUMENT', problem);
    }
    const signal = signalOf(options);
    const { ordered = true, buffer = 0 } = options;
    if (typeof ordered !== 'boolean') refuse('ordered', 'a boolean', ordered);
    wholeNumber(buffer, 'buffer', 0, kMostRuns);
    const core = this.#core as unknown as PoolCore<[A[0]], R>;
    return new PoolMap(core, given, { ordered, buffer, signal });
  }

  stats(): PoolStats {
    const { meter, queued, started, wanted, utilisation } = this.#core;
    const { completed, failed, cancelled, dropped, rejected, wait, run } = meter;
    return {
      name: this.name,
      queued,
      running: started,
      completed,
      failed,
      cancelled,
      dropped,
      rejected,
      concurrency: wanted,
      wait,
      run,
      utilisation,
      isolates: this.#isolates.stats(),
    };
  }

  /** Settles as soon as nothing is queued or in progress. */
  drain(options?: WaitOptions): Promise<void> {
    return this.#core.drain(signalOf(options));
  }

  /**
   * Ends the pool. What is queued, and all later runs, reject with ERR_HEDDLE_POOL_CLOSED; runs in
   * progress may end until the deadline, then they are cancelled, which is cooperative, and the
   * close settles whatever they do. May be called again, also with an earlier deadline.
   */
  close(options: CloseOptions = {}): Promise<void> {
    checkObject(options, 'options');
    const { deadline = this.#closeMs } = options;
    const closed = this.#core.close(closeDeadlineOf(deadline, 'deadline'));
    return this.#isolates.areOwn ? closed.then(() => this.#isolates.close()) : closed;
  }

  /**
   * Starts the isolates that `min` asks for, all of those that it may use if that was not given,
   * and loads the task in them, so that the first runs do not wait for that. At once for a kernel.
   * Rejects with ERR_HEDDLE_MODULE if the task's module cannot be loaded.
   */
  warm(): Promise<void> {
    return this.#isolates.warm();
  }

  /** Drains it until `closeDeadline`, then closes it and cancels what is still to be done. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.closed) return this.close();
    if (this.#closeMs === Infinity) return this.drain().then(() => this.close());
    const end = new AbortController();
    const timer = setTimeout(() => end.abort(), this.#closeMs);
    await this.drain({ signal: end.signal }).catch(() => {});
    clearTimeout(timer);
    await this.close({ deadline: 0 });
  }
}

// The isolates of a pool: those that all share, or its own if it asks for limits or an environment.
import { binding, role } from './binding.js';
import { refuse, wholeNumber } from './refuse.js';
import { isolateCount, IsolateSet, kMostIsolates, sharedSet } from './isolates.js';
import type { IsolateOptions, IsolateStats } from './isolates.js';
import { kMostMs } from './spawn-options.js';
import type { PoolOptions } from './pool.js';
import { readPlan, startTask, taskTarget } from './spawn-task.js';
import type { Limiter } from './spawn-task.js';
import { warmText } from './tasks.js';

const kMostPerIsolate = 2 ** 31 - 1;
// Runs that wait in the isolates' queue, so that they find the next one without waiting for this
// isolate: as many as they do while it wakes up, if each takes some microseconds. 10,000 runs of
// 22 us: 44 us each with 16, 38 with 64 and with more.
const kAhead = 64;

function ownOptions({ resourceLimits, env, execArgv }: PoolOptions): IsolateOptions | undefined {
  const options: IsolateOptions = {};
  if (resourceLimits !== undefined) {
    if (typeof resourceLimits !== 'object' || resourceLimits === null) {
      refuse('resourceLimits', 'an object', resourceLimits);
    }
    options.resourceLimits = resourceLimits;
  }
  if (env !== undefined) {
    if (typeof env !== 'object' || env === null) refuse('env', 'an object', env);
    options.env = env;
  }
  if (execArgv !== undefined) {
    if (!Array.isArray(execArgv)) refuse('execArgv', 'an array of strings', execArgv);
    options.execArgv = execArgv;
  }
  return Object.keys(options).length === 0 ? undefined : options;
}

export class PoolIsolates {
  readonly #target: ReturnType<typeof taskTarget>;
  readonly #own: IsolateOptions | undefined;
  readonly limiter: Limiter;
  #concurrency: number;
  readonly #least: number;
  readonly #idleMs: number | undefined;
  #set: IsolateSet | undefined;
  #isClosed = false;

  constructor(target: unknown, options: PoolOptions, concurrency: number) {
    this.#target = taskTarget(target);
    this.#own = ownOptions(options);
    this.#concurrency = concurrency;
    this.#least = options.min ?? 0;
    const { perIsolate = 1, idleTimeout } = options;
    if (idleTimeout !== undefined) wholeNumber(idleTimeout, 'idleTimeout', 0, kMostMs);
    this.#idleMs = idleTimeout;
    wholeNumber(perIsolate, 'perIsolate', 1, kMostPerIsolate);
    this.limiter = { id: binding.newLimiter(), mostStarted: perIsolate };
    if (this.#target === undefined && this.#own !== undefined) {
      refuse(Object.keys(this.#own)[0]!, 'nothing beside a kernel, which runs on fibers', target);
    }
  }

  get areOwn(): boolean {
    return this.#own !== undefined;
  }

  /** Made when it is first asked for. */
  get set(): IsolateSet {
    if (this.#set === undefined) {
      this.#set = this.#own === undefined ? sharedSet() : new IsolateSet(this.#most, this.#own);
      if (this.#own !== undefined && this.#idleMs !== undefined) this.#set.idleMs = this.#idleMs;
      if (this.#own !== undefined && this.#least > 0) {
        this.#set.keep(Math.min(this.#least, this.#most));
      }
    }
    return this.#set;
  }

  /** How many isolates so many runs need. */
  get #most(): number {
    const places = Math.ceil(this.#concurrency / this.limiter.mostStarted);
    return Math.min(places, this.areOwn ? kMostIsolates : isolateCount());
  }

  set concurrency(count: number) {
    this.#concurrency = count;
    if (this.areOwn && this.#set !== undefined) this.#set.most = this.#most;
  }

  /** How many runs its isolates have room for; in a task, which knows only its own, any number. */
  get room(): number {
    if (this.#target === undefined || (role !== undefined && !this.areOwn)) return Infinity;
    return (this.areOwn ? this.#most : isolateCount()) * this.limiter.mostStarted;
  }

  /**
   * How many runs more may wait in their queue, if so many may be started: none, unless it is the
   * isolates that keep them from it.
   */
  ahead(most: number): number {
    return most < this.room ? 0 : kAhead;
  }

  async warm(): Promise<void> {
    const target = this.#target;
    if (target === undefined || this.#isClosed) return;
    const id = binding.functionId(warmText(target.id));
    const task = { id, name: `load ${target.name}`, isGenerator: false };
    const count = this.#least > 0 ? Math.min(this.#least, this.#most) : this.#most;
    const places = Array.from({ length: count }, (_, pin) => pin);
    await Promise.all(places.map((pin) => startTask(this.set, task, [], readPlan({ pin }))));
  }

  stats(): IsolateStats[] {
    return this.#target === undefined || this.#set === undefined ? [] : this.#set.stats().isolates;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#own !== undefined) await this.#set?.close();
  }
}

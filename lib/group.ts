// Groups: tasks that end together.
//
// Always true: when `wait` or the disposal has settled, no task of the group runs; there is one
// reason at most, that of the first failure or of the cancellation before it, and it is the
// rejection. While no task runs, the group listens to nothing, so one that is forgotten is no leak.
import { Context } from './context.js';
import { HeddleError } from './errors.js';
import { refuse, rejected } from './refuse.js';
import { checkSignal, follow, unfollow } from './signals.js';
import type { Follower } from './signals.js';
import { spawn } from './spawn.js';
import type { KernelOptions, SpawnOptions, TaskOptions } from './spawn-options.js';
import { isTarget, targetError } from './target.js';
import type { Target } from './target.js';
import type { Task } from './task.js';
import { kResolved, lastResolver, newPromise } from './waits.js';

export interface GroupOptions {
  /** Cancels all of it; its reason is the rejection. */
  signal?: AbortSignal;
  /** The same when the context is done. Tasks run under it if they have no context of their own. */
  context?: Context;
}

// Whatever the target is: the overloads of spawn are for those who know.
const spawnAny = spawn as <R>(first: unknown, ...rest: unknown[]) => Task<R>;

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/** Made by {@link group}. `R` is what each of its tasks may give. */
export class Group<R = unknown> implements AsyncDisposable, Follower {
  readonly #signals: AbortSignal[] = [];
  readonly #context: Context | undefined;
  readonly #running = new Set<Task<R>>();
  #results: R[] = [];
  #count = 0;
  #reason: [reason: unknown] | undefined;
  #isOver = false;
  #waiting: Promise<R[]> | undefined;
  #resolve: ((outcome: unknown) => void) | undefined;

  /** @internal */
  constructor({ signal, context }: GroupOptions) {
    checkSignal(signal);
    if (context !== undefined && !(context instanceof Context)) {
      refuse('context', 'a Context', context);
    }
    this.#context = context;
    for (const each of [signal, context?.signal]) {
      if (each !== undefined) this.#signals.push(each);
    }
  }

  /**
   * Starts a task of the group, as `spawn` does. Nobody has to await it, for its failure is the
   * group's, and so is its own cancellation, since there is no result then. In a group that has
   * failed or was cancelled it is cancelled before it begins. Throws ERR_HEDDLE_GROUP_CLOSED when
   * `wait` or the disposal has settled; whoever awaits a task of the group is in time to spawn the
   * next one.
   */
  spawn<A extends unknown[], S extends R>(target: Target<A, S>, ...args: A): Task<S>;
  spawn<A extends unknown[], S extends R>(
    options: KernelOptions & TaskOptions,
    target: Target<A, S>,
    ...args: A
  ): Task<S>;
  spawn(first: unknown, ...rest: unknown[]): Task<R> {
    if (this.#isOver) {
      throw new HeddleError('ERR_HEDDLE_GROUP_CLOSED', 'group: expected a live one, got its end');
    }
    this.#lookAtSignals();
    const isPlain = isTarget(first);
    const target = isPlain ? first : rest[0];
    if (!isTarget(target)) throw targetError(isObject(first) ? target : first);
    const options = isPlain ? undefined : first;
    const task = this.#start(
      options,
      target as Target<unknown[], R>,
      isPlain ? rest : rest.slice(1),
    );
    this.#add(task);
    return task;
  }

  #start(given: unknown, target: Target<unknown[], R>, args: unknown[]): Task<R> {
    const isPlain =
      given === undefined && this.#context === undefined && this.#reason === undefined;
    if (isPlain) return spawnAny(target, ...args);
    if (given !== undefined && !isObject(given)) refuse('options', 'an object', given);
    const options: SpawnOptions = { context: this.#context, ...given };
    if (this.#reason !== undefined) options.signal = AbortSignal.abort(this.#reason[0]);
    return spawnAny(options, target, ...args);
  }

  #add(task: Task<R>): void {
    const place = this.#count;
    this.#count += 1;
    if (this.#running.size === 0) for (const each of this.#signals) follow(each, this);
    this.#running.add(task);
    task.then(
      (result) => {
        this.#results[place] = result;
        this.#ended(task);
      },
      (reason: unknown) => {
        this.#end(reason);
        this.#ended(task);
      },
    );
  }

  #ended(task: Task<R>): void {
    this.#running.delete(task);
    if (this.#running.size > 0) return;
    for (const each of this.#signals) unfollow(each, this);
    // Those who await the task go on before that, and may spawn the next one.
    if (this.#waiting !== undefined) void kResolved.then(() => this.#finish());
  }

  /**
   * Cancels all of its tasks, and those that are still to come, with that reason, or an AbortError;
   * without effect after a failure or another cancellation. Returns at once: `wait` tells the end.
   */
  cancel(reason?: unknown): void {
    if (this.#isOver || this.#reason !== undefined) return;
    this.#end(
      reason === undefined ? new DOMException('the group was cancelled', 'AbortError') : reason,
    );
    // The caller's own doing, so nobody has to await it.
    this.#waiting?.catch(() => {});
  }

  #end(reason: unknown): void {
    if (this.#reason !== undefined) return;
    this.#reason = [reason];
    this.#results = [];
    for (const task of this.#running) task.cancel(reason);
  }

  #lookAtSignals(): void {
    const fired = this.#signals.find(({ aborted }) => aborted);
    if (fired !== undefined) this.cancel(fired.reason);
  }

  /**
   * All results, in the order of their spawns, when the last task has ended; tasks may be added
   * until then. Rejects with the first failure, or with the reason of a cancellation, and also only
   * when all tasks have ended. Each call gives the same promise.
   */
  wait(): Promise<R[]> {
    if (this.#waiting !== undefined) return this.#waiting;
    this.#lookAtSignals();
    this.#waiting = newPromise<R[]>();
    this.#resolve = lastResolver();
    this.#finish();
    return this.#waiting;
  }

  #finish(): void {
    if (this.#running.size > 0 || this.#isOver) return;
    this.#isOver = true;
    const results = this.#results;
    this.#results = [];
    this.#resolve!(this.#reason === undefined ? results : rejected(this.#reason[0]));
  }

  /** Cancels what still runs and waits for its end. Does not reject: `wait` does. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isOver) return;
    this.cancel();
    await this.wait().catch(() => {});
  }
}

/**
 * Tasks that end together: the first failure cancels the others, and is what `wait` rejects with
 * when all of them have ended.
 *
 * @example
 * const g = group<Uint8Array>({ signal });
 * for (const file of files) g.spawn(kernels.sha256, file);
 * const digests = await g.wait();
 */
export function group<R = unknown>(options: GroupOptions = {}): Group<R> {
  if (!isObject(options)) refuse('options', 'an object', options);
  return new Group<R>(options);
}

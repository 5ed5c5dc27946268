// The engine of a pool: who runs, who queues, who waits for room.
//
// Always true outside of its methods: nothing is queued, and no source waits, while a place is
// free; at most `queueLength` runs are queued; a run settles exactly once. Places are used again
// with the functions that hear of a task's end, so a run costs no functions of its own.
//
// Rejected: an isolate's or fiber's loop over a shared channel as the worker. Starting a task costs
// less than a channel's round trip, and a task can be cancelled, named and counted.
import type { Context } from './context.js';
import { Deque } from './deque.js';
import { HeddleError } from './errors.js';
import { batchTimeMs, PoolMeter } from './pool-meter.js';
import { PoolQueue, Queued } from './pool-queue.js';
import { rejected } from './refuse.js';
import { follow, unfollow } from './signals.js';
import type { Follower } from './signals.js';
import type { TaskOptions } from './spawn-options.js';
import { rejectedForCaller } from './stacks.js';
import type { Starter } from './target.js';
import type { Task } from './task.js';
import { Waiters } from './waiters.js';
import { kResolved, lastResolver, newPromise } from './waits.js';
import { WaterLevel } from './water-level.js';

/** What hears of the end of a task. */
export interface Served<R> {
  done(value: R): void;
  failed(reason: unknown, isCancelled: boolean): void;
}

/** Something that has inputs of its own, such as a map. */
export interface Source {
  /** A place is free: starts one task, if there is an input. */
  startOne(): void;
  /** The pool has been closed: there is no place for another input, if there is one. */
  refuse(reason: unknown): void;
}

export interface RunSettings {
  readonly priority: number;
  readonly deadlineMs: number | undefined;
  readonly signal: AbortSignal | undefined;
  readonly context: Context | undefined;
}

export interface CoreSettings {
  /** For messages. */
  readonly title: string;
  /** For the tasks; default: that of the target. */
  readonly name: string | undefined;
  readonly least: number;
  readonly concurrency: number;
  readonly queueLength: number;
  readonly dropsOldest: boolean;
  readonly memoryBytes: number | undefined;
  readonly isolates: Room;
}

/** Where runs are started. */
export interface Room {
  /** How many may be started at once. */
  readonly room: number;
  /** How many more may wait there if so many may be started. */
  ahead(most: number): number;
}

const ignore = (): void => {};

function optionsOf(
  name: string | undefined,
  context: Context | undefined,
  priority: number,
): TaskOptions {
  const options: TaskOptions = {};
  if (name !== undefined) options.name = name;
  if (context !== undefined) options.context = context;
  if (priority !== 0) options.priority = priority;
  return options;
}

function expireRun(run: Follower): void {
  run.cancel(new DOMException('the deadline of a run has passed', 'TimeoutError'));
}

/** One call of `run`, from there until it is settled. */
class Run<A extends unknown[], R> extends Queued implements Served<R>, Follower {
  readonly promise: Promise<R> = newPromise<R>();
  readonly #resolve = lastResolver();
  readonly calledMs = performance.now();
  /** Where it runs. */
  place: Place<R> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #signals: AbortSignal[] | undefined;

  constructor(
    readonly args: A,
    readonly context: Context | undefined,
    priority: number,
    readonly leave: (run: Run<A, R>, reason: unknown) => void,
  ) {
    super(priority);
  }

  follow({ signal, context, deadlineMs }: RunSettings): void {
    if (signal !== undefined || context !== undefined) {
      this.#signals = [];
      for (const each of [signal, context?.signal]) {
        if (each === undefined) continue;
        follow(each, this);
        this.#signals.push(each);
      }
    }
    if (deadlineMs !== undefined) {
      this.#timer = setTimeout(expireRun, deadlineMs, this).unref();
    }
  }

  cancel(reason: unknown): void {
    if (this.place !== undefined) this.place.task!.cancel(reason);
    else if (this.isQueued) this.leave(this, reason);
  }

  #end(outcome: unknown): void {
    this.place = undefined;
    clearTimeout(this.#timer);
    for (const each of this.#signals ?? []) unfollow(each, this);
    this.#resolve(outcome);
  }

  done(value: R): void {
    this.#end(value);
  }

  /** Its task has failed. */
  failed(reason: unknown, isCancelled: boolean): void {
    // The rejection is the caller's own doing then, so nobody has to await it.
    if (isCancelled) this.promise.catch(ignore);
    this.#end(isCancelled ? rejected(reason) : rejectedForCaller(reason));
  }

  /** It has never begun. */
  refused(reason: unknown): void {
    this.#end(rejected(reason));
  }

  /** The same with a rejection that many share. */
  failedWith(rejection: Promise<never>): void {
    this.#end(rejection);
  }
}

/** Where one task at a time runs. */
class Place<R> {
  task: Task<R> | undefined;
  served: Served<R> | undefined;
  startedMs = 0;
  readonly done: (value: R) => void;
  readonly failed: (reason: unknown) => void;

  constructor(ended: (place: Place<R>, isDone: boolean, outcome: unknown) => void) {
    this.done = (value) => ended(this, true, value);
    this.failed = (reason) => ended(this, false, reason);
  }
}

export class PoolCore<A extends unknown[], R> {
  running = 0;
  closed: HeddleError | undefined;
  readonly meter = new PoolMeter();
  readonly queue = new PoolQueue<Run<A, R>>();
  readonly drained = new Waiters();
  readonly #start: Starter<R>;
  readonly #settings: CoreSettings;
  #concurrency: number;
  #limit = 0;
  // What the isolates had room for when the limit was taken.
  #room = 0;
  // Of those that have been handed over and wait for an isolate.
  #ahead = 0;
  readonly #water: WaterLevel | undefined;
  readonly #places: Place<R>[] = [];
  readonly #free: Place<R>[] = [];
  readonly #sources = new Deque<Source>();
  #isSourcesTurn = false;
  #isFilling = false;
  readonly #producers = new Waiters();
  // Room that ready() has promised to those who have not called run() yet.
  #promised = 0;
  readonly #closing = new Waiters();
  #closeTimer: NodeJS.Timeout | undefined;
  #closeAtMs = Infinity;

  constructor(start: Starter<R>, settings: CoreSettings) {
    this.#start = start;
    this.#settings = settings;
    this.#concurrency = settings.concurrency;
    if (settings.memoryBytes !== undefined) {
      this.#water = new WaterLevel(
        settings.memoryBytes,
        () => this.running > 0,
        () => this.#adapt(),
      );
    }
    this.#adapt();
  }

  get concurrency(): number {
    return this.#concurrency;
  }

  set concurrency(count: number) {
    this.meter.endPlaces(this.#concurrency);
    this.#concurrency = count;
    this.#adapt();
  }

  /** The most runs at once that memory allows now. */
  #adapt(): void {
    const share = this.#water?.share ?? 1;
    const { least, isolates, queueLength, dropsOldest } = this.#settings;
    const wanted = Math.max(Math.floor(this.#concurrency * share), least, 1);
    this.#room = isolates.room;
    this.#limit = Math.min(wanted, this.#room);
    // The oldest of the queue can be dropped only while it is in this one.
    this.#ahead = dropsOldest ? 0 : Math.min(isolates.ahead(this.#limit), queueLength);
    this.fill();
  }

  /** The concurrency that the work at hand asks for, between the least and what is allowed. */
  get wanted(): number {
    return Math.min(Math.max(this.running + this.queue.size, this.#settings.least), this.#limit);
  }

  get utilisation(): number {
    const inUse = this.#places.filter(({ task }) => task !== undefined);
    return this.meter.utilisation(
      this.#concurrency,
      inUse.map(({ startedMs }) => startedMs),
    );
  }

  // There may be other isolates than before.
  #adaptToRoom(): void {
    if (this.#settings.isolates.room !== this.#room) this.#adapt();
  }

  get hasPlace(): boolean {
    return this.running < this.#limit + this.#ahead;
  }

  /** Those that are not waiting for an isolate. */
  get started(): number {
    return this.#ahead === 0 ? this.running : Math.min(this.running, this.#limit);
  }

  get queued(): number {
    return this.queue.size + this.running - this.started;
  }

  run(args: A, settings: RunSettings | undefined): Promise<R> {
    if (this.#promised > 0) this.#promised -= 1;
    if (this.closed !== undefined) {
      this.meter.rejected += 1;
      return rejected(this.closed);
    }
    const priority = settings === undefined ? 0 : settings.priority;
    const run = new Run<A, R>(args, settings?.context, priority, this.#leave);
    if (settings !== undefined) {
      const { signal, context } = settings;
      const fired = signal?.aborted ? signal : context?.done ? context.signal : undefined;
      if (fired !== undefined) {
        this.meter.cancelled += 1;
        run.failed(fired.reason, true);
        return run.promise;
      }
      run.follow(settings);
    }
    this.#adaptToRoom();
    if (this.hasPlace && this.queue.size === 0) this.#startRun(run, run.calledMs);
    else this.#enqueue(run);
    return run.promise;
  }

  #enqueue(run: Run<A, R>): void {
    const { queueLength, dropsOldest, title } = this.#settings;
    if (this.queued < queueLength) {
      this.queue.push(run);
      return;
    }
    const problem = `${title}: expected room in its queue of ${queueLength}, got a full one`;
    if (!dropsOldest) {
      this.meter.rejected += 1;
      run.refused(new HeddleError('ERR_HEDDLE_QUEUE_FULL', problem));
      return;
    }
    const dropped = this.queue.shiftLeast(run.priority);
    if (dropped !== undefined) this.queue.push(run);
    this.meter.dropped += 1;
    (dropped ?? run).refused(new HeddleError('ERR_HEDDLE_DROPPED', problem));
  }

  /** A queued run is cancelled. */
  readonly #leave = (run: Run<A, R>, reason: unknown): void => {
    this.queue.remove(run);
    this.meter.cancelled += 1;
    run.failed(reason, true);
    this.#wakeProducers();
  };

  /** Starts runs and sources, in turns while there are both, until every place is taken. */
  fill(): void {
    if (this.#isFilling) return; // an input's iterator has called the pool
    this.#isFilling = true;
    while (this.hasPlace) {
      const mayRun = this.queue.size > 0 && !(this.#isSourcesTurn && this.#sources.length > 0);
      if (mayRun) {
        this.#startRun(this.queue.shift()!, batchTimeMs());
      } else {
        const source = this.#sources.shift();
        if (source === undefined) break;
        source.startOne();
      }
      this.#isSourcesTurn = mayRun;
    }
    this.#isFilling = false;
    if (this.#producers.count > 0) this.#wakeProducers();
  }

  #startRun(run: Run<A, R>, timeMs: number): void {
    this.meter.waited(timeMs - run.calledMs);
    try {
      run.place = this.start(run.args, run, timeMs, run.context, run.priority);
    } catch (refusal) {
      this.meter.failed += 1;
      run.refused(refusal);
    }
  }

  /** Throws what spawn throws. There must be a place. */
  start(args: A, served: Served<R>, timeMs: number, context?: Context, priority = 0): Place<R> {
    const { name } = this.#settings;
    const isPlain = name === undefined && context === undefined && priority === 0;
    const options = isPlain ? undefined : optionsOf(name, context, priority);
    const task = this.#start(args, options);
    let place = this.#free.pop();
    if (place === undefined) {
      place = new Place<R>(this.#ended);
      this.#places.push(place);
    }
    place.task = task;
    place.served = served;
    place.startedMs = timeMs;
    this.running += 1;
    if (this.running === 1) this.#water?.watch();
    task.then(place.done, place.failed);
    return place;
  }

  readonly #ended = (place: Place<R>, isDone: boolean, outcome: unknown): void => {
    this.meter.ran(batchTimeMs() - place.startedMs);
    const task = place.task!;
    const served = place.served!;
    place.task = undefined;
    place.served = undefined;
    this.#free.push(place);
    this.running -= 1;
    if (isDone) {
      this.meter.completed += 1;
      served.done(outcome as R);
    } else {
      const isCancelled = task.state === 'cancelled';
      if (isCancelled) this.meter.cancelled += 1;
      else this.meter.failed += 1;
      served.failed(outcome, isCancelled);
    }
    this.#adaptToRoom();
    this.fill();
    if (this.running === 0) this.#rest();
  };

  #rest(): void {
    this.drained.resolveAll();
    clearTimeout(this.#closeTimer);
    this.#closeAtMs = Infinity;
    this.#closing.resolveAll();
  }

  /** Calls the source when there is a place, perhaps at once; it must not be waiting already. */
  request(source: Source): void {
    if (this.closed !== undefined) {
      source.refuse(this.closed);
      return;
    }
    this.#sources.push(source);
    this.fill();
  }

  withdraw(source: Source): void {
    this.#sources.remove(source);
  }

  /** Cancels the tasks that run for those. */
  cancelAll(reason: unknown, isMeant: (served: Served<R>) => boolean): void {
    for (const { task, served } of this.#places) {
      if (task !== undefined && isMeant(served!)) task.cancel(reason);
    }
  }

  ready(signal: AbortSignal | undefined): Promise<void> {
    if (this.closed !== undefined) return rejected(this.closed);
    if (signal?.aborted) return rejected(signal.reason);
    if (!this.#hasRoom) return this.#producers.wait(signal);
    this.#promise();
    return kResolved;
  }

  get #hasRoom(): boolean {
    const places = Math.max(this.#limit - this.running, 0);
    return this.#settings.queueLength - this.queued + places > this.#promised;
  }

  // Who is promised room calls run() before the loop's next turn, or has lost it.
  #promise(): void {
    if (this.#promised === 0) {
      setImmediate(() => {
        this.#promised = 0;
        this.#wakeProducers();
      });
    }
    this.#promised += 1;
  }

  #wakeProducers(): void {
    while (this.#producers.count > 0 && this.#hasRoom) {
      this.#promise();
      this.#producers.resolveFirst();
    }
  }

  drain(signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) return rejected(signal.reason);
    return this.running === 0 ? kResolved : this.drained.wait(signal);
  }

  close(deadlineMs: number): Promise<void> {
    if (this.closed === undefined) this.#shut();
    if (this.running === 0) return kResolved;
    const promise = this.#closing.wait(undefined);
    const atMs = performance.now() + deadlineMs;
    if (atMs < this.#closeAtMs) {
      this.#closeAtMs = atMs;
      clearTimeout(this.#closeTimer);
      this.#closeTimer = setTimeout(() => this.#giveUp(), deadlineMs);
    }
    return promise;
  }

  #shut(): void {
    const { title } = this.#settings;
    const problem = `${title}: expected it to be open, got a closed one`;
    const closed = new HeddleError('ERR_HEDDLE_POOL_CLOSED', problem);
    this.closed = closed;
    this.#water?.stop();
    // One error for all: a million errors are a million stack traces.
    const rejection = rejected(closed);
    rejection.catch(ignore);
    for (let run = this.queue.shift(); run !== undefined; run = this.queue.shift()) {
      this.meter.rejected += 1;
      run.failedWith(rejection);
    }
    this.#producers.rejectAll(closed);
    for (let each = this.#sources.shift(); each !== undefined; each = this.#sources.shift()) {
      each.refuse(closed);
    }
  }

  #giveUp(): void {
    this.#closeAtMs = Infinity;
    const { title } = this.#settings;
    const problem = `${title}: expected its runs to end in time, got ${this.running} that go on`;
    const reason = new HeddleError('ERR_HEDDLE_POOL_CLOSED', problem);
    this.cancelAll(reason, () => true);
    this.#closing.resolveAll();
  }
}

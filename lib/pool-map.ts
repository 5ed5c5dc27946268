// A map of a pool: inputs are pulled as there is room ahead of the consumer, run where a place is
// free, and given out in their own order or in that of their ends.
//
// Always true: at most concurrency + buffer inputs have been pulled whose results the consumer has
// not taken; it waits at most once for a place; after its end it has no task, no listener, and its
// input is closed. Only then does a failure, or a `break`, become known to the consumer.
import { Deque } from './deque.js';
import type { PoolCore, Served, Source } from './pool-core.js';
import { batchTimeMs } from './pool-meter.js';
import { rejected } from './refuse.js';
import { follow, unfollow } from './signals.js';
import type { Follower } from './signals.js';
import { lastResolver, newPromise } from './waits.js';

const kStartTogether = 32;

export interface MapSettings {
  readonly ordered: boolean;
  readonly buffer: number;
  readonly signal: AbortSignal | undefined;
}

export type AnyIterable<I> = Iterable<I> | AsyncIterable<I>;

function isAsync<I>(inputs: AnyIterable<I>): inputs is AsyncIterable<I> {
  return typeof (inputs as AsyncIterable<I>)[Symbol.asyncIterator] === 'function';
}

/** One input on its way to be a result. */
class Item<R> implements Served<R> {
  isDone = false;
  value: R | undefined;

  constructor(
    readonly map: PoolMap<unknown, R>,
    /** The results that are to be given out. */
    readonly line: Deque<Item<R>>,
    readonly isOrdered: boolean,
  ) {
    if (isOrdered) line.push(this);
  }

  done(value: R): void {
    this.value = value;
    this.isDone = true;
    if (!this.isOrdered) this.line.push(this);
    this.map.ended();
  }

  failed(reason: unknown): void {
    this.map.fail(reason);
    this.map.ended();
  }
}

interface Resolver<R> {
  (outcome: IteratorResult<R, undefined> | Promise<never>): void;
}

export class PoolMap<I, R> implements AsyncIterableIterator<R, undefined>, Source, Follower {
  readonly #core: PoolCore<[I], R>;
  readonly #inputs: AnyIterable<I>;
  readonly #settings: MapSettings;
  #iterator: Iterator<I> | AsyncIterator<I> | undefined;
  #isAsync = false;
  /** An input is being pulled: from an asynchronous iterator, or by code that is on the stack. */
  #isPulling = false;
  #isExhausted = false;
  #isWaitingForPlace = false;
  /** How many inputs have been pulled whose results have not been taken. */
  #ahead = 0;
  #running = 0;
  /** Inputs that have been pulled and wait for a place. */
  readonly #held = new Deque<I>();
  readonly #line = new Deque<Item<R>>();
  readonly #consumers = new Deque<Resolver<R>>();
  /** Set when it ends early; with the reason until a consumer has had it. */
  #isEnding = false;
  #failure: [reason: unknown] | undefined;
  #closing: Promise<unknown> | undefined;
  #isOver = false;
  #whenOver: (() => void) | undefined;

  constructor(core: PoolCore<[I], R>, inputs: AnyIterable<I>, settings: MapSettings) {
    this.#core = core;
    this.#inputs = inputs;
    this.#settings = settings;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<R, undefined>> {
    if (this.#iterator === undefined && !this.#isOver) this.#begin();
    const item = this.#line.first;
    if (item?.isDone && this.#consumers.length === 0 && !this.#isEnding) {
      this.#line.shift();
      this.#ahead -= 1;
      if (this.#isWorthPulling) this.#pull();
      this.#look();
      return Promise.resolve({ value: item.value as R, done: false });
    }
    const promise = newPromise<IteratorResult<R, undefined>>();
    this.#consumers.push(lastResolver());
    this.#pull();
    this.#look();
    return promise;
  }

  async return(): Promise<IteratorResult<R, undefined>> {
    if (this.#iterator === undefined) this.#isOver = true;
    if (!this.#isOver) {
      const over = new Promise<void>((resolve) => (this.#whenOver = resolve));
      if (!this.#isEnding) {
        this.#end(new DOMException('the results of a map are not wanted any more', 'AbortError'));
      }
      await over;
    }
    await this.#closing;
    return { value: undefined, done: true };
  }

  #begin(): void {
    const { signal } = this.#settings;
    const inputs = this.#inputs;
    try {
      if (isAsync(inputs)) {
        this.#isAsync = true;
        this.#iterator = inputs[Symbol.asyncIterator]();
      } else {
        this.#iterator = inputs[Symbol.iterator]();
      }
    } catch (error) {
      this.#isOver = true;
      this.#failure = [error];
      return;
    }
    if (signal?.aborted) this.fail(signal.reason);
    else if (signal !== undefined) follow(signal, this);
  }

  /** The most inputs ahead of the consumer. */
  get #window(): number {
    return this.#core.concurrency + this.#settings.buffer;
  }

  get #mayPull(): boolean {
    return !this.#isExhausted && !this.#isPulling && this.#ahead < this.#window;
  }

  // While there are results at hand, several tasks are started at a time: native threads then find
  // one after the other, and need not be woken for each. The end of a task makes up for the rest.
  get #isWorthPulling(): boolean {
    const room = this.#window - this.#ahead;
    return room >= kStartTogether || room >= this.#window / 4 || !this.#line.first?.isDone;
  }

  /** Goes on with what can be had now: an input, or a place for one. */
  #pull(): void {
    if (this.#isEnding || this.#isOver) return;
    if (this.#isAsync && this.#mayPull) this.#pullLater();
    const hasInput = this.#held.length > 0 || (!this.#isAsync && this.#mayPull);
    if (!hasInput || this.#isWaitingForPlace) return;
    this.#isWaitingForPlace = true;
    this.#core.request(this);
  }

  startOne(): void {
    this.#isWaitingForPlace = false;
    if (this.#held.length === 0 && this.#mayPull) this.#pullNow();
    // The iterator is anybody's code, which may have used the pool, or ended this.
    if (this.#held.length > 0 && this.#core.hasPlace) this.#start(this.#held.shift()!);
    this.#pull();
    this.#look();
  }

  refuse(reason: unknown): void {
    this.#isWaitingForPlace = false;
    if (this.#held.length === 0 && this.#mayPull) this.#pullNow();
    if (this.#held.length > 0) this.fail(reason);
    else this.#look();
  }

  #start(input: I): void {
    this.#running += 1;
    try {
      const { ordered } = this.#settings;
      const item = new Item<R>(this as PoolMap<unknown, R>, this.#line, ordered);
      this.#core.start([input], item, batchTimeMs());
    } catch (refusal) {
      this.#running -= 1;
      this.fail(refusal);
    }
  }

  #pullNow(): void {
    this.#isPulling = true;
    this.#ahead += 1;
    try {
      this.#take((this.#iterator as Iterator<I>).next());
    } catch (error) {
      this.#inputFailed(error);
    }
  }

  #pullLater(): void {
    this.#isPulling = true;
    this.#ahead += 1;
    let pulled: Promise<IteratorResult<I>>;
    try {
      pulled = Promise.resolve((this.#iterator as AsyncIterator<I>).next());
    } catch (error) {
      this.#inputFailed(error);
      return;
    }
    pulled.then(this.#arrived, this.#inputFailed);
  }

  #take(pulled: IteratorResult<I>): void {
    this.#isPulling = false;
    if (pulled.done) {
      this.#ahead -= 1;
      this.#isExhausted = true;
    } else if (!this.#isEnding) {
      this.#held.push(pulled.value);
    }
  }

  readonly #arrived = (pulled: IteratorResult<I>): void => {
    this.#take(pulled);
    this.#pull();
    this.#look();
  };

  // An iterator that throws is done: it is not to be closed.
  readonly #inputFailed = (error: unknown): void => {
    this.#isPulling = false;
    this.#ahead -= 1;
    this.#isExhausted = true;
    this.fail(error);
  };

  /** A task of it has ended. */
  ended(): void {
    this.#running -= 1;
    this.#pull();
    this.#look();
  }

  cancel(reason: unknown): void {
    this.fail(reason);
  }

  /** The first failure ends it. */
  fail(reason: unknown): void {
    if (this.#isEnding || this.#isOver) return;
    this.#failure = [reason];
    this.#end(reason);
    this.#closing?.catch(() => {}); // the first failure is the one that counts
  }

  #end(reason: unknown): void {
    this.#isEnding = true;
    this.#held.clear();
    this.#line.clear();
    if (this.#isWaitingForPlace) this.#core.withdraw(this);
    this.#core.cancelAll(reason, (served) => served instanceof Item && served.map === this);
    this.#closeInput();
    this.#look();
  }

  #closeInput(): void {
    if (this.#isExhausted) return;
    this.#isExhausted = true;
    const wasPulling = this.#isPulling;
    let closed: unknown;
    try {
      closed = this.#iterator!.return?.();
    } catch (error) {
      closed = rejected(error);
    }
    this.#closing = Promise.resolve(closed);
    if (!wasPulling) return;
    // A generator that waits for its next input cannot be closed before it has it: perhaps never.
    this.#closing.catch(() => {});
    this.#closing = undefined;
  }

  /** Gives out what can be given out. */
  #look(): void {
    while (!this.#isEnding && this.#consumers.length > 0 && this.#line.first?.isDone) {
      const { value } = this.#line.shift()!;
      this.#ahead -= 1;
      this.#consumers.shift()!({ value: value as R, done: false });
      this.#pull();
    }
    if (!this.#isOver && this.#running === 0) {
      const isDone = this.#isExhausted && this.#held.length === 0 && this.#line.length === 0;
      if (this.#isEnding || isDone) this.#finish();
    }
    if (this.#isOver) this.#dismiss();
  }

  #finish(): void {
    this.#isOver = true;
    const { signal } = this.#settings;
    if (signal !== undefined) unfollow(signal, this);
    this.#whenOver?.();
  }

  #dismiss(): void {
    for (let next = this.#consumers.shift(); next !== undefined; next = this.#consumers.shift()) {
      const failure = this.#failure;
      this.#failure = undefined;
      next(failure === undefined ? { value: undefined, done: true } : rejected(failure[0]));
    }
  }
}

// Those who wait for an event of JavaScript's own: first come, first served; a signal that fires
// takes its waiter off at once.
import { rejected } from './refuse.js';
import { follow, unfollow } from './signals.js';
import type { Follower } from './signals.js';
import { lastResolver, newPromise } from './waits.js';

class Waiter implements Follower {
  constructor(
    readonly all: Set<Waiter>,
    readonly resolve: (value: unknown) => void,
    readonly signal: AbortSignal | undefined,
  ) {}

  end(outcome: unknown): void {
    this.all.delete(this);
    if (this.signal !== undefined) unfollow(this.signal, this);
    this.resolve(outcome);
  }

  cancel(reason: unknown): void {
    this.end(rejected(reason));
  }
}

export class Waiters {
  readonly #all = new Set<Waiter>();

  get count(): number {
    return this.#all.size;
  }

  wait(signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) return rejected(signal.reason);
    const promise = newPromise<void>();
    const waiter = new Waiter(this.#all, lastResolver(), signal);
    this.#all.add(waiter);
    if (signal !== undefined) follow(signal, waiter);
    return promise;
  }

  /** Ends the wait of the one who came first. */
  resolveFirst(): void {
    for (const waiter of this.#all) {
      waiter.end(undefined);
      return;
    }
  }

  resolveAll(): void {
    for (const waiter of this.#all) waiter.end(undefined);
  }

  rejectAll(reason: unknown): void {
    for (const waiter of this.#all) waiter.end(rejected(reason));
  }
}

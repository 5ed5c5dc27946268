// Locks and meeting points for promises of any isolate, fibers and OS threads: the same object
// wherever it is given. Native from the first use, so that what an isolate held when it ended can
// be given back.
import { binding } from './binding.js';
import { HeddleError } from './errors.js';
import { adopt, Arrived, HandleKind, onHandle, Shareable } from './handle.js';
import { settleLocal } from './mail.js';
import { wholeNumber } from './refuse.js';
import { signalOf } from './signals.js';
import type { WaitOptions } from './signals.js';
import * as waits from './waits.js';
import { Mode, WaitStatus } from './waits.js';

const kPoisoned = 3;
const kMostPermits = 2 ** 31 - 1;

/** What `lock` and `acquire` give: released once, by `release()` or at the end of a `using`. */
export interface Held extends Disposable {
  /** An isolate has ended while it held it: what it guards may be half done. */
  readonly poisoned: boolean;
  release(): void;
}

function makeHandle(kind: number, number = 0): number {
  const id = binding.makeHandle(kind, number, 0, 0);
  if (id < 0) throw waits.waitError(WaitStatus.noMemory, 'lock');
  return id;
}

/** Something native with a handle. */
abstract class Native extends Shareable {
  readonly id: number;
  protected constructor(kind: number, number: number, arrived: Arrived | undefined) {
    super();
    if (arrived instanceof Arrived) {
      this.id = arrived.id;
    } else {
      this.id = makeHandle(kind, number);
      adopt(this, this.id);
    }
  }
  toHandle(): number {
    return this.id;
  }
}

class Hold implements Held {
  #release: (() => void) | undefined;
  constructor(
    release: () => void,
    readonly poisoned: boolean,
  ) {
    this.#release = release;
  }
  release(): void {
    const release = this.#release;
    if (release === undefined) throw unlocked('a lock that was released before');
    this.#release = undefined;
    release();
  }
  [Symbol.dispose](): void {
    if (this.#release !== undefined) this.release();
  }
}

function unlocked(got: string): HeddleError {
  return new HeddleError('ERR_HEDDLE_UNLOCKED', `expected a lock that is held, got ${got}`);
}

/** Waits for a lock of `id`: what it gives knows how to release it. */
function hold(
  id: number,
  mode: number,
  given: unknown,
  options: WaitOptions | undefined,
  exclusive: 0 | 1,
  count: number,
  shared?: 'read',
): Promise<Held> {
  return waits.waitOn(id, 0, mode, given, signalOf(options), -1, (status) => {
    if (status !== WaitStatus.done) throw waits.waitError(status, 'lock');
    return heldNow(id, exclusive, count, shared);
  });
}

function heldNow(id: number, exclusive: 0 | 1, count: number, shared?: 'read'): Held {
  binding.noteHeld(id, exclusive, count);
  const release = (): void => {
    binding.noteHeld(id, exclusive, -count);
    // A readers-writer mutex wants to know which side, a semaphore how many.
    const released = binding.act(id, shared === 'read' ? 0 : count);
    settleLocal();
    if (!released) throw unlocked('one that is not');
  };
  return new Hold(release, binding.lookAt(id, kPoisoned) !== 0);
}

async function within<R>(held: Promise<Held>, body: () => R | Promise<R>): Promise<R> {
  const lock = await held;
  try {
    return await body();
  } finally {
    lock.release();
  }
}

/**
 * One holder at a time; first come, first served.
 *
 * @example
 * const balance = new Mutex();
 * await balance.withLock(async () => transfer(10));
 */
export class Mutex extends Native {
  constructor(arrived?: never) {
    super(HandleKind.mutex, 0, arrived);
  }
  lock(options?: WaitOptions): Promise<Held> {
    return hold(this.id, Mode.none, undefined, options, 1, 1);
  }
  /** Undefined if it is held. */
  tryLock(): Held | undefined {
    const status = waits.tryOn(this.id, 0, Mode.none, undefined);
    return status === WaitStatus.done ? heldNow(this.id, 1, 1) : undefined;
  }
  /** Runs `body` while it is held, and releases it whatever comes of that. */
  withLock<R>(body: () => R | Promise<R>, options?: WaitOptions): Promise<R> {
    return within(this.lock(options), body);
  }
  get locked(): boolean {
    return binding.lookAt(this.id, 2) !== 0;
  }
}

/** Readers together, writers alone, in the order of arrival, so that neither side starves. */
export class RWMutex extends Native {
  constructor(arrived?: never) {
    super(HandleKind.rwMutex, 0, arrived);
  }
  readLock(options?: WaitOptions): Promise<Held> {
    return hold(this.id, Mode.number, 0, options, 0, 1, 'read');
  }
  lock(options?: WaitOptions): Promise<Held> {
    return hold(this.id, Mode.number, 1, options, 1, 1);
  }
  tryReadLock(): Held | undefined {
    const status = waits.tryOn(this.id, 0, Mode.number, 0);
    settleLocal();
    return status === WaitStatus.done ? heldNow(this.id, 0, 1, 'read') : undefined;
  }
  tryLock(): Held | undefined {
    const status = waits.tryOn(this.id, 0, Mode.number, 1);
    settleLocal();
    return status === WaitStatus.done ? heldNow(this.id, 1, 1) : undefined;
  }
  withReadLock<R>(body: () => R | Promise<R>, options?: WaitOptions): Promise<R> {
    return within(this.readLock(options), body);
  }
  withLock<R>(body: () => R | Promise<R>, options?: WaitOptions): Promise<R> {
    return within(this.lock(options), body);
  }
}

/** A number of permits; first come, first served, also between those who want few and many. */
export class Semaphore extends Native {
  constructor(permits: number, arrived?: never) {
    super(
      HandleKind.semaphore,
      (arrived as unknown) instanceof Arrived
        ? 0
        : wholeNumber(permits, 'permits', 0, kMostPermits),
      arrived,
    );
  }
  acquire(count = 1, options?: WaitOptions): Promise<Held> {
    wholeNumber(count, 'count', 1, kMostPermits);
    return hold(this.id, Mode.number, count, options, 0, count);
  }
  tryAcquire(count = 1): Held | undefined {
    wholeNumber(count, 'count', 1, kMostPermits);
    const status = waits.tryOn(this.id, 0, Mode.number, count);
    settleLocal();
    return status === WaitStatus.done ? heldNow(this.id, 0, count) : undefined;
  }
  /** Adds permits that nobody held. */
  release(count = 1): void {
    wholeNumber(count, 'count', 1, kMostPermits);
    const released = binding.act(this.id, count);
    settleLocal();
    if (released) return;
    throw new HeddleError(
      'ERR_HEDDLE_COUNT',
      `expected at most ${kMostPermits} permits, got ${this.available} and ${count} more`,
    );
  }
  withPermit<R>(body: () => R | Promise<R>, options?: WaitOptions): Promise<R> {
    return within(this.acquire(1, options), body);
  }
  get available(): number {
    return binding.lookAt(this.id, 0);
  }
}

/** Waits until a count of things is done, as Go's sync.WaitGroup. */
export class WaitGroup extends Native {
  constructor(arrived?: never) {
    super(HandleKind.waitGroup, 0, arrived);
  }
  /** Throws ERR_HEDDLE_COUNT if the count would leave 0 to 2³¹−1. */
  add(delta = 1): void {
    wholeNumber(delta, 'delta', -kMostPermits, kMostPermits);
    const added = binding.act(this.id, delta);
    settleLocal();
    if (added) return;
    throw new HeddleError(
      'ERR_HEDDLE_COUNT',
      `expected a count from 0 to ${kMostPermits}, got ${this.count} and a change of ${delta}`,
    );
  }
  done(): void {
    this.add(-1);
  }
  wait(options?: WaitOptions): Promise<void> {
    const what = 'WaitGroup.wait';
    return waits.waitOn(this.id, 0, Mode.none, undefined, signalOf(options), -1, (status) => {
      if (status !== WaitStatus.done) throw waits.waitError(status, what);
    });
  }
  get count(): number {
    return binding.lookAt(this.id, 0);
  }
}

/** Runs something once, in whatever isolate comes first; a run that fails counts as one. */
export class Once extends Native {
  constructor(arrived?: never) {
    super(HandleKind.once, 0, arrived);
  }
  /** Ends when it has been run, by this call or another; true if it was this one. */
  async run(body: () => unknown, options?: WaitOptions): Promise<boolean> {
    const signal = signalOf(options);
    const isFirst = await waits.waitOn(
      this.id,
      0,
      Mode.none,
      undefined,
      signal,
      -1,
      (status, value) => {
        if (status !== WaitStatus.done) throw waits.waitError(status, 'Once.run');
        return value === 1;
      },
    );
    if (!isFirst) return false;
    binding.noteHeld(this.id, 1, 1);
    try {
      await body();
    } finally {
      binding.noteHeld(this.id, 1, -1);
      binding.act(this.id, 0);
      settleLocal();
    }
    return true;
  }
  get hasRun(): boolean {
    return binding.lookAt(this.id, 0) !== 0;
  }
}

/** A meeting point of some parties: each waits until all have arrived; it can be used again. */
export class Barrier extends Native {
  constructor(parties: number, arrived?: never) {
    super(
      HandleKind.barrier,
      (arrived as unknown) instanceof Arrived
        ? 0
        : wholeNumber(parties, 'parties', 1, kMostPermits),
      arrived,
    );
  }
  /** True for the one that came last. A wait that its signal ends has not arrived. */
  arrive(options?: WaitOptions): Promise<boolean> {
    return waits.waitOn(
      this.id,
      0,
      Mode.none,
      undefined,
      signalOf(options),
      -1,
      (status, value) => {
        if (status !== WaitStatus.done) throw waits.waitError(status, 'Barrier.arrive');
        return value === 1;
      },
    );
  }
  get parties(): number {
    return binding.lookAt(this.id, 0);
  }
}

onHandle(HandleKind.mutex, (handle) => new Mutex(handle as never));
onHandle(HandleKind.rwMutex, (handle) => new RWMutex(handle as never));
onHandle(HandleKind.semaphore, (handle) => new Semaphore(0, handle as never));
onHandle(HandleKind.waitGroup, (handle) => new WaitGroup(handle as never));
onHandle(HandleKind.once, (handle) => new Once(handle as never));
onHandle(HandleKind.barrier, (handle) => new Barrier(0, handle as never));

// Contexts: cancellation, deadlines and values for everything that was started under them, in this
// isolate, in others and on fibers.
import { binding } from './binding.js';
import { describe } from './errors.js';
import type { HeddleError } from './errors.js';
import { adopt, Arrived, HandleKind, onHandle, Shareable } from './handle.js';
import { readValue, settleLocal, state, State } from './mail.js';
import { refuse } from './refuse.js';
import * as waits from './waits.js';
import { Mode, WaitStatus } from './waits.js';

const kQueue = 0;
/** As in native/sync/context.h. */
const kNone = 0;
const kDeadline = 2;

export interface Cancellable {
  readonly ctx: Context;
  /** Ends the context with that reason, or an AbortError; the first reason wins. */
  readonly cancel: (reason?: unknown) => void;
}

function contextFailed(): HeddleError {
  return waits.waitError(WaitStatus.noMemory, 'context');
}

/**
 * A place in a tree of contexts. It is done when it is cancelled, when its deadline has come, or
 * when its parent is done; then all that waits under it ends.
 *
 * @example
 * const { ctx, cancel } = background().withTimeout(500);
 * try {
 *   await select({ job: recv(jobs), stop: done(ctx) });
 * } finally {
 *   cancel();
 * }
 */
export class Context extends Shareable {
  // Negative: there is none yet, see makeLate.
  #id: number;
  readonly #parent: Context | undefined;
  #entry: { readonly key: unknown; readonly value: unknown } | undefined;
  #controller: AbortController | undefined;
  #reason: [reason: unknown] | undefined;

  /** @internal Contexts are made by {@link background} and by contexts. */
  constructor(handle: Arrived, parent?: Context) {
    super();
    if (!(handle instanceof Arrived)) refuse('Context', 'background() or a child of it', handle);
    this.#id = handle.id;
    this.#parent = parent;
  }

  toHandle(): number {
    if (this.#id >= 0) return this.#id;
    const id = this.makeLate();
    if (id < 0) throw contextFailed();
    this.#id = id;
    adopt(this, id);
    return id;
  }

  /** @internal Of one that has no handle until somebody needs more of it than `done`. */
  protected makeLate(): number {
    return -1;
  }

  /** @internal */
  protected isDoneEarly(): boolean {
    return false;
  }

  #child(timeoutMs: number): Context {
    const id = binding.childContext(this.toHandle(), timeoutMs);
    if (id < 0) throw contextFailed();
    return adopt(new Context(new Arrived(id), this), id);
  }

  #cancellable(timeoutMs: number): Cancellable {
    const ctx = this.#child(timeoutMs);
    return { ctx, cancel: (reason?: unknown) => ctx.#cancel(reason) };
  }

  /** A child that ends when `cancel` is called, or with this one. */
  withCancel(): Cancellable {
    return this.#cancellable(Number.NaN);
  }

  /** A child that ends after `ms` milliseconds as well; at once if they are negative. */
  withTimeout(ms: number): Cancellable {
    if (typeof ms !== 'number' || Number.isNaN(ms)) refuse('ms', 'a number of milliseconds', ms);
    return this.#cancellable(Math.max(ms, 0));
  }

  /** A child that ends at that time as well. Later changes of the wall clock have no effect. */
  withDeadline(date: Date | number): Cancellable {
    const time = date instanceof Date ? date.getTime() : date;
    if (typeof time !== 'number' || Number.isNaN(time)) {
      refuse('date', 'a Date or milliseconds since 1970', date);
    }
    return this.#cancellable(Math.max(time - Date.now(), 0));
  }

  /** A child that carries a value, for those of this isolate who ask for the key. */
  withValue(key: unknown, value: unknown): Context {
    if (key === undefined) refuse('key', 'anything but undefined', key);
    const ctx = this.#child(Number.NaN);
    ctx.#entry = { key, value };
    return ctx;
  }

  /** The value of the nearest context, on the way to the root, that has the key. */
  value(key: unknown): unknown {
    if (key === undefined) refuse('key', 'anything but undefined', key);
    if (this.#entry?.key === key) return this.#entry.value;
    return this.#parent === undefined ? undefined : this.#parent.value(key);
  }

  /** True once it has ended. Asks a shared word, so it works in a synchronous loop as well. */
  get done(): boolean {
    if (this.#reason !== undefined) return true;
    return this.#id >= 0 ? binding.lookAt(this.#id, 0) !== kNone : this.isDoneEarly();
  }

  /** Why it has ended: the reason of `cancel`, or a TimeoutError; undefined while it has not. */
  get err(): unknown {
    if (this.#reason !== undefined) return this.#reason[0];
    if (this.#id < 0 && !this.isDoneEarly()) return undefined;
    const error = binding.lookAt(this.toHandle(), 0);
    if (error === kNone) return undefined;
    this.#reason = [this.#readReason(error)];
    return this.#reason[0];
  }

  #readReason(error: number): unknown {
    if (error === kDeadline) {
      return new DOMException('the deadline of a context has passed', 'TimeoutError');
    }
    // It remembers what its own `cancel` said; so this has come from above, and is the same there.
    if (this.#parent !== undefined) return this.#parent.err;
    if (binding.contextReason(this.#id)) return readValue(state[State.valueKind]!, 0);
    return new DOMException('a context was cancelled', 'AbortError');
  }

  /** Throws {@link err} once it has ended. */
  throwIfDone(): void {
    if (this.done) throw this.err;
  }

  /**
   * Fires with the context; made when it is first asked for. Like that of AbortSignal.timeout, its
   * deadline does not keep the process alive.
   */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      const controller = new AbortController();
      this.#controller = controller;
      if (this.done) {
        controller.abort(this.err);
      } else {
        const fire = (): void => controller.abort(this.err);
        void waits
          .waitOn(
            this.toHandle(),
            kQueue,
            Mode.none,
            undefined,
            undefined,
            -1,
            () => undefined,
            waits.WaitKind.listener,
          )
          .then(fire);
      }
    }
    return this.#controller.signal;
  }

  #cancel(reason: unknown): void {
    if (this.done) return;
    const own =
      reason === undefined ? new DOMException('a context was cancelled', 'AbortError') : reason;
    let given: unknown;
    try {
      given = waits.give(own);
    } catch {
      // It cannot travel, so others learn only that there was one.
      given = waits.give(describe(own));
    }
    if (binding.cancelContext(this.toHandle(), waits.givenMode, given)) this.#reason ??= [own];
    settleLocal();
  }
}

onHandle(HandleKind.context, (handle) => new Context(handle));

/** A root: never done, without values. */
export function background(): Context {
  const id = binding.makeHandle(HandleKind.context, 0, 0, 0);
  if (id < 0) throw contextFailed();
  return adopt(new Context(new Arrived(id)), id);
}

// select: the first of several things, each with the same chance if several are ready.
//
// Cases on local channels wait in JavaScript, those on shared ones and on contexts natively, in one
// wait; a local one is served only after the native wait has been claimed, so one case commits.
import { binding } from './binding.js';
import { Channel } from './channel.js';
import type { Received } from './channel.js';
import { Context } from './context.js';
import { Entry, received } from './local-channel.js';
import type { LocalChannel, Owner } from './local-channel.js';
import { entries, kMostAtOnce, settleLocal, state, State, values } from './mail.js';
import { Moved } from './move.js';
import { refuse, rejected } from './refuse.js';
import { follow, signalOf, unfollow } from './signals.js';
import type { WaitOptions } from './signals.js';
import * as waits from './waits.js';
import { Mode, WaitStatus } from './waits.js';

declare const result: unique symbol;

const kReceives = 0;
const kSends = 1;
const kAfter = 2;
const kDone = 3;

/** One of the things to wait for; see {@link recv}, {@link send}, {@link after}, {@link done}. */
export class Case<R> {
  declare readonly [result]: R;
  constructor(
    /** @internal */ readonly kind: number,
    /** @internal */ readonly target: unknown,
    /** @internal */ readonly value: unknown,
  ) {}
}

/** To receive. The result has `ok` and `value`, as that of `channel.recv`. */
export function recv<T>(channel: Channel<T>): Case<Received<T>> {
  if (!(channel instanceof Channel)) refuse('recv', 'a Channel', channel);
  return new Case(kReceives, channel, undefined);
}

/** To send. The result has `ok`: false if the channel is closed. */
export function send<T>(channel: Channel<T>, value: T): Case<{ readonly ok: boolean }> {
  if (!(channel instanceof Channel)) refuse('send', 'a Channel', channel);
  Channel.check(channel, value);
  // Several cases may be given the same bytes, so they are copied when one is chosen.
  return new Case(kSends, channel, value instanceof Moved ? value.bytes : value);
}

/** After `ms` milliseconds; never if Infinity. */
export function after(ms: number): Case<{ readonly ok: true }> {
  if (typeof ms !== 'number' || Number.isNaN(ms)) refuse('after', 'a number of milliseconds', ms);
  return new Case(kAfter, Math.max(ms, 0), undefined);
}

/** When the context is done. The result has `reason`. */
export function done(ctx: Context): Case<{ readonly ok: true; readonly reason: unknown }> {
  if (!(ctx instanceof Context)) refuse('done', 'a Context', ctx);
  return new Case(kDone, ctx, undefined);
}

type AnyCase = Case<unknown> | undefined;
type Cases = Readonly<Record<string, AnyCase>> | readonly AnyCase[];

type KeyOf<C extends Cases> = C extends readonly AnyCase[]
  ? Extract<keyof C, `${number}`> extends never
    ? number
    : Extract<keyof C, `${number}`> extends `${infer N extends number}`
      ? N
      : number
  : keyof C & string;

type CaseAt<C extends Cases, K> = C extends readonly AnyCase[]
  ? K extends number
    ? C[K]
    : never
  : K extends keyof C
    ? C[K]
    : never;

type ResultOf<X> = X extends Case<infer R> ? R : never;

/** What was chosen: its key, or index, and what that case gives. */
export type Selected<C extends Cases> = {
  [K in KeyOf<C>]: { readonly key: K } & ResultOf<NonNullable<CaseAt<C, K>>>;
}[KeyOf<C>];

/** The cases in the form in which they are waited for. */
class Plan {
  readonly keys: (string | number)[] = [];
  readonly cases: Case<unknown>[] = [];
  /** Milliseconds to the first `after`, and its index; -1: there is none. */
  timeoutMs = -1;
  timeoutIndex = -1;
  /** What is sent to native channels, and how it is given; by case. */
  readonly given: unknown[] = [];
  readonly modes: (number | undefined)[] = [];

  constructor(cases: Cases) {
    if (typeof cases !== 'object' || cases === null) {
      refuse('cases', 'an object or an array of cases', cases);
    }
    for (const key of Object.keys(cases)) {
      const each = (cases as Record<string, AnyCase>)[key];
      if (each === undefined) continue;
      if (!(each instanceof Case)) {
        refuse(`case ${key}`, 'recv(…), send(…), after(…), done(…) or undefined', each);
      }
      if (each.kind === kAfter && each.target !== Infinity) {
        const ms = each.target as number;
        if (this.timeoutIndex < 0 || ms < this.timeoutMs) {
          this.timeoutMs = ms;
          this.timeoutIndex = this.cases.length;
        }
      }
      this.keys.push(Array.isArray(cases) ? Number(key) : key);
      this.cases.push(each);
    }
    if (this.cases.length > kMostAtOnce) {
      refuse('cases', `at most ${kMostAtOnce} of them`, this.cases.length);
    }
  }

  /**
   * Encodes what is sent to native channels, once. That shares the channels in it, so it comes
   * before anybody looks at which cases are native.
   */
  encode(): void {
    for (let isNew = true; isNew;) {
      isNew = false;
      for (const [index, each] of this.cases.entries()) {
        if (each.kind !== kSends || this.modes[index] !== undefined || !isNative(each)) continue;
        this.given[index] = waits.give(each.value, true);
        this.modes[index] = waits.givenMode;
        isNew = true;
      }
    }
  }

  /** What a chosen case gives. Throws for one that is abandoned, or without memory. */
  resultOf(index: number, status: number, value: unknown): object {
    const key = this.keys[index]!;
    const each = this.cases[index]!;
    if (status !== WaitStatus.done && status !== WaitStatus.closed) {
      throw waits.waitError(status, `select, case ${key}`);
    }
    const ok = status === WaitStatus.done;
    switch (each.kind) {
      case kReceives:
        return ok ? { key, ok, value } : { key, ok };
      case kDone:
        return { key, ok, reason: (each.target as Context).err };
      default:
        return { key, ok };
    }
  }
}

function localOf(each: Case<unknown>): LocalChannel | undefined {
  return each.kind <= kSends ? Channel.localOf(each.target as Channel<unknown>) : undefined;
}

function isNative(each: Case<unknown>): boolean {
  return each.kind === kDone || (each.kind <= kSends && localOf(each) === undefined);
}

/** What {@link tryLocal} and {@link describeNative} have found. */
let foundIndex = -1;
let foundStatus = 0;
let foundValue: unknown;
const nativeIndex: number[] = [];

function readyLocals(plan: Plan): number[] {
  const ready: number[] = [];
  for (const [index, each] of plan.cases.entries()) {
    const local = localOf(each);
    if (local === undefined) continue;
    if (each.kind === kSends ? local.canSend() : local.canReceive()) ready.push(index);
  }
  return ready;
}

/** Commits a local case that is ready; false if it is not after all. */
function tryLocal(plan: Plan, index: number): boolean {
  const each = plan.cases[index]!;
  const local = localOf(each)!;
  const status = each.kind === kSends ? local.sendNow(each.value) : local.receiveNow();
  if (status === WaitStatus.notReady) return false;
  foundIndex = index;
  foundStatus = status;
  foundValue = status === WaitStatus.done && each.kind === kReceives ? received : undefined;
  return true;
}

/** Writes the native cases, or one of them, where a call expects them; their number. */
function describeNative(plan: Plan, only = -1): number {
  nativeIndex.length = 0;
  for (const [index, each] of plan.cases.entries()) {
    if (!isNative(each) || (only >= 0 && index !== only)) continue;
    const at = nativeIndex.length;
    entries[3 * at] = (each.target as Channel<unknown>).toHandle();
    entries[3 * at + 1] = each.kind === kSends ? kSends : kReceives;
    entries[3 * at + 2] = plan.modes[index] ?? Mode.none;
    values[at] = plan.given[index];
    nativeIndex.push(index);
  }
  return nativeIndex.length;
}

function clearGiven(count: number): void {
  for (let at = 0; at < count; at += 1) values[at] = undefined;
}

/** Tries the native cases, or one of them; true if one was committed. */
function tryNative(plan: Plan, only = -1): boolean {
  const count = describeNative(plan, only);
  if (count === 0) return false;
  binding.waitForAny(waits.kNoSlot, count, -1);
  return readNative(count);
}

function readNative(count: number): boolean {
  const status = state[State.status]!;
  if (status >= WaitStatus.pending) {
    clearGiven(count);
    return false;
  }
  foundIndex = nativeIndex[state[State.index]!] ?? 0;
  foundStatus = status;
  foundValue = status === WaitStatus.done ? waits.takenValue() : undefined;
  clearGiven(count);
  return true;
}

/** One of the cases that are ready at this instant, each with about the same chance. */
function tryNow(plan: Plan): boolean {
  plan.encode();
  const ready = readyLocals(plan);
  if (ready.length > 0) {
    // Which native ones are ready as well, only a try can tell: each for itself, in random order.
    for (const [index, each] of plan.cases.entries()) if (isNative(each)) ready.push(index);
    while (ready.length > 0) {
      const index = ready.splice(Math.floor(Math.random() * ready.length), 1)[0]!;
      const isLocal = localOf(plan.cases[index]!) !== undefined;
      if (isLocal ? tryLocal(plan, index) : tryNative(plan, index)) return true;
    }
  }
  if (tryNative(plan)) return true;
  if (plan.timeoutIndex < 0 || plan.timeoutMs > 0) return false;
  foundIndex = plan.timeoutIndex;
  foundStatus = WaitStatus.done;
  return true;
}

/** A select that waits. */
class Selecting implements Owner, waits.Waiting {
  readonly #plan: Plan;
  readonly #signal: AbortSignal | undefined;
  readonly #deadline: number;
  readonly promise: Promise<unknown>;
  readonly #resolve: (value: unknown) => void;
  readonly #locals: Entry[] = [];
  #natives: number[] = [];
  #slot = -1;
  #isOver = false;

  constructor(plan: Plan, signal: AbortSignal | undefined) {
    this.#plan = plan;
    this.#signal = signal;
    this.#deadline = plan.timeoutIndex < 0 ? Infinity : performance.now() + plan.timeoutMs;
    this.promise = waits.newPromise();
    this.#resolve = waits.lastResolver();
    this.#begin();
    if (signal !== undefined && !this.#isOver) follow(signal, this);
  }

  #begin(): void {
    this.#beginNative();
    if (this.#isOver) return;
    for (const [index, each] of this.#plan.cases.entries()) {
      const local = localOf(each);
      if (local === undefined) continue;
      const entry = new Entry(this, index, each.value);
      (each.kind === kSends ? local.senders : local.receivers).push(entry);
      this.#locals.push(entry);
    }
  }

  #beginNative(): void {
    const count = describeNative(this.#plan);
    const timed = this.#deadline !== Infinity;
    if (count === 0 && !timed) return;
    this.#natives = [...nativeIndex];
    this.#slot = waits.takeSlot(this);
    const timeoutMs = timed ? Math.max(this.#deadline - performance.now(), 0) : -1;
    binding.waitForAny(this.#slot, count, timeoutMs);
    if (!readNative(count)) return;
    waits.giveSlot(this.#slot);
    this.#slot = -1;
    this.#end(foundIndex, foundStatus, foundValue);
  }

  #withdraw(): void {
    for (const entry of this.#locals) entry.unlink();
    this.#locals.length = 0;
  }

  #end(index: number, status: number, value: unknown): void {
    this.#isOver = true;
    this.#withdraw();
    if (this.#signal !== undefined) unfollow(this.#signal, this);
    try {
      this.#resolve(this.#plan.resultOf(index, status, value));
    } catch (error) {
      this.#resolve(rejected(error));
    }
  }

  claim(): boolean {
    if (this.#isOver) return false;
    if (this.#slot >= 0) {
      if (!binding.cancelWait(this.#slot)) return false; // served natively; the mail is on its way
      waits.giveSlot(this.#slot);
      this.#slot = -1;
    }
    this.#isOver = true;
    return true;
  }

  complete(index: number, status: number, value: unknown): void {
    this.#end(index, status, value);
  }

  settle(status: number, index: number, value: unknown): void {
    this.#slot = -1;
    if (status === WaitStatus.timedOut) {
      this.#end(this.#plan.timeoutIndex, WaitStatus.done, undefined);
    } else {
      this.#end(this.#natives[index]!, status, value);
    }
  }

  cancel(reason: unknown): void {
    if (!this.claim()) return;
    this.#withdraw();
    if (this.#signal !== undefined) unfollow(this.#signal, this);
    this.#resolve(rejected(reason));
    settleLocal();
  }

  restart(): void {
    if (!this.claim()) return;
    this.#isOver = false;
    this.#withdraw();
    try {
      if (tryNow(this.#plan)) this.#end(foundIndex, foundStatus, foundValue);
      else this.#begin();
    } catch (error) {
      this.#isOver = true;
      if (this.#signal !== undefined) unfollow(this.#signal, this);
      this.#resolve(rejected(error));
    }
  }
}

/**
 * Waits for the first of the cases, in an object or an array; those that are undefined are never
 * chosen. Rejects with the signal's reason; then no case has happened.
 *
 * @example
 * const r = await select({ job: recv(jobs), full: send(out, 1), tick: after(50), stop: done(x) });
 * switch (r.key) {
 *   case 'job':
 *     if (r.ok) use(r.value);
 * }
 */
export function select<const C extends Cases>(
  cases: C,
  options?: WaitOptions,
): Promise<Selected<C>> {
  const plan = new Plan(cases);
  const signal = signalOf(options);
  if (signal?.aborted) return rejected(signal.reason);
  if (tryNow(plan)) {
    const [index, status, value] = [foundIndex, foundStatus, foundValue];
    settleLocal();
    try {
      return Promise.resolve(plan.resultOf(index, status, value) as Selected<C>);
    } catch (error) {
      return rejected(error);
    }
  }
  const { promise } = new Selecting(plan, signal);
  settleLocal();
  return promise as Promise<Selected<C>>;
}

/** Go's default: what is ready at this instant, or undefined. */
select.now = function now<const C extends Cases>(cases: C): Selected<C> | undefined {
  const plan = new Plan(cases);
  if (!tryNow(plan)) return undefined;
  const [index, status, value] = [foundIndex, foundStatus, foundValue];
  settleLocal();
  return plan.resultOf(index, status, value) as Selected<C>;
};

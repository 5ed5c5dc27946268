// Waits of this isolate that native code knows: each has a slot, and ends once, by what it waited
// for or by a cancellation.
import { binding } from './binding.js';
import { encodeMessage } from './encode.js';
import { HeddleError, nativeError } from './errors.js';
import { Shareable } from './handle.js';
import { onWait, readValue, settleLocal, state, State } from './mail.js';
import { isBlock, leave, Moved } from './move.js';
import { rejected } from './refuse.js';
import { follow, unfollow } from './signals.js';

/** How a try or a wait has ended; as in native code. */
export const WaitStatus = {
  done: 0,
  closed: 1,
  abandoned: 2,
  timedOut: 3,
  noMemory: 4,
  pending: 8,
  notReady: 9,
} as const;

/** How a value is given to native code. */
export const Mode = {
  none: 0,
  number: 1,
  any: 2,
  outbox: 3,
  bytes: 4,
  handle: 5,
  moved: 6,
  copied: 7,
} as const;

/** Who waits; as in native code. A listener does not hold the event loop open. */
export const WaitKind = { promise: 0, thread: 1, listener: 2 } as const;

export const kNoSlot = 0xffff_ffff;

/** What is to be done when a wait has ended otherwise than by a cancellation. */
export interface Waiting {
  /** `value` is what was received, if the status is done. */
  settle(status: number, index: number, value: unknown): void;
}

const waitings: (Waiting | undefined)[] = [];
const freeSlots: number[] = [];

export function takeSlot(waiting: Waiting): number {
  const slot = freeSlots.pop() ?? waitings.length;
  waitings[slot] = waiting;
  return slot;
}

export function giveSlot(slot: number): void {
  waitings[slot] = undefined;
  freeSlots.push(slot);
}

onWait((slot, word, at) => {
  const waiting = waitings[slot]!;
  giveSlot(slot);
  const status = (word >>> 5) & 7;
  const value = status === WaitStatus.done ? readValue(word & 15, at) : undefined;
  waiting.settle(status, word >>> 8, value);
});

/** What a failed wait is to a user; `what` names it. */
export function waitError(status: number, what: string): HeddleError {
  switch (status) {
    case WaitStatus.abandoned:
      return new HeddleError(
        'ERR_HEDDLE_ABANDONED',
        `${what}: expected somebody else to hold it, got nobody`,
      );
    case WaitStatus.closed:
      return new HeddleError('ERR_HEDDLE_CLOSED', `${what}: expected it to be open, got closed`);
    default:
      return nativeError('ERR_HEDDLE_MEMORY');
  }
}

/**
 * Mode and argument of a value for native code; a message is in the outbox unless `apart`. `name`
 * is what it is to the user, if it cannot be cloned.
 */
export let givenMode = 0;
export function give(value: unknown, apart = false, name = 'value'): unknown {
  switch (typeof value) {
    case 'number':
      givenMode = Mode.number;
      return value;
    case 'undefined':
      givenMode = Mode.none;
      return undefined;
    case 'string': // quicker this way than by Node-API
    case 'object':
    case 'function':
    case 'symbol': {
      if (value === null || ArrayBuffer.isView(value) || value instanceof ArrayBuffer) break;
      if (value instanceof Moved) return giveMoved(value as Moved<ArrayBuffer>);
      if (value instanceof Shareable) {
        const id = value.toHandle(); // which may give what lies in it
        givenMode = Mode.handle;
        return id;
      }
      const message = encodeMessage(value, apart, name);
      givenMode = message.bytes === undefined ? Mode.outbox : Mode.bytes;
      return message.bytes ?? message.length;
    }
  }
  givenMode = Mode.any;
  return value;
}

// Bytes that are on their way to be given away.
let leaving: ArrayBufferView | ArrayBuffer | undefined;
let alsoLeaving: (ArrayBufferView | ArrayBuffer)[] = [];

export function giveMoved({ bytes }: Moved<ArrayBufferView | ArrayBuffer>): unknown {
  if (leaving === undefined) leaving = bytes;
  else alsoLeaving.push(bytes);
  givenMode = isBlock(bytes) ? Mode.moved : Mode.copied;
  return bytes;
}

/** After a call: what was given away is gone, if native code has taken it. */
export function settleGiven(wasTaken: boolean): void {
  if (leaving === undefined) return;
  const bytes = leaving;
  leaving = undefined;
  leave(bytes, wasTaken);
  if (alsoLeaving.length === 0) return;
  const others = alsoLeaving;
  alsoLeaving = [];
  for (const each of others) leave(each, wasTaken);
}

function isTaken(status: number): boolean {
  return status === WaitStatus.done || status === WaitStatus.pending;
}

let captured: unknown;
const capture = (resolve: unknown): void => {
  captured = resolve;
};

/** A promise and, in `resolver`, the function that resolves it. */
export function newPromise<T>(): Promise<T> {
  return new Promise<T>(capture as never);
}
export function lastResolver(): (value: unknown) => void {
  return captured as (value: unknown) => void;
}

/** For operations that give nothing and need not wait: one for all. */
export const kResolved = Promise.resolve();

/** One operation of a handle: at once, or as a promise. `outcome` turns the end into its result. */
export function waitOn<T>(
  id: number,
  queue: number,
  mode: number,
  given: unknown,
  signal: AbortSignal | undefined,
  timeoutMs: number,
  outcome: (status: number, value: unknown) => T,
  kind: number = WaitKind.promise,
): Promise<T> {
  if (signal?.aborted) return rejected(signal.reason);
  const waiting = new HandleWait(outcome);
  const slot = takeSlot(waiting);
  try {
    binding.waitOn(id, queue, mode, given, slot, timeoutMs, kind);
  } catch (error) {
    settleGiven(false);
    giveSlot(slot);
    throw error;
  }
  const status = state[State.status]!;
  settleGiven(isTaken(status));
  if (status !== WaitStatus.pending) {
    giveSlot(slot);
    const value = status === WaitStatus.done ? readValue(state[State.valueKind]!, 0) : undefined;
    settleLocal();
    try {
      const result = outcome(status, value);
      return result === undefined ? (kResolved as Promise<T>) : Promise.resolve(result);
    } catch (error) {
      return rejected(error);
    }
  }
  const promise = waiting.begin(slot, signal);
  settleLocal();
  return promise as Promise<T>;
}

class HandleWait<T> implements Waiting {
  #resolve: ((value: unknown) => void) | undefined;
  #slot = 0;
  #signal: AbortSignal | undefined;
  readonly #outcome: (status: number, value: unknown) => T;

  constructor(outcome: (status: number, value: unknown) => T) {
    this.#outcome = outcome;
  }

  begin(slot: number, signal: AbortSignal | undefined): Promise<unknown> {
    const promise = newPromise();
    this.#resolve = lastResolver();
    this.#slot = slot;
    if (signal !== undefined) {
      this.#signal = signal;
      follow(signal, this);
    }
    return promise;
  }

  settle(status: number, _index: number, value: unknown): void {
    if (this.#signal !== undefined) unfollow(this.#signal, this);
    try {
      this.#resolve!(this.#outcome(status, value));
    } catch (error) {
      this.#resolve!(rejected(error));
    }
  }

  cancel(reason: unknown): void {
    if (!binding.cancelWait(this.#slot)) return; // what it waited for came first
    giveSlot(this.#slot);
    if (this.#signal !== undefined) unfollow(this.#signal, this);
    this.#resolve!(rejected(reason));
    settleLocal();
  }
}

/** A try that leaves nothing behind: its status; the value is for {@link takenValue}. */
export function tryOn(id: number, queue: number, mode: number, given: unknown): number {
  try {
    binding.waitOn(id, queue, mode, given, kNoSlot, -1, WaitKind.promise);
  } finally {
    settleGiven(isTaken(state[State.status]!));
  }
  return state[State.status]!;
}

/** The same for the two sides of a channel. */
export function trySend(id: number, value: unknown): number {
  const given = give(value);
  try {
    binding.trySend(id, givenMode, given);
  } finally {
    settleGiven(state[State.status] === WaitStatus.done);
  }
  return state[State.status]!;
}

export function tryReceive(id: number): number {
  binding.tryReceive(id);
  return state[State.status]!;
}

export function takenValue(): unknown {
  return readValue(state[State.valueKind]!, 0);
}

const kSliceMs = 20;

// A function of its own: V8 looks at each call whether the thread is to be terminated, but in a
// loop that is interpreted only once in a while.
function sleepSlice(slot: number): boolean {
  return binding.sleepOn(slot, kSliceMs);
}

/**
 * The thread itself waits, in slices, between which `terminate()` and signals get their chance.
 * Returns the status.
 */
export function waitSync(
  id: number,
  queue: number,
  mode: number,
  given: unknown,
  signal: AbortSignal | undefined,
): number {
  const slot = takeSlot({ settle: () => {} });
  try {
    try {
      binding.waitOn(id, queue, mode, given, slot, -1, WaitKind.thread);
    } finally {
      settleGiven(isTaken(state[State.status]!));
    }
    if (state[State.status] !== WaitStatus.pending) return state[State.status]!;
    while (!sleepSlice(slot)) {
      if (signal?.aborted && binding.cancelWait(slot)) throw signal.reason;
    }
    return state[State.status]!;
  } finally {
    giveSlot(slot);
  }
}

// What native code and JavaScript share in one isolate, and the dispatcher of what has ended.
//
// Calls answer in `state`, and put values where `readValue` finds them: no object crosses for a
// number.
import { binding, Status } from './binding.js';
import { decodeMessage } from './decode.js';
import { noteBlock } from './move.js';
import { nativeError } from './errors.js';
import { outbox, scratch } from './scratch.js';
import { handleOf } from './handle.js';

const kBatch = 1024;

/** Two numbers for each of a batch: slot and status. */
export const entries = new Uint32Array(3 * kBatch);
export const numbers = new Float64Array(kBatch);
export const values: unknown[] = new Array<unknown>(kBatch).fill(undefined);
export const state = new Uint32Array(8);

/** Places in `state`. */
export const State = { status: 0, valueKind: 1, localMail: 2, index: 3, wants: 4 } as const;

export const kMostAtOnce = kBatch;

export function takeValue(at: number): unknown {
  const value = values[at];
  values[at] = undefined;
  return value;
}

/** The value of kind `kind` (a {@link Status}) at place `at`. */
export function readValue(kind: number, at: number): unknown {
  switch (kind) {
    case Status.undefined:
      return undefined;
    case Status.number:
      return numbers[at];
    case Status.message:
      return decodeMessage(scratch, numbers[at]!);
    case Status.largeMessage:
      return decodeMessage(takeValue(at) as Uint8Array, 0);
    case Status.handle:
      return handleOf(numbers[at]!);
    case Status.block:
      return noteBlock(takeValue(at) as ArrayBufferView | ArrayBuffer);
    case Status.failed:
      throw nativeError('ERR_HEDDLE_MEMORY');
    default:
      return takeValue(at);
  }
}

const kIsWait = 16;

let settleTask: (slot: number, status: number, at: number) => void;
let settleWait: (slot: number, word: number, at: number) => void;

export function onTask(settle: typeof settleTask): void {
  settleTask = settle;
}
export function onWait(settle: typeof settleWait): void {
  settleWait = settle;
}

/** What others may want of this isolate besides; bits. */
export const Want = { tasks: 2, manage: 4 } as const;

const wanted: { want: number; look: () => void }[] = [];

export function onWant(want: number, look: () => void): void {
  wanted.push({ want, look });
}

function lookAtWants(): void {
  const wants = state[State.wants]!;
  state[State.wants] = 0;
  for (const { want, look } of wanted) if ((wants & want) !== 0) look();
}

let isSettling = false;

// Reactions of the promises run after it, as microtasks.
export function dispatch(): void {
  // The end of a task may serve waits, which come after those that are in the arrays now.
  if (isSettling) return;
  isSettling = true;
  try {
    settleAll();
  } finally {
    isSettling = false;
  }
  if (state[State.wants] !== 0) lookAtWants();
}

function settleAll(): void {
  for (let count = binding.take(); count !== 0; count = binding.take()) {
    for (let at = 0; at < count; at += 1) {
      const word = entries[2 * at + 1]!;
      if ((word & kIsWait) === 0) settleTask(entries[2 * at]!, word, at);
      else settleWait(entries[2 * at]!, word, at);
    }
  }
}

/** After a call that may have served waits of this very isolate. */
export function settleLocal(): void {
  if (state[State.localMail] !== 0) dispatch();
}

binding.attach(dispatch, nativeError, entries, numbers, values, scratch, state, outbox);

// Tasks, and the dispatcher that settles them in batches.
//
// Always true: a pending task has a slot in the dense array, and its slot number is all that native
// code knows of it. Free slots are reused last in, first out.
import { binding, Status } from './binding.js';
import type { NativeFailure } from './binding.js';
import { HeddleError, nativeError } from './errors.js';

export type TaskState = 'runnable' | 'running' | 'waiting' | 'done' | 'failed' | 'cancelled';

/** A promise of a spawned task's result. */
export interface Task<T> extends Promise<T> {
  readonly id: number;
  readonly name: string;
  readonly state: TaskState;
  /** Asks it to end: cooperative, nothing is killed. Rejects with `reason`, or an AbortError. */
  cancel(reason?: unknown): void;
}

const kStates: readonly TaskState[] = ['runnable', 'running', 'waiting'];

let newResolve: (value: unknown) => void;
const capture = (resolve: (value: unknown) => void): void => {
  newResolve = resolve;
};

/** How a task ends: `done`, `failed` or `cancelled`; empty while it is pending. */
type Ending = '' | 'done' | 'failed' | 'cancelled';

/** What few tasks have: the reason of their cancellation, and a signal's listener to remove. */
interface Cancellation {
  reason: unknown;
  release: (() => void) | undefined;
}

const tasks: (TaskPromise<unknown> | undefined)[] = [];
const freeSlots: number[] = [];
let nextId = 1;

export class TaskPromise<T> extends Promise<T> implements Task<T> {
  readonly id: number;
  readonly name: string;
  readonly slot: number;
  ending: Ending;
  cancellation: Cancellation | undefined;
  // The only function that is kept: a hundred thousand pending tasks are work for V8's collector,
  // and a promise that is resolved with a rejected one is rejected.
  resolve: (value: unknown) => void;

  constructor(name: string) {
    super(capture as never);
    this.id = nextId++;
    this.name = name;
    this.slot = freeSlots.pop() ?? tasks.length;
    this.ending = '';
    this.cancellation = undefined;
    this.resolve = newResolve;
    tasks[this.slot] = this;
  }

  get state(): TaskState {
    if (this.ending !== '') return this.ending;
    return kStates[binding.state(this.slot)] ?? 'running';
  }

  cancel(reason?: unknown): void {
    if (this.ending !== '' || this.cancellation?.reason !== undefined) return;
    this.cancellation = {
      reason: reason ?? new DOMException(`task ${this.name} was cancelled`, 'AbortError'),
      release: this.cancellation?.release,
    };
    if (binding.cancel(this.slot)) {
      giveSlot(this);
      endCancelled(this);
    }
  }
}
// V8 awaits a promise without a wrapper if its `constructor` is Promise itself: so the prototype
// has no own one, and derived promises (then, catch) are plain ones.
delete (TaskPromise.prototype as { constructor?: unknown }).constructor;

function giveSlot(task: TaskPromise<unknown>): void {
  tasks[task.slot] = undefined;
  freeSlots.push(task.slot);
  if (task.cancellation !== undefined) task.cancellation.release?.();
}

function reject(task: TaskPromise<unknown>, reason: unknown): void {
  // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- the user's own
  task.resolve(Promise.reject(reason));
}

function endCancelled(task: TaskPromise<unknown>): void {
  task.ending = 'cancelled';
  // The rejection is the caller's own doing, so nobody has to await it.
  task.catch(() => {});
  reject(task, task.cancellation?.reason);
}

/** Ties a task to a signal. The listener is gone when the task has settled. */
function followSignal(task: TaskPromise<unknown>, signal: AbortSignal): void {
  const onAbort = (): void => task.cancel(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  const release = (): void => signal.removeEventListener('abort', onAbort);
  task.cancellation = { reason: undefined, release };
}

/**
 * A task for `start` to begin, which is given the slot. What it throws, or the code that it
 * returns, is thrown: nothing was queued then. A signal that has fired keeps it from beginning.
 */
export function startTask<T>(
  name: string,
  signal: AbortSignal | undefined,
  start: (slot: number) => string | undefined,
): Task<T> {
  const task = new TaskPromise<T>(name);
  if (signal?.aborted) {
    giveSlot(task);
    task.cancellation = { reason: signal.reason, release: undefined };
    endCancelled(task);
    return task;
  }
  let refusal: string | undefined;
  try {
    refusal = start(task.slot);
  } catch (error) {
    giveSlot(task);
    throw error;
  }
  if (refusal !== undefined) refuseTask(task, refusal);
  if (signal !== undefined) followSignal(task, signal);
  return task;
}

/** Gives the slot of a task back that native code has refused, and throws why. */
export function refuseTask(task: TaskPromise<unknown>, code: string): never {
  giveSlot(task);
  throw nativeError(code);
}

function failureOf(failure: NativeFailure): Error {
  const [code, type, message, errno, errnoName, syscall, path] = failure;
  if (code !== '') return nativeError(code);
  if (errno === 0) {
    return new HeddleError('ERR_HEDDLE_KERNEL', type === '' ? message : `${type}: ${message}`);
  }
  const words = `${errnoName}: ${message}, ${syscall} '${path}'`;
  return Object.assign(new Error(words), { code: errnoName, errno, syscall, path });
}

const kBatch = 1024;
const entries = new Uint32Array(2 * kBatch);
const numbers = new Float64Array(kBatch);
const values: unknown[] = new Array<unknown>(kBatch).fill(undefined);

function settle(at: number): void {
  const task = tasks[entries[2 * at]!]!;
  giveSlot(task);
  switch (entries[2 * at + 1]) {
    case Status.undefined:
      task.ending = 'done';
      task.resolve(undefined);
      break;
    case Status.number:
      task.ending = 'done';
      task.resolve(numbers[at]);
      break;
    case Status.value: {
      const value = values[at];
      values[at] = undefined;
      task.ending = 'done';
      task.resolve(value);
      break;
    }
    case Status.cancelled:
      endCancelled(task);
      break;
    default: {
      const failure = values[at] as NativeFailure;
      values[at] = undefined;
      task.ending = 'failed';
      reject(task, failureOf(failure));
    }
  }
}

// Reactions of the promises run after it, as microtasks.
function dispatch(): void {
  for (let count = binding.take(); count !== 0; count = binding.take()) {
    for (let at = 0; at < count; at += 1) settle(at);
  }
}

binding.attach(dispatch, nativeError, entries, numbers, values);

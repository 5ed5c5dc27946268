// Tasks, and the dispatcher that settles them in batches.
//
// Always true: a pending task has a slot in the dense array, and its slot number is all that native
// code knows of it. Free slots are reused last in, first out.
import { binding, Status } from './binding.js';
import type { NativeFailure } from './binding.js';
import { HeddleError, nativeError } from './errors.js';
import { numbers, onTask, readValue, takeValue } from './mail.js';
import { rejected } from './refuse.js';
import { follow, unfollow } from './signals.js';
import { rejectedForCaller } from './stacks.js';

export type TaskState = 'runnable' | 'running' | 'waiting' | 'done' | 'failed' | 'cancelled';

/** A promise of a spawned task's result. */
export interface Task<T> extends Promise<T> {
  readonly id: number;
  readonly name: string;
  readonly state: TaskState;
  /** Asks it to end: cooperative, nothing is killed. Rejects with `reason`, or an AbortError. */
  cancel(reason?: unknown): void;
}

// Of a status: the kind of the value, whether it was thrown, the kind of a cancellation's reason.
const kKinds = 15;
const kIsThrown = 1 << 5;
const kReasonShift = 8;

const kStates: readonly TaskState[] = ['runnable', 'running', 'waiting'];

let newResolve: (value: unknown) => void;
const capture = (resolve: (value: unknown) => void): void => {
  newResolve = resolve;
};

/** Who looks after a task besides. */
export interface TaskKeeper {
  /** True if it has ended by this. */
  cancel(slot: number, reason: unknown): boolean;
  /** However it has ended; its slot is free by now. */
  ended(): void;
}

/** How a task ends: `done`, `failed` or `cancelled`; empty while it is pending. */
type Ending = '' | 'done' | 'failed' | 'cancelled';

const tasks: (TaskPromise<unknown> | undefined)[] = [];
const freeSlots: number[] = [];
let nextId = 1;

export class TaskPromise<T> extends Promise<T> implements Task<T> {
  readonly id: number;
  readonly name: string;
  readonly #slot: number;
  #ending: Ending = '';
  // The reason of a cancellation that is on its way, in an array because a reason may be anything.
  #cancelled: [reason: unknown] | undefined;
  #signal: AbortSignal | undefined;
  // The only function that is kept: a hundred thousand pending tasks are work for V8's collector,
  // and a promise that is resolved with a rejected one is rejected.
  readonly #resolve: (value: unknown) => void;
  // Of a task of JavaScript.
  #keeper: TaskKeeper | undefined;

  constructor(name: string) {
    super(capture as never);
    this.id = nextId++;
    this.name = name;
    this.#resolve = newResolve;
    this.#slot = freeSlots.pop() ?? tasks.length;
    tasks[this.#slot] = this;
  }

  get state(): TaskState {
    if (this.#ending !== '') return this.#ending;
    return kStates[binding.state(this.#slot)] ?? 'running';
  }

  cancel(reason?: unknown): void {
    if (this.#ending !== '' || this.#cancelled !== undefined) return;
    this.#cancelled = [
      reason === undefined
        ? new DOMException(`task ${this.name} was cancelled`, 'AbortError')
        : reason,
    ];
    const ended =
      this.#keeper === undefined
        ? binding.cancel(this.#slot)
        : this.#keeper.cancel(this.#slot, this.#cancelled[0]);
    if (!ended) return;
    this.#giveSlot();
    this.#endCancelled();
  }

  /**
   * A task for `begin` to start, which is given the slot. What it throws, or the code that it
   * returns, is thrown: nothing was queued then. A signal that has fired keeps it from beginning.
   */
  static start<T>(
    name: string,
    signal: AbortSignal | undefined,
    begin: (slot: number) => string | undefined,
    keeper?: TaskKeeper,
  ): Task<T> {
    const task = new TaskPromise<T>(name);
    task.#keeper = keeper;
    if (signal?.aborted) {
      task.#giveSlot();
      task.#cancelled = [signal.reason];
      task.#endCancelled();
      return task;
    }
    let refusal: string | undefined;
    try {
      refusal = begin(task.#slot);
    } catch (error) {
      task.#giveSlot();
      throw error;
    }
    if (refusal !== undefined) task.#refuse(refusal);
    if (signal !== undefined) {
      task.#signal = signal;
      follow(signal, task);
    }
    return task;
  }

  /** The same for a kernel without arguments and options, which a burst of tasks is made of. */
  static startPlain(name: string, kernel: number): Task<unknown> {
    const task = new TaskPromise<unknown>(name);
    const refusal = binding.spawn(kernel, task.#slot);
    if (refusal !== undefined) task.#refuse(refusal);
    return task;
  }

  /** Settles the task of that slot; its result is at place `at`. */
  static settle(this: void, slot: number, status: number, at: number): void {
    const task = tasks[slot]!;
    task.#giveSlot();
    if (status > kKinds) {
      task.#endOtherwise(status, at);
      return;
    }
    switch (status) {
      case Status.undefined:
        task.#ending = 'done';
        task.#resolve(undefined);
        break;
      case Status.number:
        task.#ending = 'done';
        task.#resolve(numbers[at]);
        break;
      case Status.cancelled:
        task.#endCancelled();
        break;
      case Status.failed:
        task.#ending = 'failed';
        task.#rejectWith(failureOf(takeValue(at) as NativeFailure));
        break;
      default:
        task.#ending = 'done';
        task.#resolve(readValue(status, at));
    }
  }

  // A task of JavaScript that has thrown, or gave in to a cancellation.
  #endOtherwise(status: number, at: number): void {
    if ((status & kIsThrown) === 0) {
      this.#cancelled ??= [readValue(status >>> kReasonShift, at)];
      this.#endCancelled();
      return;
    }
    const error = readValue(status & kKinds, at);
    if (this.#cancelled !== undefined && isIsolateExit(error)) {
      this.#endCancelled(); // it was killed
      return;
    }
    this.#ending = 'failed';
    this.#resolve(rejectedForCaller(error));
  }

  #refuse(code: string): never {
    this.#giveSlot();
    throw nativeError(code);
  }

  #giveSlot(): void {
    tasks[this.#slot] = undefined;
    freeSlots.push(this.#slot);
    if (this.#signal !== undefined) unfollow(this.#signal, this);
    if (this.#keeper !== undefined) this.#keeper.ended();
  }

  #rejectWith(reason: unknown): void {
    this.#resolve(rejected(reason));
  }

  #endCancelled(): void {
    this.#ending = 'cancelled';
    // The rejection is the caller's own doing, so nobody has to await it.
    this.catch(() => {});
    this.#rejectWith(this.#cancelled?.[0]);
  }
}
// V8 awaits a promise without a wrapper if its `constructor` is Promise itself: so the prototype
// has no own one, and derived promises (then, catch) are plain ones.
delete (TaskPromise.prototype as { constructor?: unknown }).constructor;

function failureOf(failure: NativeFailure): Error {
  const [code, type, message, errno, errnoName, syscall, path] = failure;
  if (code !== '') return nativeError(code, message === '' ? undefined : message);
  if (errno === 0) {
    return new HeddleError('ERR_HEDDLE_KERNEL', type === '' ? message : `${type}: ${message}`);
  }
  const words = `${errnoName}: ${message}, ${syscall}`;
  // A file may be asked for by an empty path; what a socket fails at has none.
  if (path === '' && syscall !== 'open') {
    return Object.assign(new Error(words), { code: errnoName, errno, syscall });
  }
  return Object.assign(new Error(`${words} '${path}'`), { code: errnoName, errno, syscall, path });
}

function isIsolateExit(error: unknown): boolean {
  return error instanceof HeddleError && error.code === 'ERR_HEDDLE_ISOLATE_EXIT';
}

onTask(TaskPromise.settle);

// Tasks, and the dispatcher that settles them in batches.
//
// Always true: a pending task has a slot in the dense array, and its slot number is all that native
// code knows of it. Free slots are reused last in, first out.
import { binding, Status } from './binding.js';
import type { NativeFailure } from './binding.js';
import { HeddleError, isErrorCode } from './errors.js';

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
let newReject: (reason: unknown) => void;
const capture = (resolve: (value: unknown) => void, reject: (reason: unknown) => void): void => {
  newResolve = resolve;
  newReject = reject;
};

/** How a task ends: `done`, `failed` or `cancelled`; empty while it is pending. */
type Ending = '' | 'done' | 'failed' | 'cancelled';

export class TaskPromise<T> extends Promise<T> {
  declare readonly id: number;
  declare readonly name: string;
  declare slot: number;
  declare ending: Ending;
  declare reason: unknown;
  declare resolve: (value: unknown) => void;
  declare reject: (reason: unknown) => void;
  declare release: (() => void) | undefined;

  get state(): TaskState {
    if (this.ending !== '') return this.ending;
    return kStates[binding.taskState(this.slot)] ?? 'running';
  }

  cancel(reason?: unknown): void {
    if (this.ending !== '' || this.reason !== undefined) return;
    this.reason = reason ?? new DOMException(`task ${this.name} was cancelled`, 'AbortError');
    // The rejection is the caller's own doing, so nobody has to await it.
    this.catch(() => {});
    binding.cancel(this.slot);
  }
}
// V8 awaits a promise without a wrapper if its `constructor` is Promise itself: so the prototype has
// no own one, and derived promises (then, catch) are plain ones.
delete (TaskPromise.prototype as { constructor?: unknown }).constructor;

const tasks: (TaskPromise<unknown> | undefined)[] = [];
const freeSlots: number[] = [];
let nextId = 1;

export function createTask<T>(name: string): TaskPromise<T> {
  const task = new TaskPromise<T>(capture as never) as TaskPromise<T> & {
    id: number;
    name: string;
  };
  task.id = nextId++;
  task.name = name;
  task.slot = freeSlots.pop() ?? tasks.length;
  task.ending = '';
  task.reason = undefined;
  task.resolve = newResolve;
  task.reject = newReject;
  task.release = undefined;
  tasks[task.slot] = task as TaskPromise<unknown>;
  return task;
}

/** Gives back the slot of a task that was refused; its promise is never seen by anyone. */
export function discardTask(task: TaskPromise<unknown>): void {
  tasks[task.slot] = undefined;
  freeSlots.push(task.slot);
}

/** Ties a task to a signal. The listener is gone when the task has settled. */
export function followSignal(task: TaskPromise<unknown>, signal: AbortSignal): void {
  const onAbort = (): void => task.cancel(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  task.release = () => signal.removeEventListener('abort', onAbort);
}

function failureOf(failure: NativeFailure): Error {
  if (isErrorCode(failure.code)) return new HeddleError(failure.code, failure.message);
  if (failure.code === '') return new HeddleError('ERR_HEDDLE_KERNEL', failure.message);
  const { code, errno, syscall, path } = failure;
  return Object.assign(new Error(failure.message), { code, errno, syscall, path });
}

// One call per batch. Reactions of the promises run after it, as microtasks.
function dispatch(count: number, extras: unknown[] | undefined): void {
  let extra = 0;
  for (let i = 0; i < count; i += 1) {
    const slot = batch[i * 3]!;
    const task = tasks[slot]!;
    tasks[slot] = undefined;
    freeSlots.push(slot);
    if (task.release !== undefined) task.release();
    switch (batch[i * 3 + 1]) {
      case Status.undefined:
        task.ending = 'done';
        task.resolve(undefined);
        break;
      case Status.number:
        task.ending = 'done';
        task.resolve(batch[i * 3 + 2]);
        break;
      case Status.extra:
        task.ending = 'done';
        task.resolve(extras![extra++]);
        break;
      case Status.cancelled:
        task.ending = 'cancelled';
        task.reject(task.reason);
        break;
      default:
        task.ending = 'failed';
        task.reject(failureOf(extras![extra++] as NativeFailure));
    }
  }
}

const batch = binding.setDispatcher(dispatch);

// The whole native interface, typed, and the only place that loads it. Numbers and ids cross;
// objects are made in JavaScript.
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { HeddleError } from './errors.js';
import { isMainThread, workerThreads } from './thread.js';

/** What became of a task: the second number of its entry in a batch. */
export const Status = {
  undefined: 0,
  number: 1,
  value: 2,
  cancelled: 3,
  failed: 4,
  message: 5,
  largeMessage: 6,
  handle: 7,
  block: 8,
} as const;

/** A failed task: heddle's code, C++ class, message, errno (negative), its name, call and path. */
export type NativeFailure = readonly [
  code: string,
  type: string,
  message: string,
  errno: number,
  errnoName: string,
  syscall: string,
  path: string,
];

/** Nanoseconds: of the newest thread, and the median of the newest 256. */
export interface ThreadMeasure {
  last: number;
  median: number;
}

export interface NativeStats {
  processors: number;
  idleProcessors: number;
  machines: number;
  searching: number;
  globalQueue: number;
  spawned: number;
  started: number;
  exited: number;
  parked: number;
  readied: number;
  yielded: number;
  stealAttempts: number;
  steals: number;
  stolen: number;
  stealNs: number;
  timersFired: number;
  handOffs: number;
  idleSleeps: number;
  /** Looks for events of descriptors without waiting. */
  polls: number;
  /** Events of descriptors. */
  pollEvents: number;
  stacksEarned: number;
  monitorCpuNs: number;
  stacksInUse: number;
  stacksWarm: number;
  descriptorBytes: number;
  frameBytes: number;
  perProcessor: {
    queued: number;
    started: number;
    local: number;
    global: number;
    stolen: number;
  }[];
  /** Threads that tasks had for themselves: creation, the way to the kernel, the end. */
  threads: {
    started: number;
    createNs: ThreadMeasure;
    firstRunNs: ThreadMeasure;
    joinNs: ThreadMeasure;
  };
}

export interface NativeKernelInfo {
  name: string;
  argumentCount: number;
  /** Bits of the arguments that may be anything, and of those that are handles. */
  any: number;
  handles: number;
  stack: 'compact' | 'standard';
}

/** Bits of `mode`. */
export const StartMode = { compact: 1, standard: 2, lockToThread: 4, onThread: 8 } as const;

/** How a task of JavaScript was taken; as in native/addon/isolate_set.h. */
export const Pushed = { done: 0, grow: 1, closed: 2, noPlace: 3 } as const;

/** How it has ended, in the isolate that ran it. */
export const TaskOutcome = { value: 0, thrown: 1, cancelled: 2 } as const;

/** A start that was refused: nothing was queued. */
type Refused = string | undefined;

export interface Binding {
  /**
   * Once per isolate. `dispatch` is called when tasks have ended; `take` then writes their entries
   * (slot, status) and their result into `numbers` or `values`, at the same index.
   */
  attach(
    dispatch: () => void,
    makeError: (code: string, problem: string) => Error,
    entries: Uint32Array,
    numbers: Float64Array,
    values: unknown[],
    scratch: Uint8Array,
    state: Uint32Array,
    outbox: Uint8Array,
  ): void;
  /** How many entries it wrote; 0 at the end of the batch. */
  take(): number;
  /** For a kernel without arguments. */
  spawn(kernel: number, slot: number): Refused;
  /** `stackBytes` 0: the default. Throws if an argument is wrong. */
  spawnWith(
    kernel: number,
    slot: number,
    mode: number,
    stackBytes: number,
    name: string | undefined,
    count: number,
    /** How each argument is given, 4 bits each; see waits.ts. */
    modes: number,
    first?: unknown,
    second?: unknown,
    third?: unknown,
  ): Refused;
  sleep(slot: number, ms: number): Refused;
  /** True if the task has ended by this, and will not be dispatched. */
  cancel(slot: number): boolean;
  /** 0 runnable, 1 running, 2 waiting. */
  state(slot: number): number;
  kernels(): NativeKernelInfo[];

  // Handles: see handle.ts. -1: without memory.
  makeHandle(kind: number, number: number, most: number, tag: number): number;
  dropHandle(id: number): void;
  /** Length, count or permits; capacity; closed or locked; poisoned (0 to 3). */
  lookAt(id: number, what: number): number;
  /**
   * Closes, unlocks, releases, adds, ends: what the kind of handle does. False if it is refused.
   */
  act(id: number, number: number): boolean;
  noteHeld(id: number, exclusive: number, delta: number): void;
  childContext(parent: number, timeoutMs: number): number;
  cancelContext(id: number, mode: number, reason: unknown): boolean;
  /** True if there is one; it is where received values are. */
  contextReason(id: number): boolean;
  /** Of a block, zeroed; undefined without memory. */
  allocate(length: number): ArrayBuffer | undefined;
  /** The block of the view as a new one, in this isolate; `leave` is still to come. */
  carry<T extends ArrayBufferView | ArrayBuffer>(view: T): T;
  /** The block of the view goes back to the pool; `leave` is still to come. */
  free(view: ArrayBufferView | ArrayBuffer): void;
  /** Bytes that were given away leave this isolate; undefined: they stay. */
  leave(buffer: ArrayBuffer | undefined): void;
  shareHandle(id: number): number;
  /** (handle, kind), or -1. */
  adoptHandle(token: number): number;

  // Waits: see waits.ts and mail.ts. They answer in `state`.
  waitOn(
    id: number,
    queue: number,
    mode: number,
    given: unknown,
    slot: number,
    timeoutMs: number,
    kind: number,
  ): void;
  trySend(id: number, mode: number, given: unknown): void;
  tryReceive(id: number): void;
  /** The cases are in `entries` (id, queue, mode) and `values`. */
  waitForAny(slot: number, count: number, timeoutMs: number): void;
  cancelWait(slot: number): boolean;
  /** False when the time is over first. */
  sleepOn(slot: number, ms: number): boolean;
  /** How many of numbers[from...] were sent. */
  sendNumbers(id: number, from: number, count: number): number;
  /** How many were there, each written as an entry. */
  receiveMany(id: number, most: number): number;

  // Tasks of JavaScript: see native/addon/js_isolates.cc.
  /** The same in all isolates. */
  functionId(text: string): number;
  functionText(id: number): string;
  /** How it was taken: a {@link Pushed}. */
  /** Of a limiter; no other isolate has it. */
  newLimiter(): number;
  spawnTask(
    set: number,
    slot: number,
    fn: number,
    count: number,
    /** How each of three arguments and `extra` are given, 4 bits each. */
    modes: number,
    first: unknown,
    second: unknown,
    third: unknown,
    extra: unknown,
    /** [priority, pin or -1, context or -1, milliseconds or -1, limiter or 0, most started] */
    plan: readonly number[] | undefined,
  ): number;
  /** True if it had not begun. */
  cancelTask(slot: number, mode: number, reason: unknown): boolean;
  /** Milliseconds since it was started; -1 if it has not been. */
  taskAge(slot: number): number;
  killTask(slot: number): void;
  makeSet(most: number): number;
  setNumber(set: number): number;
  setMost(set: number, most: number): void;
  /** The place of an isolate that is to be started or ended; -1: none. */
  growSet(set: number, least: number): number;
  replaceLate(set: number): void;
  /** The endpoint of a socket, its own (0) or its peer's (1), as text; undefined if it has none. */
  socketAddress(id: number, peer: number): string | undefined;
  shrinkSet(set: number, idleMs: number, least: number): number;
  takeKill(set: number): number;
  askToGrow(set: number): void;
  /** How many tasks it had. */
  loseIsolate(set: number, place: number, mode: number, error: unknown): number;
  failWaiting(set: number, mode: number, error: unknown): void;
  closeSet(set: number): void;
  /** [queued, then for each: place, idle, started, ms of its turn, tasks run, ms busy] */
  lookAtSet(set: number): number[];
  joinSet(number: number, place: number): boolean;
  /**
   * The run of the next task, or -1. In entries: function, count, the kinds of three arguments and
   * of what is extra, which are where values are.
   */
  nextTask(): number;
  /** `outcome`: see TaskOutcome. */
  finishTask(run: number, outcome: number, mode: number, value: unknown): void;
  isTaskCancelled(run: number): boolean;
  /** A handle; -1: without memory. */
  taskContext(run: number): number;

  getProcessors(): number;
  setProcessors(count: number): void;
  stats(): NativeStats;
  benchmark(
    name: string,
    params: Readonly<Record<string, number | string>>,
  ): Promise<Record<string, never>>;
}

/** How an isolate learns, from workerData, which one it is. */
export interface IsolateRole {
  readonly set: number;
  readonly place: number;
  /** The addon that the root has found. */
  readonly binary: string;
}

/** Of this isolate, if a set has started it. */
export const role: IsolateRole | undefined = isMainThread
  ? undefined
  : (workerThreads().workerData as { heddleIsolate?: IsolateRole } | null | undefined)
      ?.heddleIsolate;

const require = createRequire(import.meta.url);

// A local build first, then a prebuilt binary for this platform.
function findBinary(): string {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  try {
    const loader = require('node-gyp-build') as { resolve(folder: string): string };
    return loader.resolve(root);
  } catch (error) {
    throw loadError(`build/Release/heddle.node or a prebuilt binary under ${root}`, error);
  }
}

function loadError(expected: string, error: unknown): HeddleError {
  const got = `${process.platform} ${process.arch}: ${(error as Error).message}`;
  return new HeddleError('ERR_HEDDLE_LOAD', `expected ${expected}, got ${got}`, { cause: error });
}

function load(path: string): Binding {
  try {
    return require(path) as Binding;
  } catch (error) {
    throw loadError(`${path} to be an addon for this platform`, error);
  }
}

export const binaryPath = role?.binary ?? findBinary();
export const binding = load(binaryPath);

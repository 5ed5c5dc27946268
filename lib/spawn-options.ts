// What can be asked of a spawn, and whether it can be had.
import { StartMode } from './binding.js';
import { Context } from './context.js';
import { describe, HeddleError } from './errors.js';
import { refuse, wholeNumber } from './refuse.js';
import { checkSignal } from './signals.js';

export interface SpawnOptions {
  /** For reports and snapshots; default: the kernel's name. */
  name?: string;
  /** Cancels the task; its reason is the rejection. */
  signal?: AbortSignal;
  /** Cancels the task when the context is done, with its reason. */
  context?: Context;
  /** Cancels the task after so many milliseconds, 0 to 2³²−1, with a TimeoutError. */
  deadline?: number;
  /** Runs it on a fresh OS thread of its own, for comparison. Default: on a fiber. */
  on?: 'thread';
}

export interface KernelOptions extends SpawnOptions {
  /**
   * `compact`: parked frames are copied, a few hundred bytes; `standard`: a stack of its own once
   * it parks; a number: a stack of that many bytes, 4 KiB to 1 GiB, rounded up to a power of two.
   */
  stack?: 'compact' | 'standard' | number;
  /** Keeps the task on one OS thread. Not for compact ones. */
  lockToThread?: boolean;
  /** Bytes of stack, on a fiber like a number in `stack`, on a thread the thread's. */
  stackSize?: number;
}

export interface TaskOptions extends SpawnOptions {
  /** Tasks of a higher priority start first: an integer from -100 to 100; default 0. */
  priority?: number;
  /** Milliseconds that it may run, from its start on; then it is cancelled with a TimeoutError. */
  timeout?: number;
  /**
   * If it still runs when its `timeout` has passed, its isolate is ended and replaced; whatever
   * else runs there fails as well. For code that may never return.
   */
  kill?: boolean;
  /** Runs it in the isolate of that number, from 0, with all other tasks that have this pin. */
  pin?: number;
}

const kMinStackBytes = 4096;
const kMaxStackBytes = 2 ** 30;

function stackBytes(value: number, option: string): number {
  if (typeof value !== 'number' || !(value >= kMinStackBytes && value <= kMaxStackBytes)) {
    throw new HeddleError(
      'ERR_HEDDLE_OPTION',
      `${option}: expected a number of bytes from ${kMinStackBytes} to ${kMaxStackBytes}, ` +
        `got ${describe(value)}`,
    );
  }
  return Math.ceil(value);
}

/** Mode bits and bytes of stack (0 = default), as native code takes them. */
export function readStack(
  options: KernelOptions,
  kernelStack: 'compact' | 'standard',
): [number, number] {
  const { stack, stackSize, lockToThread, on } = options;
  if (on !== undefined && on !== 'thread') refuse('on', "'thread'", on);
  if (lockToThread !== undefined && typeof lockToThread !== 'boolean') {
    refuse('lockToThread', 'a boolean', lockToThread);
  }
  if (typeof stack === 'number' && stackSize !== undefined) {
    refuse('stackSize', 'nothing beside a number in stack', stackSize);
  }
  let bytes = stackSize === undefined ? 0 : stackBytes(stackSize, 'stackSize');
  let compact = kernelStack === 'compact' && bytes === 0 && lockToThread !== true;
  if (typeof stack === 'number') {
    bytes = stackBytes(stack, 'stack');
    compact = false;
  } else if (stack === 'compact' || stack === 'standard') {
    compact = stack === 'compact';
  } else if (stack !== undefined) {
    refuse('stack', "'compact', 'standard' or a number of bytes", stack);
  }
  if (compact && lockToThread === true) {
    refuse('lockToThread', 'a standard stack, since a compact fiber cannot keep a thread', true);
  }
  if (compact && bytes !== 0) refuse('stackSize', "nothing beside stack: 'compact'", bytes);
  const mode =
    (compact ? StartMode.compact : StartMode.standard) |
    (lockToThread === true ? StartMode.lockToThread : 0) |
    (on === 'thread' ? StartMode.onThread : 0);
  return [mode, bytes];
}

export const kMostMs = 2 ** 32 - 1;

/** What cancels the task, as one signal. */
export function signalFor({ signal, context, deadline }: SpawnOptions): AbortSignal | undefined {
  checkSignal(signal);
  if (context === undefined && deadline === undefined) return signal;
  const signals = signal === undefined ? [] : [signal];
  if (context !== undefined) {
    if (!(context instanceof Context)) refuse('context', 'a Context', context);
    signals.push(context.signal);
  }
  if (deadline !== undefined) {
    signals.push(AbortSignal.timeout(wholeNumber(deadline, 'deadline', 0, kMostMs)));
  }
  return signals.length === 1 ? signals[0] : AbortSignal.any(signals);
}

/** The name in the options, checked. */
export function nameOf({ name }: SpawnOptions): string | undefined {
  if (name !== undefined && typeof name !== 'string') refuse('name', 'a string', name);
  return name;
}

/** What only kernels take, and only tasks of JavaScript. */
export const kKernelOptions = ['stack', 'stackSize', 'lockToThread'];
export const kTaskOptions = ['priority', 'timeout', 'kill', 'pin'];

/** Options of the other kind, which would have no effect. */
export function refuseOthers(options: object, others: readonly string[], target: string): void {
  for (const name of others) {
    const value = (options as Record<string, unknown>)[name];
    if (value !== undefined) refuse(name, `nothing, since it has no effect on ${target}`, value);
  }
}

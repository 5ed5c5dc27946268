// spawn: checks everything, makes the promise, and hands the task to native code.
import { binding, StartMode } from './binding.js';
import { Channel } from './channel.js';
import { encodeMessage } from './encode.js';
import { Context } from './context.js';
import { describe, HeddleError } from './errors.js';
import { nativeKernel } from './kernels.js';
import type { Kernel } from './kernels.js';
import { Moved } from './move.js';
import { refuse, wholeNumber } from './refuse.js';
import { checkSignal } from './signals.js';
import { TaskPromise } from './task.js';
import type { Task } from './task.js';
import { givenMode, giveMoved, Mode, settleGiven } from './waits.js';

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
function readStack(options: KernelOptions, kernelStack: 'compact' | 'standard'): [number, number] {
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

function targetError(target: unknown): HeddleError {
  return new HeddleError('ERR_HEDDLE_TARGET', `expected a kernel, got ${describe(target)}`);
}

/** {@link given} to native code: how the arguments are given, 4 bits each. */
let givenModes = 0;
const given: unknown[] = [];

/** Objects and handles in the form in which native code takes them. */
function giveArguments(
  kernel: NonNullable<ReturnType<typeof nativeKernel>>,
  args: unknown[],
): void {
  givenModes = 0;
  given.length = 0;
  for (const [at, value] of args.entries()) {
    let mode: number = Mode.any;
    let argument = value;
    if (value instanceof Moved) {
      argument = giveMoved(value as Moved<ArrayBuffer>);
      given.push(argument);
      givenModes |= givenMode << (4 * at);
      continue;
    }
    const isAny = ((kernel.any >> at) & 1) !== 0;
    if (value instanceof Channel && (isAny || ((kernel.channels >> at) & 1) !== 0)) {
      mode = Mode.handle;
      argument = value.toHandle();
    } else if (isAny && typeof value === 'object' && value !== null && !isBytes(value)) {
      mode = Mode.bytes;
      argument = encodeArgument(kernel.name, at, value);
    }
    givenModes |= mode << (4 * at);
    given.push(argument);
  }
}

function encodeArgument(name: string, at: number, value: object): Uint8Array | undefined {
  return encodeMessage(value, true, `${name}: argument ${at + 1} (value)`).bytes;
}

function isBytes(value: object): boolean {
  return ArrayBuffer.isView(value) || value instanceof ArrayBuffer;
}

/** Starts the task; bytes that were given away are gone then. */
function startGiven(start: () => string | undefined): string | undefined {
  let refusal: string | undefined = '';
  try {
    refusal = start();
    return refusal;
  } finally {
    settleGiven(refusal === undefined);
  }
}

const kMostMs = 2 ** 32 - 1;

/** What cancels the task, as one signal. */
function signalFor({ signal, context, deadline }: SpawnOptions): AbortSignal | undefined {
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

function spawnWithOptions(options: KernelOptions, target: unknown, args: unknown[]): Task<unknown> {
  const kernel = nativeKernel(target);
  if (kernel === undefined) throw targetError(target);
  const { name } = options;
  if (name !== undefined && typeof name !== 'string') refuse('name', 'a string', name);
  const signal = signalFor(options);
  const [mode, bytes] = readStack(options, kernel.stack);
  return TaskPromise.start(name ?? kernel.name, signal, (slot) => {
    giveArguments(kernel, args);
    const [first, second, third] = given;
    const count = args.length;
    return startGiven(() =>
      binding.spawnWith(
        kernel.id,
        slot,
        mode,
        bytes,
        name,
        count,
        givenModes,
        first,
        second,
        third,
      ),
    );
  });
}

/**
 * Starts a native task and gives a promise of its result. Wrong targets, options and arguments
 * throw a {@link HeddleError} before anything is queued.
 *
 * @example
 * const digest = await spawn(kernels.sha256, bytes);
 * const onThread = await spawn({ on: 'thread', stackSize: 1 << 20 }, kernels.fib, 40);
 */
export function spawn<A extends unknown[], R>(target: Kernel<A, R>, ...args: A): Task<R>;
export function spawn<A extends unknown[], R>(
  options: KernelOptions,
  target: Kernel<A, R>,
  ...args: A
): Task<R>;
export function spawn(first: unknown, ...rest: unknown[]): Task<unknown> {
  const kernel = nativeKernel(first);
  if (kernel === undefined) {
    if (typeof first !== 'object' || first === null || Array.isArray(first)) {
      throw targetError(first);
    }
    return spawnWithOptions(first, rest[0], rest.slice(1));
  }
  if (kernel.takesArguments || rest.length > 0) {
    return TaskPromise.start(kernel.name, undefined, (slot) => {
      giveArguments(kernel, rest);
      const [first, second, third] = given;
      const { id } = kernel;
      const count = rest.length;
      return startGiven(() =>
        binding.spawnWith(id, slot, 0, 0, undefined, count, givenModes, first, second, third),
      );
    });
  }
  return TaskPromise.startPlain(kernel.name, kernel.id);
}

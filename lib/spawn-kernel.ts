// Native tasks: their way to a fiber or a thread.
import { binding } from './binding.js';
import { Channel } from './channel.js';
import { encodeMessage } from './encode.js';
import type { nativeKernel } from './kernels.js';
import { Shareable } from './handle.js';
import { Moved } from './move.js';
import { nameOf, readStack, signalFor } from './spawn-options.js';
import type { KernelOptions } from './spawn-options.js';
import { TaskPromise } from './task.js';
import type { Task } from './task.js';
import { givenMode, giveMoved, Mode, settleGiven } from './waits.js';

type NativeKernel = NonNullable<ReturnType<typeof nativeKernel>>;

/** {@link given} to native code: how the arguments are given, 4 bits each. */
let givenModes = 0;
const given: unknown[] = [];

/** Objects and handles in the form in which native code takes them. */
function giveArguments(kernel: NativeKernel, args: unknown[]): void {
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
    const isHandle = ((kernel.handles >> at) & 1) !== 0;
    if (value instanceof Shareable && (isHandle || (isAny && value instanceof Channel))) {
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

export function spawnKernelWith(
  options: KernelOptions,
  kernel: NativeKernel,
  args: unknown[],
): Task<unknown> {
  const name = nameOf(options);
  const signal = signalFor(options);
  const [mode, bytes] = readStack(options, kernel.stack);
  return start(kernel, name, signal, mode, bytes, args);
}

export function spawnKernel(kernel: NativeKernel, args: unknown[]): Task<unknown> {
  return kernel.takesArguments || args.length > 0
    ? start(kernel, undefined, undefined, 0, 0, args)
    : TaskPromise.startPlain(kernel.name, kernel.id);
}

function start(
  kernel: NativeKernel,
  name: string | undefined,
  signal: AbortSignal | undefined,
  mode: number,
  bytes: number,
  args: unknown[],
): Task<unknown> {
  return TaskPromise.start(name ?? kernel.name, signal, (slot) => {
    giveArguments(kernel, args);
    const [first, second, third] = given;
    const { id } = kernel;
    const count = args.length;
    const modes = givenModes;
    return startGiven(() =>
      binding.spawnWith(id, slot, mode, bytes, name, count, modes, first, second, third),
    );
  });
}

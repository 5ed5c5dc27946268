// What compiles, and what does not: targets, arguments, results and options of spawn and sleep.
import { runtime, sleep, spawn } from 'heddle';
import { errorCodes, HeddleError, kernels } from 'heddle';
import type { BytesLike, ErrorCode, Kernel, KernelOptions, RuntimeStats, Task } from 'heddle';
import type { SpawnOptions, TaskState } from 'heddle';
import { expectTypeOf, test } from 'vitest';

const bytes = new Uint8Array(8);
const { signal } = new AbortController();

test('a spawn gives a task of what the kernel gives', () => {
  expectTypeOf(spawn(kernels.noop)).toEqualTypeOf<Task<undefined>>();
  expectTypeOf(spawn(kernels.sleep, 5)).toEqualTypeOf<Task<undefined>>();
  expectTypeOf(spawn(kernels.spin, 5)).toEqualTypeOf<Task<number>>();
  expectTypeOf(spawn(kernels.spin, 5, true)).toEqualTypeOf<Task<number>>();
  expectTypeOf(spawn(kernels.fib, 30)).toEqualTypeOf<Task<number>>();
  expectTypeOf(spawn(kernels.sha256, bytes)).toEqualTypeOf<Task<Uint8Array>>();
  expectTypeOf(spawn(kernels.crc32, bytes)).toEqualTypeOf<Task<number>>();
  expectTypeOf(spawn(kernels.readFile, '/dev/null')).toEqualTypeOf<Task<Uint8Array>>();
  expectTypeOf(spawn(kernels.echo)).toEqualTypeOf<Task<unknown>>();
  expectTypeOf(spawn(kernels.echo, 'value')).toEqualTypeOf<Task<unknown>>();
  expectTypeOf(spawn(kernels.fail, 'words')).toEqualTypeOf<Task<never>>();
  expectTypeOf(sleep(5)).toEqualTypeOf<Task<undefined>>();
});

test('the same with options', () => {
  expectTypeOf(spawn({}, kernels.noop)).toEqualTypeOf<Task<undefined>>();
  expectTypeOf(spawn({ on: 'thread' }, kernels.fib, 30)).toEqualTypeOf<Task<number>>();
  expectTypeOf(spawn({ stack: 'compact', signal }, kernels.sha256, bytes)).toEqualTypeOf<
    Task<Uint8Array>
  >();
});

test('arguments must fit the kernel', () => {
  // @ts-expect-error -- sleep needs a duration
  void spawn(kernels.sleep);
  // @ts-expect-error -- a duration is a number
  void spawn(kernels.sleep, '5');
  // @ts-expect-error -- noop takes nothing
  void spawn(kernels.noop, 1);
  // @ts-expect-error -- fib takes one number
  void spawn(kernels.fib, 1, 2);
  // @ts-expect-error -- checkpoints are on or off
  void spawn(kernels.spin, 1, 'yes');
  // @ts-expect-error -- text is not bytes
  void spawn(kernels.sha256, 'text');
  // @ts-expect-error -- numbers are not bytes
  void spawn(kernels.crc32, [1, 2]);
  // @ts-expect-error -- a path is a string
  void spawn(kernels.readFile, new URL('file:///dev/null'));
  // @ts-expect-error -- the same with options
  void spawn({ on: 'thread' }, kernels.fib, 'x');
  // @ts-expect-error -- the same with options
  void spawn({}, kernels.sleep);
});

test('all views of bytes are bytes', () => {
  for (const view of [bytes, new DataView(bytes.buffer), Buffer.alloc(1), new Float64Array(1)]) {
    expectTypeOf(view).toExtend<BytesLike>();
    expectTypeOf(spawn(kernels.crc32, view)).toEqualTypeOf<Task<number>>();
  }
  expectTypeOf(bytes.buffer).toExtend<BytesLike>();
  expectTypeOf<string>().not.toExtend<BytesLike>();
});

test('only kernels can be spawned', () => {
  // @ts-expect-error -- nor is its name
  void spawn('noop');
  // @ts-expect-error -- nor is nothing
  void spawn();
  // @ts-expect-error -- options alone are none
  void spawn({ on: 'thread' });
  // @ts-expect-error -- a kernel that there is not
  expectTypeOf(kernels.resize).toBeUnknown();
});

test('a generic caller keeps the types of the kernel that it is given', () => {
  async function twice<A extends unknown[], R>(kernel: Kernel<A, R>, ...args: A): Promise<[R, R]> {
    return Promise.all([spawn(kernel, ...args), spawn({ on: 'thread' }, kernel, ...args)]);
  }
  expectTypeOf(twice(kernels.fib, 30)).toEqualTypeOf<Promise<[number, number]>>();
  // @ts-expect-error -- fib takes a number
  void twice(kernels.fib, 'x');
});

test('options have the values that they may have', () => {
  expectTypeOf<KernelOptions['stack']>().toEqualTypeOf<
    'compact' | 'standard' | number | undefined
  >();
  expectTypeOf<KernelOptions['stackSize']>().toEqualTypeOf<number | undefined>();
  expectTypeOf<KernelOptions['lockToThread']>().toEqualTypeOf<boolean | undefined>();
  expectTypeOf<SpawnOptions['on']>().toEqualTypeOf<'thread' | undefined>();
  expectTypeOf<SpawnOptions['name']>().toEqualTypeOf<string | undefined>();
  expectTypeOf<SpawnOptions['signal']>().toEqualTypeOf<AbortSignal | undefined>();
  expectTypeOf<KernelOptions>().toExtend<SpawnOptions>();
  // @ts-expect-error -- no such class of stack
  void spawn({ stack: 'tiny' }, kernels.noop);
  // @ts-expect-error -- no such place
  void spawn({ on: 'worker' }, kernels.noop);
  // @ts-expect-error -- no such option
  void spawn({ stacks: 4096 }, kernels.noop);
  // @ts-expect-error -- sizes are numbers
  void spawn({ stackSize: '4096' }, kernels.noop);
  // @ts-expect-error -- a controller is not its signal
  void spawn({ signal: new AbortController() }, kernels.noop);
  // @ts-expect-error -- a name is a string
  void spawn({ name: 5 }, kernels.noop);
  // @ts-expect-error -- a sleep has a signal and nothing else
  void sleep(5, { name: 'nap' });
  // @ts-expect-error -- a sleep has a duration
  void sleep();
});

test('a task is a promise that can be asked and cancelled', async () => {
  const task = spawn(kernels.fib, 30);
  expectTypeOf(task).toExtend<Promise<number>>();
  expectTypeOf(await task).toBeNumber();
  expectTypeOf(task.id).toBeNumber();
  expectTypeOf(task.name).toBeString();
  expectTypeOf(task.state).toEqualTypeOf<TaskState>();
  expectTypeOf<TaskState>().toEqualTypeOf<
    'runnable' | 'running' | 'waiting' | 'done' | 'failed' | 'cancelled'
  >();
  expectTypeOf<typeof task.cancel>().toEqualTypeOf<(reason?: unknown) => void>();
  expectTypeOf(task.then(String)).toEqualTypeOf<Promise<string>>();
  expectTypeOf(await Promise.all([task, sleep(1)])).toEqualTypeOf<[number, undefined]>();
  // @ts-expect-error -- it cannot be renamed
  task.name = 'other';
  // @ts-expect-error -- nor given a state
  task.state = 'done';
  // @ts-expect-error -- nor settled from outside
  expectTypeOf(task.resolve).toBeUnknown();
});

test('kernels and the list of errors cannot be written', () => {
  // @ts-expect-error -- frozen
  kernels.noop = kernels.fib;
  // @ts-expect-error -- its name is its own
  kernels.noop.name = 'other';
  // @ts-expect-error -- written once
  errorCodes.ERR_HEDDLE_VALUE = errorCodes.ERR_HEDDLE_TARGET;
});

test('an error has one of the codes', () => {
  expectTypeOf<HeddleError['code']>().toEqualTypeOf<ErrorCode>();
  expectTypeOf<'ERR_HEDDLE_OPTION'>().toExtend<ErrorCode>();
  expectTypeOf<'ERR_HEDDLE_NONE'>().not.toExtend<ErrorCode>();
  expectTypeOf<HeddleError>().toExtend<Error>();
  // @ts-expect-error -- no such code
  new HeddleError('ERR_HEDDLE_NONE', 'expected this, got that');
});

test('the runtime has a count that can be set and counters that are numbers', () => {
  expectTypeOf(runtime.processors).toBeNumber();
  expectTypeOf(runtime.stats()).toEqualTypeOf<RuntimeStats>();
  expectTypeOf<RuntimeStats['spawned']>().toBeNumber();
  expectTypeOf<RuntimeStats['perProcessor'][number]['started']>().toBeNumber();
  expectTypeOf<RuntimeStats['threads']['createNs']['median']>().toBeNumber();
  // @ts-expect-error -- a count is a number
  runtime.processors = '2';
});

test('options come before the target', () => {
  expectTypeOf(spawn({ name: 'x' }, kernels.fib, 30)).toEqualTypeOf<Task<number>>();
  // @ts-expect-error -- a number is no target
  void spawn({ name: 'x' }, 5);
});

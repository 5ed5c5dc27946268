// spawn: what it takes, what it refuses before anything is queued, and that all it starts ends.
import { kernels, runtime, spawn } from 'heddle';
import type { ErrorCode, Kernel, KernelOptions, HeddleError } from 'heddle';
import { describe, expect, test } from 'vitest';
import { expectRefusal, kHourMs, rejectionOf, runScript, thrownBy, until } from './support.js';

// Callers without types get here with anything.
type AnySpawn = (...args: unknown[]) => Promise<unknown>;
const spawnAny = spawn as unknown as AnySpawn;

describe('a target that is no kernel, no task and no function is refused', () => {
  const targets: [string, unknown][] = [
    ['undefined', undefined],
    ['null', null],
    ['5', 5],
    ['true', true],
    ['"noop"', 'noop'],
    ['Symbol(noop)', Symbol('noop')],
  ];
  test.each(targets)('%s', (got, target) => {
    expectRefusal('ERR_HEDDLE_TARGET', () => spawnAny(target), `got ${got};`);
    expectRefusal('ERR_HEDDLE_TARGET', () => spawnAny({}, target), `got ${got};`);
  });

  test('an array, or an object that only looks like one', () => {
    const likeness = { ...(kernels.noop as object) };
    expectRefusal('ERR_HEDDLE_TARGET', () => spawnAny([]));
    expectRefusal('ERR_HEDDLE_TARGET', () => spawnAny({}));
    expectRefusal('ERR_HEDDLE_TARGET', () => spawnAny({}, likeness), 'an instance of Object');
    expectRefusal('ERR_HEDDLE_TARGET', () => spawnAny(likeness), 'expected a kernel, a task');
    expectRefusal('ERR_HEDDLE_TARGET', () => spawnAny(null, kernels.noop), 'got null');
    expectRefusal('ERR_HEDDLE_TARGET', () => spawnAny('thread', kernels.noop), 'got "thread"');
  });

  test('nothing at all', () => {
    expectRefusal('ERR_HEDDLE_TARGET', () => spawnAny(), 'pass one of `kernels`');
  });
});

describe('arguments that do not fit the kernel are refused', () => {
  const bytes = 'a Uint8Array, another typed array, a DataView or an ArrayBuffer';
  const table: [keyof typeof kernels, unknown[], string][] = [
    ['noop', [undefined], 'expected no argument, got 1'],
    ['noop', [1, 2, 3], 'expected no argument, got 3'],
    ['sleep', [], 'expected 1 argument, got 0'],
    ['sleep', [1, 2], 'expected 1 argument, got 2'],
    ['sleep', [NaN], '(ms) to be a number that is not NaN, got NaN'],
    ['sleep', ['1'], '(ms) to be a number that is not NaN, got a string'],
    ['sleep', [undefined], 'got undefined'],
    ['sleep', [null], 'got null'],
    ['sleep', [1n], 'got a bigint'],
    ['sleep', [new Date(0)], 'got a Date'],
    ['sleep', [Promise.resolve(1)], 'got a promise (await it first)'],
    ['spin', [], 'expected 1 to 2 arguments, got 0'],
    ['spin', [1, true, 3], 'expected 1 to 2 arguments, got 3'],
    ['spin', [-1], '(ms) to be a number from 0 to 3600000, got -1'],
    ['spin', [NaN], 'got NaN'],
    ['spin', [Infinity], 'to be a number from 0 to 3600000, got '],
    ['spin', [kHourMs + 1], 'got 3600001'],
    ['spin', [1, 'yes'], 'argument 2 (checkpoints) to be a boolean, got a string'],
    ['spin', [1, 1], 'argument 2 (checkpoints) to be a boolean, got 1'],
    ['spin', [1, null], 'argument 2 (checkpoints) to be a boolean, got null'],
    ['fib', [], 'expected 1 argument, got 0'],
    ['fib', [1, 2], 'expected 1 argument, got 2'],
    ['fib', [-1], '(n) to be an integer from 0 to 4000000000, got -1'],
    ['fib', [1.5], 'got 1.5'],
    ['fib', [NaN], 'got NaN'],
    ['fib', [Infinity], 'to be an integer from 0 to 4000000000, got '],
    ['fib', [2 ** 32], 'got 4294967296'],
    ['fib', [true], 'got a boolean'],
    ['sha256', [], 'expected 1 argument, got 0'],
    ['sha256', ['text'], `(bytes) to be ${bytes}, got a string`],
    ['sha256', [[1, 2]], 'got an array'],
    ['sha256', [{ length: 3 }], 'got an object'],
    ['sha256', [null], 'got null'],
    ['crc32', [12], `(bytes) to be ${bytes}, got 12`],
    ['crc32', [new Uint8Array(1), 0], 'expected 1 argument, got 2'],
    ['readFile', [], 'expected 1 argument, got 0'],
    ['readFile', [7], '(path) to be a string without null characters, got 7'],
    ['readFile', ['a\0b'], 'got a string with one'],
    ['readFile', [{ path: '/dev/null' }], 'got an object'],
    ['readFile', [Buffer.from('/dev/null')], 'got a typed array'],
    ['echo', [1, 2], 'expected 0 to 1 arguments, got 2'],
    ['fail', [], 'expected 1 argument, got 0'],
  ];
  test.each(table)('%s(%o): %s', (name, args, words) => {
    const target = kernels[name];
    const code: ErrorCode = 'ERR_HEDDLE_ARGUMENT';
    expectRefusal(code, () => spawnAny(target, ...args), `${name}: `, words);
    expectRefusal(code, () => spawnAny({}, target, ...args), `${name}: `, words);
    expectRefusal(code, () => spawnAny({ on: 'thread' }, target, ...args), `${name}: `, words);
  });
});

describe('options outside their range are refused', () => {
  const bytes = 'expected a number of bytes from 4096 to 1073741824';
  const table: [unknown, string][] = [
    [{ stack: NaN }, `stack: ${bytes}, got NaN`],
    [{ stack: -4096 }, `stack: ${bytes}, got -4096`],
    [{ stack: 0 }, `stack: ${bytes}, got 0`],
    [{ stack: 4095 }, `stack: ${bytes}, got 4095`],
    [{ stack: 2 ** 30 + 1 }, `stack: ${bytes}, got 1073741825`],
    [{ stack: 1e300 }, `stack: ${bytes}, got 1e+300`],
    [{ stack: Infinity }, `stack: ${bytes}, got Infinity`],
    [{ stack: 'tiny' }, `stack: expected 'compact', 'standard' or a number of bytes, got "tiny"`],
    [{ stack: null }, 'got null'],
    [{ stack: 65_536n }, 'stack: expected'],
    [{ stack: ['compact'] }, 'an instance of Array'],
    [{ stackSize: NaN }, `stackSize: ${bytes}, got NaN`],
    [{ stackSize: -1 }, `stackSize: ${bytes}, got -1`],
    [{ stackSize: 0 }, `stackSize: ${bytes}, got 0`],
    [{ stackSize: 2 ** 53 }, `stackSize: ${bytes}, got 9007199254740992`],
    [{ stackSize: '65536' }, `stackSize: ${bytes}, got "65536"`],
    [{ stackSize: null }, `stackSize: ${bytes}, got null`],
    [{ stackSize: 1, on: 'thread' }, `stackSize: ${bytes}, got 1`],
    [{ stack: 8192, stackSize: 32_768 }, 'nothing beside a number in stack, got 32768'],
    [{ stack: 'compact', stackSize: 8192 }, "nothing beside stack: 'compact', got 8192"],
    [{ stack: 'compact', lockToThread: true }, 'lockToThread: expected a standard stack'],
    [{ lockToThread: 1 }, 'lockToThread: expected a boolean, got 1'],
    [{ lockToThread: 'yes' }, 'lockToThread: expected a boolean, got "yes"'],
    [{ on: 'worker' }, `on: expected 'thread', got "worker"`],
    [{ on: 'fiber' }, `on: expected 'thread', got "fiber"`],
    [{ on: true }, `on: expected 'thread', got true`],
    [{ on: null }, `on: expected 'thread', got null`],
    [{ name: 5 }, 'name: expected a string, got 5'],
    [{ name: Symbol('name') }, 'name: expected a string, got Symbol(name)'],
    [{ signal: {} }, 'signal: expected an AbortSignal, got an instance of Object'],
    [{ signal: new AbortController() }, 'got an instance of AbortController'],
    [{ signal: new EventTarget() }, 'got an instance of EventTarget'],
    [{ signal: null }, 'signal: expected an AbortSignal, got null'],
  ];
  test.each(table)('%o: %s', (options, words) => {
    expectRefusal('ERR_HEDDLE_OPTION', () => spawnAny(options, kernels.noop), words);
    expectRefusal('ERR_HEDDLE_OPTION', () => spawnAny(options, kernels.sleep, 1), words);
  });

  test('also when the signal has fired, which would keep the task from beginning', () => {
    const options = { signal: AbortSignal.abort(), stack: 1 } as const;
    expectRefusal('ERR_HEDDLE_OPTION', () => spawn(options, kernels.noop));
  });

  test('what a getter of the options throws is thrown as it is', () => {
    const error = new Error('from the getter');
    const options = {
      get stack(): never {
        throw error;
      },
    };
    expect(thrownBy(() => spawnAny(options, kernels.noop))).toBe(error);
  });
});

test('a refused spawn leaves its slot to the next one', async () => {
  const waiting = spawn(kernels.sleep, Infinity);
  for (let i = 0; i < 1_000; i += 1) thrownBy(() => spawnAny(kernels.fib, 'x'));
  const values = await Promise.all([1, 2, 3].map((value) => spawn(kernels.echo, value)));
  expect(values).toEqual([1, 2, 3]);
  waiting.cancel('enough');
  expect(await rejectionOf(waiting)).toBe('enough');
});

describe('options that are allowed', () => {
  const table: [KernelOptions][] = [
    [{}],
    [{ stack: 'compact' }],
    [{ stack: 'standard' }],
    [{ stack: 4096 }],
    [{ stack: 5000.5 }],
    [{ stack: 65_536 }],
    [{ stack: 2 ** 30 }],
    [{ stackSize: 4096 }],
    [{ stackSize: 2 ** 30 }],
    [{ stack: 'standard', stackSize: 32_768 }],
    [{ lockToThread: true }],
    [{ lockToThread: false, stack: 'compact' }],
    [{ lockToThread: true, stack: 'standard' }],
    [{ lockToThread: true, stack: 16_384 }],
    [{ on: 'thread' }],
    [{ on: 'thread', stackSize: 4096 }],
    [{ on: 'thread', stackSize: 1 << 20 }],
    [{ on: 'thread', lockToThread: true }],
    [{ name: '' }],
    [{ name: 'ünïversal 🧵 name '.repeat(10) }],
    [{ signal: new AbortController().signal }],
  ];
  test.each(table)('%o', async (options) => {
    const results = Array.from({ length: 3 }, () => spawn(options, kernels.sleep, 1));
    expect(await Promise.all(results)).toEqual([undefined, undefined, undefined]);
    expect(await spawn(options, kernels.fib, 5)).toBe(5);
  });

  test('undefined is the same as leaving an option out', async () => {
    const names = ['stack', 'stackSize', 'lockToThread', 'on', 'name', 'signal'];
    const options = Object.fromEntries(names.map((name) => [name, undefined]));
    expect(await spawnAny(options, kernels.fib, 10)).toBe(55);
  });

  test('a deep recursion fits a stack that is asked for', async () => {
    // fib recurses n deep before it first returns, so it is cancelled once it is down there.
    for (const options of [{ stack: 2 ** 26 }, { on: 'thread', stackSize: 2 ** 26 }] as const) {
      const task = spawn(options, kernels.fib, 100_000);
      await until(() => task.state === 'running');
      await spawn(options, kernels.spin, 20);
      task.cancel('deep enough');
      expect(await rejectionOf(task)).toBe('deep enough');
    }
  });

  test('thread: each task has a thread of its own, which is gone at its end', async () => {
    const before = runtime.stats().threads.started;
    await Promise.all(Array.from({ length: 20 }, () => spawn({ on: 'thread' }, kernels.sleep, 5)));
    const { threads } = runtime.stats();
    expect(threads.started).toBe(before + 20);
    for (const measure of [threads.createNs, threads.firstRunNs, threads.joinNs]) {
      expect(measure.last).toBeGreaterThan(0);
      expect(measure.median).toBeGreaterThan(0);
    }
  });
});

describe('many tasks', () => {
  test('100,000 settle', async () => {
    const before = runtime.stats();
    const tasks: Promise<unknown>[] = [];
    for (let i = 0; i < 100_000; i += 1) tasks.push(spawn(kernels.noop));
    await Promise.all(tasks);
    const after = runtime.stats();
    expect(after.spawned - before.spawned).toBe(100_000);
    expect(after.started - before.started).toBe(100_000);
  });

  test('each gets its own result, in the order of the spawns', async () => {
    const args = Array.from({ length: 20_000 }, (_, i) => i % 20);
    const fib = [0, 1];
    while (fib.length < 20) fib.push(fib.at(-1)! + fib.at(-2)!);
    const results = await Promise.all(args.map((n) => spawn(kernels.fib, n)));
    expect(results).toEqual(args.map((n) => fib[n]));
  });

  test('10,000 sleepers of each class wait at once and settle', async () => {
    for (const stack of ['compact', 'standard'] as const) {
      const tasks = Array.from({ length: 10_000 }, () => spawn({ stack }, kernels.sleep, 5));
      expect(await Promise.all(tasks)).toEqual(tasks.map(() => undefined));
    }
  });

  test('spawned by reactions, generation after generation, settle', async () => {
    let count = 0;
    const grow = async (generations: number): Promise<void> => {
      await spawn(kernels.noop);
      count += 1;
      if (generations > 0) await Promise.all([grow(generations - 1), grow(generations - 1)]);
    };
    await grow(10);
    expect(count).toBe(2 ** 11 - 1);
  });

  test('failures and values do not mix', async () => {
    const tasks = Array.from({ length: 2_000 }, (_, i) =>
      i % 2 === 0 ? spawn(kernels.echo, i) : spawn(kernels.fail, `failure ${i}`),
    );
    for (const [i, settled] of (await Promise.allSettled(tasks)).entries()) {
      if (settled.status === 'fulfilled') expect(settled.value).toBe(i);
      else expect((settled.reason as Error).message).toContain(`failure ${i};`);
      expect(settled.status).toBe(i % 2 === 0 ? 'fulfilled' : 'rejected');
    }
  });
});

test('a kernel cannot be changed, and its name is what reports say', () => {
  for (const [name, kernel] of Object.entries<Kernel<never, unknown>>(kernels)) {
    expect(kernel.name).toBe(name);
    expect(Object.isFrozen(kernel)).toBe(true);
  }
  expect(Object.isFrozen(kernels)).toBe(true);
});

// `ulimit -v` counts what Node reserves, so the limit is put on the running process. What is left
// is plenty for Node, but no place for a stack of 1 GiB.
const refusing = (place: string): string => `
  import { execFileSync } from 'node:child_process';
  import { readFileSync } from 'node:fs';
  import { kernels, spawn } from 'heddle';
  await spawn(kernels.noop);
  const size = /VmSize:\\s+(\\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))[1];
  const limit = Number(size) * 1024 + 2 ** 29;
  execFileSync('prlimit', ['--pid', String(process.pid), '--as=' + limit + ':' + limit]);
  for (let i = 0; i < 3; i += 1) {
    const begin = async () => spawn(${place}, kernels.sleep, 2 ** 30);
    await begin().catch((error) => console.log(error.name, error.code));
  }
  console.log(await spawn(kernels.fib, 10));
`;
const refusals = [
  ['{ stack: 2 ** 30 }', 'ERR_HEDDLE_STACK_MEMORY'],
  ['{ on: "thread", stackSize: 2 ** 30 }', 'ERR_HEDDLE_THREAD_LIMIT'],
] as const;
test.each(refusals)('a stack that the system refuses to %s is %s', async (place, code) => {
  const { stdout, stderr, signal } = await runScript(refusing(place));
  const line = `HeddleError ${code}`;
  expect({ lines: stdout.trim().split('\n'), stderr, signal }).toEqual({
    lines: [line, line, line, '55'],
    stderr: '',
    signal: null,
  });
});

test('a HeddleError of a refusal carries a stack that leads to the caller', () => {
  const error = thrownBy(() => spawnAny(kernels.fib, 'x')) as HeddleError;
  expect(error.stack).toContain('spawn.test.ts');
});

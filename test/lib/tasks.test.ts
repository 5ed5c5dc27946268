// Tasks of JavaScript: what goes to an isolate and what comes back, and the promise of it.
import { alloc, background, Channel, HeddleError, move, Mutex, Pool, runtime, spawn } from 'heddle';
import type { Context } from 'heddle';
import { describe, expect, test } from 'vitest';
import { tasks } from './fixtures/tasks.mjs';
import {
  expectRefusal,
  expectRejection,
  rejectionOf,
  stateOf,
  thrownBy,
  until,
} from './support.js';

const inlineOne = (_ctx: Context, value: unknown): unknown => value;

const kValues: [kind: string, value: unknown][] = [
  ['undefined', undefined],
  ['null', null],
  ['true', true],
  ['false', false],
  ['a number', 640],
  ['minus zero', -0],
  ['no number', Number.NaN],
  ['an infinite number', -Infinity],
  ['a fraction', 0.1],
  ['a bigint', -(2n ** 200n)],
  ['a short string', 'abc'],
  ['an empty string', ''],
  ['a string of other letters', 'Wörter, 言葉, \u{1f9f5}, \ud800'],
  ['a long string', 'x'.repeat(100_000)],
  ['an object', { a: 1, b: { c: [true, null, undefined] } }],
  ['an array', [1, 'two', [3]]],
  ['a large object', Array.from({ length: 5_000 }, (_, i) => ({ i, text: `number ${i}` }))],
  [
    'a Map',
    new Map<unknown, unknown>([
      ['a', 1],
      [{ b: 2 }, new Set([3])],
    ]),
  ],
  ['a Set', new Set([1, 'two'])],
  ['a Date', new Date(1e12)],
  ['a RegExp', /a+/giu],
  ['bytes', new Uint8Array([1, 2, 3])],
  ['doubles', new Float64Array([0.5, -0])],
  ['bigint words', new BigInt64Array([-1n])],
  ['a DataView', new DataView(new Uint8Array([1, 2]).buffer)],
  ['an ArrayBuffer', new Uint8Array([4, 5]).buffer],
];

describe.each([
  ['a task of a module', tasks.one],
  ['a task of a module that gives it later', tasks.later],
  ['an inline function', inlineOne as unknown as typeof tasks.one],
])('through %s', (_, target) => {
  test.each(kValues)('goes %s, there and back', async (_kind, value) => {
    const back = await spawn(target, value);
    expect(back).toEqual(value);
    expect(Object.prototype.toString.call(back)).toBe(Object.prototype.toString.call(value));
  });
});

describe('arguments', () => {
  test.each([0, 1, 2, 3, 4, 5, 40])('%i of them arrive in order', async (count) => {
    const args = Array.from({ length: count }, (_, i) => ({ i, text: `number ${i}` }));
    expect(await spawn(tasks.all, ...args)).toEqual(args);
  });

  test('of every kind arrive beside each other', async () => {
    const values = kValues.map(([, value]) => value);
    for (let i = 0; i + 4 <= values.length; i += 1) {
      const three = values.slice(i, i + 3);
      expect(await spawn(tasks.all, ...three)).toEqual(three);
      const four = values.slice(i, i + 4);
      expect(await spawn(tasks.all, ...four)).toEqual(four);
    }
    expect(await spawn(tasks.all, ...values)).toEqual(values);
  });

  test('that are undefined in the end are there as well', async () => {
    expect(await spawn(tasks.all, undefined, undefined)).toEqual([undefined, undefined]);
    expect(await spawn(tasks.all, 1, undefined, 3, undefined)).toEqual([
      1,
      undefined,
      3,
      undefined,
    ]);
  });

  test('are copies', async () => {
    const object = { list: [1, 2] };
    const task = spawn(tasks.later, object);
    object.list.push(3);
    const back = (await task) as typeof object;
    expect(back).toEqual({ list: [1, 2] });
  });

  test('keep references within one argument, and cycles', async () => {
    const inner = { a: 1 };
    const outer: Record<string, unknown> = { first: inner, second: inner };
    outer['self'] = outer;
    const back = (await spawn(tasks.one, outer)) as typeof outer;
    expect(back['first']).toBe(back['second']);
    expect(back['self']).toBe(back);
  });

  test('may start tasks themselves while they are read', async () => {
    const nested: Promise<unknown>[] = [];
    const sly = {
      get value() {
        nested.push(spawn(tasks.all, 'inner', { b: 2 }));
        return 'outer';
      },
    };
    expect(await spawn(tasks.all, 'first', sly, 'third', { d: 4 })).toEqual([
      'first',
      { value: 'outer' },
      'third',
      { d: 4 },
    ]);
    expect(await Promise.all(nested)).toEqual([['inner', { b: 2 }]]);
  });
});

describe('bytes that are moved', () => {
  const made: [string, (length: number) => Uint8Array][] = [
    ['of other memory', (length) => new Uint8Array(length)],
    ["of heddle's own", alloc],
  ];
  test.each(made)('%s arrive, and are gone here', async (_, make) => {
    const bytes = make(10_000).fill(5);
    expect(await spawn(tasks.one, move(bytes))).toEqual(new Uint8Array(10_000).fill(5));
    expect(bytes.byteLength).toBe(0);
  });

  test.each(made)('%s arrive, several in one call', async (_, make) => {
    const bytes = Array.from({ length: 5 }, (_each, i) => make(1_000 + i).fill(i));
    const copies = bytes.map((each) => new Uint8Array(each));
    const back = await spawn(tasks.all, ...bytes.map((each) => move(each)));
    expect(back).toEqual(copies);
    expect(bytes.map(({ byteLength }) => byteLength)).toEqual([0, 0, 0, 0, 0]);
  });

  test('of both kinds arrive beside copies and inside objects', async () => {
    const [own, other, inside, copied] = [alloc(64).fill(1), ...[2, 3, 4].map(fill)] as const;
    const args = [move(own), { deep: [move(inside!)] }, move(other!), copied];
    expect(await spawn(tasks.all, ...args)).toEqual([
      new Uint8Array(64).fill(1),
      { deep: [fill(3)] },
      fill(2),
      fill(4),
    ]);
    const lengths = [own, other, inside, copied].map((each) => each!.byteLength);
    expect(lengths).toEqual([0, 0, 0, 64]);
  });

  test.each([false, true])('come back moved (of heddle’s own: %s)', async (own) => {
    expect(await spawn(tasks.bytes, 200, own)).toEqual(new Uint8Array(200).fill(200));
    const back = await Promise.all(
      Array.from({ length: 50 }, (_, i) => spawn(tasks.bytes, i, own)),
    );
    expect(back.map(({ length }) => length)).toEqual(back.map((_, i) => i));
  });

  test('go there and back many times without a copy being lost', async () => {
    let bytes = alloc(4_096).fill(9);
    for (let i = 0; i < 50; i += 1) bytes = (await spawn(tasks.one, move(bytes))) as typeof bytes;
    expect(bytes).toEqual(new Uint8Array(4_096).fill(9));
  });

  test('come back inside of an object', async () => {
    expect(await spawn(tasks.movedInside, 32)).toEqual({ list: [new Uint8Array(32).fill(7)] });
  });

  test('stay here when the call is refused', async () => {
    const [own, other] = [alloc(16).fill(1), fill(2)];
    const gone = new ArrayBuffer(8);
    structuredClone(gone, { transfer: [gone] });
    for (const bad of [() => {}, move(gone)]) {
      thrownBy(() => spawn(tasks.all, move(own), move(other), bad));
      expect([own.length, other.length]).toEqual([16, 64]);
    }
    expect(await spawn(tasks.all, move(own), move(other))).toEqual([
      new Uint8Array(16).fill(1),
      fill(2),
    ]);
  });
});

function fill(byte: number): Uint8Array {
  return new Uint8Array(64).fill(byte);
}

describe('what is shared', () => {
  test('arrives as the same channel, whatever lies in it', async () => {
    for (const value of [5, 'words', { deep: [1] }, null, new Uint8Array(3)]) {
      const channel = new Channel<unknown>(4);
      await channel.send(value);
      const back = await spawn(tasks.lend, channel);
      expect(back.got).toEqual({ ok: true, value });
      expect(back.channel).toBe(channel);
    }
  });

  test('arrives beside other arguments, and inside of them', async () => {
    const channel = new Channel<unknown>(4);
    await channel.send({ x: 1 });
    const [mutex, ctx] = [new Mutex(), background()];
    const args = [{ first: 'abc' }, channel, { list: [mutex, channel] }, ctx, [ctx]];
    const back = await spawn(tasks.all, ...args);
    expect(back[1]).toBe(channel);
    expect((back[2] as { list: unknown[] }).list).toEqual([mutex, channel]);
    expect((back[2] as { list: unknown[] }).list[0]).toBe(mutex);
    expect(back[3]).toBe(ctx);
    expect((back[4] as unknown[])[0]).toBe(ctx);
    expect(back[0]).toEqual({ first: 'abc' });
    expect(await channel.recv()).toEqual({ ok: true, value: { x: 1 } });
  });

  test('may be made by the task, and outlives it', async () => {
    const channel = await spawn(tasks.newChannel);
    const values: unknown[] = [];
    for await (const value of channel) values.push(value);
    expect(values).toEqual(['from the isolate', { and: 'more' }]);
  });

  test('keeps tasks of several isolates apart if it is a lock', async () => {
    const [mutex, counter] = [new Mutex(), new Channel<number>(1)];
    await counter.send(0);
    await Promise.all(Array.from({ length: 200 }, () => spawn(tasks.underLock, mutex, counter)));
    expect(await counter.recv()).toEqual({ ok: true, value: 200 });
  });
});

describe('what cannot be cloned', () => {
  const bad = { list: [{ f: () => {} }] };

  test('is refused with the path to it, and nothing is queued', async () => {
    const { queuedTasks } = runtime.stats();
    const where: [args: unknown[], path: string][] = [
      [[bad], 'one.arguments[0].list[0].f'],
      [[1, bad], 'one.arguments[1].list[0].f'],
      [[1, 2, bad], 'one.arguments[2].list[0].f'],
      [[1, 2, 3, bad], 'one.arguments[3].list[0].f'],
      [[1, 2, 3, 4, () => {}], 'one.arguments[4]'],
    ];
    for (const [args, path] of where) {
      expectRefusal('ERR_HEDDLE_VALUE', () => spawn(tasks.one, ...args), `as ${path}, got`);
    }
    for (const each of [Symbol('s'), Promise.resolve(), new SharedArrayBuffer(8), new WeakMap()]) {
      expectRefusal('ERR_HEDDLE_VALUE', () => spawn(tasks.one, each), 'one.arguments[0], got');
    }
    expect(runtime.stats().queuedTasks).toBe(queuedTasks);
    expect(await spawn(tasks.one, 'still works')).toBe('still works');
  });

  test('as a result fails its task with the path, and no other', async () => {
    const others = [spawn(tasks.later, 1), spawn(tasks.later, 2)];
    await expectRejection('ERR_HEDDLE_VALUE', spawn(tasks.returnFunction), 'result.list[0].f');
    expect(await Promise.all(others)).toEqual([1, 2]);
  });

  test.each([
    ['at once', tasks.returnDetached],
    ['later', tasks.returnDetachedLater],
  ])('as bytes that are gone fails its task %s', async (_, target) => {
    await expectRejection('ERR_HEDDLE_VALUE', spawn(target));
    expect(await spawn(tasks.one, 'still works')).toBe('still works');
  });
});

describe('an error that a task throws', () => {
  test('says at the end of its stack who awaits it', async () => {
    const pool = new Pool((): number => {
      throw new Error('in a pool');
    });
    async function handlesRequest(): Promise<void> {
      await spawn((): number => {
        throw new Error('alone');
      });
    }
    async function asksPool(): Promise<void> {
      await pool.run();
    }
    async function asksAll(): Promise<void> {
      await Promise.all([spawn(() => 1), handlesRequest()]);
    }
    const callers: [() => Promise<void>, RegExp][] = [
      [handlesRequest, /at .+at -- awaited by --\n {4}at (async )?handlesRequest/s],
      [asksPool, /at .+at -- awaited by --\n {4}at (async )?asksPool/s],
      [asksAll, /awaited by --\n {4}at (async )?handlesRequest.+Promise\.all.+ asksAll/s],
    ];
    for (const [caller, stack] of callers) {
      expect(((await rejectionOf(caller())) as Error).stack).toMatch(stack);
    }
    await pool.close();
  });

  test('arrives with class, code, cause, own properties and the stack of the isolate', async () => {
    const error = (await rejectionOf(spawn(tasks.fail))) as RangeError & Record<string, unknown>;
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ name: 'SizeError', code: 'E_SIZE', width: 640 });
    expect(error.message).toBe('too wide');
    expect(error.cause).toBeInstanceOf(TypeError);
    expect((error.cause as Error).message).toBe('the cause');
    expect(error.stack).toMatch(/^SizeError: too wide\n {4}at .*fixtures\/tasks\.mjs:\d+/s);
  });

  test('later arrives as well', async () => {
    const task = spawn(tasks.failLater);
    expect(await rejectionOf(task)).toMatchObject({ name: 'SizeError', code: 'E_SIZE' });
    expect(task.state).toBe('failed');
  });

  test.each([
    [null],
    [undefined],
    [0],
    ['words'],
    [{ code: 5 }],
    [new RangeError('a range')],
    [new DOMException('gone', 'AbortError')],
  ])('may be anything: %s', async (value) => {
    const task = spawn(tasks.throwValue, value);
    expect(await rejectionOf(task)).toEqual(value);
    expect(task.state).toBe('failed');
  });

  test("is a HeddleError again if it is one of heddle's own", async () => {
    const error = (await rejectionOf(spawn(tasks.throwOfHeddle))) as HeddleError;
    expect(error).toBeInstanceOf(HeddleError);
    expect(error.code).toBe('ERR_HEDDLE_COUNT');
    expect(error.message).toMatch(/^expected one, got two; /);
  });

  test('keeps what can be cloned of it', async () => {
    const error = await rejectionOf(spawn(tasks.throwUnclonable));
    expect(error).toMatchObject({ name: 'SizeError', code: 'E_SIZE', message: 'with a function' });
    expect(error).not.toHaveProperty('config');
    expect((error as Error).stack).toContain('tasks.mjs');
  });

  test('is a plain one if it cannot travel at all', async () => {
    const error = await rejectionOf(spawn(tasks.throwDetached));
    expect((error as Error).message).toContain('a task has thrown an instance of Uint8Array');
  });
});

describe('a result', () => {
  test('of a thenable is what it resolves to', async () => {
    expect(await spawn(tasks.thenable, 'value')).toBe('value');
  });

  test('is the first one of a promise that settles twice', async () => {
    expect(await spawn(tasks.twice, 'value')).toBe('value');
    expect(await spawn(tasks.one, 'next')).toBe('next');
  });

  test('of a generator that comes from no generator function is refused', async () => {
    const words = 'expected a generator to come from a generator function';
    await expectRejection('ERR_HEDDLE_VALUE', spawn(tasks.notAGenerator, 3), words);
  });
});

describe('a task of JavaScript', () => {
  test('is a promise with a name, a number and a state', async () => {
    const [started, go] = [new Channel<number>(1), new Channel<unknown>()];
    const task = spawn(tasks.hold, started, go);
    expect(task).toBeInstanceOf(Promise);
    expect(Promise.resolve(task)).toBe(task);
    expect(task.name).toBe('hold');
    await until(() => task.state === 'running');
    await started.recv();
    expect(await stateOf(task)).toBe('pending');
    await go.send('end');
    await task;
    expect(task.state).toBe('done');
    const named = spawn({ name: 'mine' }, tasks.one);
    expect(named.name).toBe('mine');
    expect(named.id).toBeGreaterThan(task.id);
    await named;
  });

  test('runs in another thread than this one', async () => {
    expect(await spawn(tasks.where)).not.toBe(
      await import('node:worker_threads').then(({ threadId }) => threadId),
    );
  });

  test('gives its value among ten thousand others', async () => {
    const many = Array.from({ length: 10_000 }, (_, i) => spawn(tasks.one, i % 2 ? i : { i }));
    const back = await Promise.all(many);
    expect(back).toEqual(many.map((_, i) => (i % 2 ? i : { i })));
  });

  test('may spawn tasks itself, deeper than there are isolates', async () => {
    const back = await spawn(tasks.nest, 20);
    expect(back.slice(1)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    const many = await Promise.all(Array.from({ length: 30 }, () => spawn(tasks.nest, 5)));
    expect(many.map(({ length }) => length)).toEqual(new Array(30).fill(6));
  });

  test('may use kernels', async () => {
    expect(await Promise.all([10, 11, 12].map((n) => spawn(tasks.kernel, n)))).toEqual([
      55, 89, 144,
    ]);
  });

  test('is counted in what its isolate has run', async () => {
    const run = (): number =>
      runtime.stats().isolates.reduce((sum, { tasksRun }) => sum + tasksRun, 0);
    const before = run();
    await Promise.all(Array.from({ length: 100 }, () => spawn(tasks.one, 1)));
    expect(run()).toBe(before + 100);
    for (const { turnMs, busyMs } of runtime.stats().isolates) {
      expect(turnMs).toBeLessThan(60_000);
      expect(busyMs).toBeLessThan(60_000);
    }
    expect(runtime.stats().queuedTasks).toBe(0);
  });
});

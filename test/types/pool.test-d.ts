// What compiles, and what does not: targets, arguments, results and options of pools and groups.
import { Channel, group, kernels, Pool, spawn } from 'heddle';
import type { Group, Kernel, PoolOptions, PoolStats, RunOptions, Target, Task } from 'heddle';
import { expectTypeOf, test } from 'vitest';

const bytes = new Uint8Array(8);
const { signal } = new AbortController();

test('a pool runs what its target takes and gives what it gives', () => {
  const pool = new Pool(kernels.sha256);
  expectTypeOf(pool.run(bytes)).toEqualTypeOf<Promise<Uint8Array>>();
  expectTypeOf(pool.runWith({ signal, priority: 1 }, bytes)).toEqualTypeOf<Promise<Uint8Array>>();
  expectTypeOf(new Pool(kernels.spin).run(5, true)).toEqualTypeOf<Promise<number>>();
  expectTypeOf(new Pool(kernels.spin, { concurrency: 2 }).run(5)).toEqualTypeOf<Promise<number>>();
  expectTypeOf(new Pool(kernels.noop).run()).toEqualTypeOf<Promise<undefined>>();
  expectTypeOf(pool.stats()).toEqualTypeOf<PoolStats>();
  expectTypeOf(pool.concurrency).toBeNumber();
  expectTypeOf(pool.ready({ signal })).toEqualTypeOf<Promise<void>>();
  expectTypeOf(pool).toExtend<AsyncDisposable>();
  // @ts-expect-error -- text is not bytes
  void pool.run('text');
  // @ts-expect-error -- nor are they missing
  void pool.run();
  // @ts-expect-error -- one argument, no more
  void pool.run(bytes, bytes);
  // @ts-expect-error -- the same with options
  void pool.runWith({ priority: 1 }, 5);
  // @ts-expect-error -- options come first
  void pool.runWith(bytes);
});

test('a map takes what alone can be an argument', async () => {
  const pool = new Pool(kernels.fib);
  expectTypeOf(pool.map([1, 2])).toEqualTypeOf<AsyncIterableIterator<number, undefined>>();
  expectTypeOf(pool.map(new Set([5]), { ordered: false, buffer: 4, signal })).toExtend<
    AsyncIterable<number>
  >();
  for await (const each of pool.map(new Channel<number>())) expectTypeOf(each).toBeNumber();
  expectTypeOf(new Pool(kernels.spin).map([5])).toExtend<AsyncIterable<number>>();
  expectTypeOf(new Pool(kernels.echo).map(['x', 1])).toExtend<AsyncIterable<unknown>>();
  // @ts-expect-error -- text is no number
  void pool.map(['1']);
  // @ts-expect-error -- a number is not many
  void pool.map(5);
  // @ts-expect-error -- it is on or off
  void pool.map([1], { ordered: 'yes' });
  // @ts-expect-error -- a relay wants two channels
  void new Pool(kernels.relay).map([new Channel()]);
  // @ts-expect-error -- noop wants nothing
  void new Pool(kernels.noop).map([1]);
});

test('what cannot be mapped says why', () => {
  type Relays = typeof kernels.relay extends Target<infer A, infer R> ? Pool<A, R> : never;
  expectTypeOf<Parameters<Relays['map']>[0]>().toEqualTypeOf<{
    readonly error: 'map needs a target that can be called with one argument';
  }>();
});

test('a pool has these options', () => {
  expectTypeOf<PoolOptions['overflow']>().toEqualTypeOf<'reject' | 'dropOldest' | undefined>();
  expectTypeOf<PoolOptions['adapt']>().toEqualTypeOf<{ memory?: number | true } | undefined>();
  expectTypeOf<RunOptions['priority']>().toEqualTypeOf<number | undefined>();
  // @ts-expect-error -- no such policy
  new Pool(kernels.fib, { overflow: 'dropNewest' });
  // @ts-expect-error -- a count is a number
  new Pool(kernels.fib, { concurrency: '4' });
  // @ts-expect-error -- no such option
  new Pool(kernels.fib, { size: 4 });
  // @ts-expect-error -- a number of its own kind
  new Pool(5);
  // @ts-expect-error -- nothing without a target
  new Pool();
  // @ts-expect-error -- counters are read
  new Pool(kernels.fib).stats().running = 0;
});

test('a target is what spawn takes', () => {
  expectTypeOf<Kernel<[n: number], number>>().toExtend<Target<[n: number], number>>();
  const start = <A extends unknown[], R>(target: Target<A, R>, ...args: A): Task<R> =>
    spawn(target, ...args);
  expectTypeOf(start(kernels.fib, 5)).toEqualTypeOf<Task<number>>();
});

test('a group spawns as spawn does', async () => {
  const g = group({ signal });
  expectTypeOf(g).toEqualTypeOf<Group>();
  expectTypeOf(g.spawn(kernels.fib, 5)).toEqualTypeOf<Task<number>>();
  expectTypeOf(g.spawn({ on: 'thread' }, kernels.sha256, bytes)).toEqualTypeOf<Task<Uint8Array>>();
  expectTypeOf(await g.wait()).toEqualTypeOf<unknown[]>();
  expectTypeOf(await group<number>().wait()).toEqualTypeOf<number[]>();
  expectTypeOf(g).toExtend<AsyncDisposable>();
  // @ts-expect-error -- a number is wanted
  void g.spawn(kernels.fib, '5');
  // @ts-expect-error -- none is not enough
  void g.spawn({}, kernels.fib);
  // @ts-expect-error -- no such place
  void g.spawn({ on: 'worker' }, kernels.noop);
  // @ts-expect-error -- a group of numbers has no bytes
  void group<number>().spawn(kernels.sha256, bytes);
  // @ts-expect-error -- a controller is not its signal
  group({ signal: new AbortController() });
});

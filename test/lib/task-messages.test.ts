// What is given to native code in one call beside something else: each arrives as itself.
import { AsyncLocalStorage } from 'node:async_hooks';
import { carry, Channel, Mutex, runtime, select, send, spawn } from 'heddle';
import { expect, test } from 'vitest';
import { sharedChannel } from './support.js';

test.each([
  ['strings', ['warp', 'weft', 'shed']],
  ['objects', [{ a: 1 }, { b: [2] }, { c: 'three' }]],
  ['more than three, of all kinds', ['one', { two: 2 }, 3n, new Uint8Array(4), ['five'], 6]],
])('arguments of a task that are %s', async (_, args) => {
  expect(await spawn((ctx, ...all: unknown[]) => all, ...args)).toEqual(args);
});

test('an argument beside a local channel that has values in it', async () => {
  const channel = new Channel<unknown>(4);
  await channel.send({ first: 'in the channel' });
  const task = spawn(
    async (ctx, text: string, from: Channel<unknown>) => [text, await from.recv()],
    'an argument',
    channel,
  );
  expect(await task).toEqual(['an argument', { ok: true, value: { first: 'in the channel' } }]);
});

test('a lock that a task gets', async () => {
  const mutex = new Mutex();
  const task = spawn((ctx, lock: Mutex) => lock.withLock(() => 'held'), mutex);
  expect(await task).toBe('held');
});

test('what storages hold, beside a string', async () => {
  const storage = carry('task-messages', new AsyncLocalStorage<string>());
  await storage.run('carried', async () => {
    expect(await spawn((ctx, text: string) => text, 'given')).toBe('given');
  });
});

test('values of several sends in a select', async () => {
  const [a, b] = [sharedChannel<unknown>(), sharedChannel<unknown>()];
  const received = Promise.all([a.recv(), b.recv()]);
  const cases = { a: send(a, { to: 'a' }), b: send(b, { to: 'b' }) };
  await select(cases);
  // Whichever it was, the other one is still to be sent.
  const rest = await select({ a: send(a, { to: 'a' }), b: send(b, { to: 'b' }) });
  expect(rest.key).toBeTypeOf('string');
  a.trySend({ to: 'a' });
  b.trySend({ to: 'b' });
  const [fromA, fromB] = await received;
  expect([fromA, fromB]).toEqual([
    { ok: true, value: { to: 'a' } },
    { ok: true, value: { to: 'b' } },
  ]);
});

test('a stream that is left early is done, wherever its producer is', async () => {
  for (let i = 0; i < 20; i += 1) {
    const numbers = spawn(function* () {
      for (let n = 0; ; n += 1) yield n;
    });
    for await (const n of numbers) if (n === 40) break;
    await numbers;
    expect(numbers.state).toBe('done');
  }
});

test('tasks begin in their order also while their function is being loaded', async () => {
  runtime.isolates = 1;
  const order: number[] = [];
  const note = (n: number): void => void order.push(n);
  const all = Array.from({ length: 8 }, (_, n) => spawn((ctx, n: number) => n, n).then(note));
  await Promise.all(all);
  expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
});

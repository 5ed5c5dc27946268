// What AsyncLocalStorages hold goes with tasks, for those that were registered.
import { AsyncLocalStorage } from 'node:async_hooks';
import { carry, runtime, spawn } from 'heddle';
import { expect, test } from 'vitest';
import { own, request, tasks, user } from './fixtures/carry.mjs';
import { expectRefusal, rejectionOf } from './support.js';

const kNothing = [undefined, undefined, undefined];

test('what a storage holds is there in tasks, at once and later', async () => {
  const store = { id: 'r1', tags: new Set(['a']) };
  await request.run(store, async () => {
    expect(await spawn(tasks.look)).toEqual([store, undefined, undefined]);
    expect(await spawn(tasks.lookLater)).toEqual([store, undefined, undefined]);
  });
  expect(await spawn(tasks.look)).toEqual(kNothing);
});

test('several storages go together, and one that was not registered stays here', async () => {
  const inside = request.run('r2', () =>
    user.run({ name: 'me' }, () => own.run('mine', () => spawn(tasks.lookLater))),
  );
  expect(await inside).toEqual(['r2', { name: 'me' }, undefined]);
});

test('beside any number of arguments', async () => {
  for (const count of [0, 1, 3, 4, 9]) {
    const args = Array.from({ length: count }, (_, i) => i);
    const back = await request.run('r3', () => spawn(tasks.lookAfter, ...args));
    expect(back).toEqual([...args, 'r3', undefined, undefined]);
  }
});

test('to a task that a task spawns', async () => {
  expect(await request.run('r4', () => spawn(tasks.lookInside))).toEqual([
    'r4',
    undefined,
    undefined,
  ]);
});

test('to a generator, for each of its values', async () => {
  const rows: unknown[] = [];
  const stream = request.run('r5', () => spawn(tasks.lookOften, 3));
  for await (const row of stream) rows.push(row);
  expect(rows).toEqual(new Array(3).fill(['r5', undefined, undefined]));
});

test('hundreds of tasks at once do not see what others hold', async () => {
  const back = await Promise.all(
    Array.from({ length: 400 }, (_, i) => {
      const start = (): Promise<unknown[]> => spawn(i % 3 === 0 ? tasks.look : tasks.lookLater);
      return i % 2 === 0 ? request.run(i, start) : start();
    }),
  );
  expect(back).toEqual(back.map((_, i) => [i % 2 === 0 ? i : undefined, undefined, undefined]));
});

test('what a task has entered does not stay for the next one', async () => {
  await Promise.all(Array.from({ length: 2 * runtime.isolates }, () => spawn(tasks.enter)));
  const back = await Promise.all(Array.from({ length: 50 }, () => spawn(tasks.look)));
  expect(back).toEqual(new Array(50).fill(kNothing));
  const mixed = await Promise.all(
    Array.from({ length: 50 }, (_, i) => (i % 2 === 0 ? spawn(tasks.enter) : spawn(tasks.look))),
  );
  expect(mixed.filter((_, i) => i % 2 !== 0)).toEqual(new Array(25).fill(kNothing));
});

test('a failure comes from where the storage holds', async () => {
  expect(await rejectionOf(request.run('r6', () => spawn(tasks.fail)))).toMatchObject({
    message: 'r6',
  });
});

test('what cannot be cloned is refused with its name', () => {
  request.run(
    () => {},
    () => expectRefusal('ERR_HEDDLE_VALUE', () => spawn(tasks.look), 'look.carried.request, got'),
  );
});

test('only names and storages are taken', () => {
  const storage = new AsyncLocalStorage();
  expect(carry('another', storage)).toBe(storage);
  for (const name of ['', 5, undefined]) {
    expectRefusal('ERR_HEDDLE_OPTION', () => carry(name as string, storage), 'name: expected');
  }
  for (const bad of [undefined, null, {}, 5]) {
    expectRefusal('ERR_HEDDLE_OPTION', () => carry('name', bad as never), 'storage: expected');
  }
});

// Tasks under a context or with a deadline end with them.
import { getEventListeners } from 'node:events';
import { background, kernels, spawn } from 'heddle';
import { expect, test } from 'vitest';
import { expectRefusal, kHourMs, rejectionOf } from './support.js';

test('a task ends with its context, for its reason', async () => {
  const { ctx, cancel } = background().withCancel();
  const task = spawn({ context: ctx }, kernels.sleep, kHourMs);
  cancel('enough');
  expect(await rejectionOf(task)).toBe('enough');
  expect(task.state).toBe('cancelled');
});

test('a task ends when the deadline of an ancestor has come', async () => {
  const { ctx } = background().withTimeout(5);
  const task = spawn({ context: ctx.withCancel().ctx }, kernels.sleep, kHourMs);
  expect(await rejectionOf(task)).toMatchObject({ name: 'TimeoutError' });
});

test('a task under a context that is done does not begin', async () => {
  const { ctx, cancel } = background().withCancel();
  cancel('before');
  expect(await rejectionOf(spawn({ context: ctx }, kernels.fail, 'began'))).toBe('before');
});

test('a task ends at its deadline', async () => {
  const task = spawn({ deadline: 5 }, kernels.sleep, kHourMs);
  expect(await rejectionOf(task)).toMatchObject({ name: 'TimeoutError' });
});

test('of a signal, a context and a deadline the first one ends the task', async () => {
  const { ctx } = background().withCancel();
  const { signal } = new AbortController();
  const options = { signal, context: ctx, deadline: 5 };
  expect(await rejectionOf(spawn(options, kernels.sleep, kHourMs))).toMatchObject({
    name: 'TimeoutError',
  });
});

test('a task that is done in time leaves no listener at its context', async () => {
  const { ctx } = background().withCancel();
  expect(await spawn({ context: ctx, deadline: kHourMs }, kernels.fib, 10)).toBe(55);
  expect(await spawn({ context: ctx }, kernels.fib, 10)).toBe(55);
  expect(getEventListeners(ctx.signal, 'abort')).toHaveLength(0);
});

test('wrong contexts and deadlines are refused', () => {
  const start = (options: object) => () => spawn(options, kernels.noop);
  expectRefusal('ERR_HEDDLE_OPTION', start({ context: {} }), 'context: expected a Context');
  for (const deadline of [-1, Number.NaN, Infinity, 2 ** 32, 0.5, '5']) {
    expectRefusal('ERR_HEDDLE_OPTION', start({ deadline }), 'deadline: expected an integer');
  }
});

// What a spawn costs the JavaScript thread: measured through the public face, as a user's code
// would.
import { kernels, spawn } from '../../lib/index.js';
import type { Output, Params } from './types.js';

async function settle(n: number): Promise<number> {
  const begin = performance.now();
  const tasks: Promise<unknown>[] = [];
  for (let i = 0; i < n; i += 1) tasks.push(spawn(kernels.noop));
  await Promise.all(tasks);
  return ((performance.now() - begin) * 1e6) / n;
}

/** ns per `spawn(kernels.noop)` of a batch of n, from the first call until all have settled. */
async function spawnFromJavaScript({ n }: Params): Promise<Output> {
  await settle(Number(n));
  return { nsPerOp: await settle(Number(n)) };
}

/** The same batch of empty async functions, without any native task. */
async function promisesFromJavaScript({ n }: Params): Promise<Output> {
  const body = async (): Promise<void> => {};
  let nsPerOp = 0;
  for (let round = 0; round < 2; round += 1) {
    const begin = performance.now();
    const promises: Promise<unknown>[] = [];
    for (let i = 0; i < Number(n); i += 1) promises.push(body());
    await Promise.all(promises);
    nsPerOp = ((performance.now() - begin) * 1e6) / Number(n);
  }
  return { nsPerOp };
}

export const benchmarks = { spawn: spawnFromJavaScript, promise: promisesFromJavaScript };

// The main isolate and Workers share one runtime: each gets the results of its own tasks, whoever
// begins or ends first.
import { describe, expect, test } from 'vitest';
import { outputOf } from '../lib/support.js';

// `work` is the body of each Worker; it may use heddle and `say`, which answers the main isolate.
const withWorkers = (work: string, main: string): string => `
  import { once } from 'node:events';
  import { Worker } from 'node:worker_threads';
  import { kernels, runtime, sleep, spawn } from 'heddle';
  const code = ${JSON.stringify(`
    import { parentPort, threadId, workerData } from 'node:worker_threads';
    const { kernels, runtime, sleep, spawn } = await import(workerData);
    const say = (message) => parentPort.postMessage(message);
    ${work}`)};
  const url = new URL('data:text/javascript,' + encodeURIComponent(code));
  const exits = new Map();
  const start = () => {
    const worker = new Worker(url, { workerData: import.meta.resolve('heddle') });
    exits.set(worker, new Promise((resolve) => worker.once('exit', resolve)));
    return worker;
  };
  const answer = async (worker) => (await once(worker, 'message'))[0];
  const ended = (worker) => exits.get(worker);
  const many = (count, make) => Array.from({ length: count }, (_, i) => make(i));
  ${main}`;

describe('main isolate and Workers', () => {
  test('each get the results of their own tasks', async () => {
    const work = `
      const values = Array.from({ length: 2000 }, (_, i) => threadId * 1e6 + i);
      const results = await Promise.all(values.map((value) => spawn(kernels.echo, value)));
      say(results.every((result, i) => result === values[i]));`;
    const main = `
      const workers = many(4, start);
      const own = Promise.all(many(2000, (i) => spawn(kernels.echo, -i)));
      const answers = await Promise.all(workers.map(answer));
      console.log(answers.join(), (await own).every((value, i) => value === -i));
      console.log((await Promise.all(workers.map(ended))).join());`;
    // A Worker with nothing left to do ends by itself, with code 0.
    expect(await outputOf(withWorkers(work, main))).toBe('true,true,true,true true\n0,0,0,0');
  });

  test('use threads, sleeps and signals side by side', async () => {
    const work = `
      const signal = AbortSignal.timeout(10);
      const settled = await Promise.allSettled([
        spawn({ on: 'thread' }, kernels.fib, 15),
        spawn({ stack: 'compact' }, kernels.sleep, 2),
        sleep(2),
        sleep(1e6, { signal }),
        spawn({ signal }, kernels.spin, 3e6, true),
        spawn({ signal, on: 'thread' }, kernels.sleep, 3e6),
        spawn(kernels.fail, 'words'),
      ]);
      say(settled.map(({ value, reason }) => value ?? reason?.code ?? reason?.name).join());`;
    const answer = '610,,,23,23,23,ERR_HEDDLE_KERNEL';
    const main = `
      const answers = await Promise.all(many(3, start).map(answer));
      console.log(answers.join('\\n'));`;
    expect(await outputOf(withWorkers(work, main))).toBe([answer, answer, answer].join('\n'));
  });

  test('share one runtime and its count of processors', async () => {
    const work = `
      await spawn(kernels.noop);
      say([runtime.processors, runtime.stats().spawned]);
      runtime.processors = 5;`;
    const main = `
      runtime.processors = 3;
      await Promise.all(many(10, () => spawn(kernels.noop)));
      const worker = start();
      console.log(...(await answer(worker)), await ended(worker));
      console.log(runtime.processors, runtime.stats().spawned);`;
    expect(await outputOf(withWorkers(work, main))).toBe('3 11 0\n5 11');
  });

  test('a runtime that a Worker began outlives it', async () => {
    const work = `say(await spawn(kernels.fib, 10));`;
    const main = `
      const worker = start();
      console.log(await answer(worker), await ended(worker));
      console.log(await spawn(kernels.fib, 11), runtime.stats().spawned);`;
    expect(await outputOf(withWorkers(work, main))).toBe('55 0\n89 2');
  });

  test('a Worker that exits with tasks pending leaves the others theirs', async () => {
    const work = `
      for (let i = 0; i < 500; i += 1) spawn(kernels.sleep, i % 2 === 0 ? Infinity : i / 100);
      spawn(kernels.spin, 3e6, true);
      spawn({ on: 'thread' }, kernels.sleep, 3e6);
      say('begun');
      process.exit(3);`;
    const main = `
      const tasks = many(500, (i) => spawn(kernels.sleep, i / 10).then(() => i));
      const codes = await Promise.all(many(3, () => ended(start())));
      console.log(codes.join(), (await Promise.all(tasks)).length);
      // Nobody waits for what the Workers left; it ends by being cancelled.
      while (runtime.stats().spawned !== runtime.stats().exited) await sleep(1);
      console.log('all ended');`;
    expect(await outputOf(withWorkers(work, main))).toBe('3,3,3 500\nall ended');
  });

  test('an exception in a Worker ends that Worker only', async () => {
    const work = `
      spawn(kernels.sleep, 3e6);
      await spawn(kernels.noop);
      throw new Error('the words');`;
    const main = `
      const worker = start();
      const [error] = await once(worker, 'error');
      console.log(error.message, await spawn(kernels.fib, 10));`;
    expect(await outputOf(withWorkers(work, main))).toBe('the words 55');
  });
});

describe('the addon', () => {
  test('is loaded by fifty Workers, one after another', { timeout: 60_000 }, async () => {
    const work = `say(await spawn(kernels.fib, 10));`;
    const main = `
      let sum = 0;
      for (let i = 0; i < 50; i += 1) {
        const worker = start();
        sum += await answer(worker);
        if (i % 2 === 0) await worker.terminate();
        else await ended(worker);
      }
      console.log(sum);`;
    expect(await outputOf(withWorkers(work, main))).toBe('2750');
  });

  test('is loaded by Workers that never use it', async () => {
    const main = `
      const codes = await Promise.all(many(8, () => ended(start())));
      console.log(codes.join(), runtime.stats().spawned);`;
    expect(await outputOf(withWorkers('', main))).toBe('0,0,0,0,0,0,0,0 0');
  });

  test('is loaded after the Worker that loaded it first has ended', async () => {
    const main = `
      console.log('main');
      const worker = start();
      console.log(await answer(worker), await ended(worker));`;
    const script = withWorkers(`say(await spawn(kernels.fib, 10));`, main)
      // The main isolate itself stays without the addon until the Worker is gone.
      .replace(/import \{ kernels.*? from 'heddle';/, '').concat(`
      const { kernels, spawn } = await import('heddle');
      console.log(await spawn(kernels.fib, 11));`);
    expect(await outputOf(script)).toBe('main\n55 0\n89');
  });
});

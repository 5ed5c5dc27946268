// One unit of concurrency per request, or a pool of a few: a burst of n requests, each a small job
// of the same work, and what it costs beyond that work. The work is fib(18), which needs no data;
// about 22 us in C++ and in JavaScript.
import { Worker } from 'node:worker_threads';
import { fib } from './task-bodies.js';
import { kIsolates, open } from './tasks.js';
import type { Output, Params } from './types.js';

const kFib = 18;
const kAnswer = 2_584;
// The work of a request is what a larger number takes in proportion, since so short a time cannot
// be measured; fib(n) makes 2 fib(n + 1) − 1 calls.
const kLargeFib = 30;
const kTimesLarger = 2_692_537 / 8_361;
const kMeasurements = 7;
const kWarmUp = 2_000;
const kMiB = 2 ** 20;

interface Way {
  readonly start: (n: number) => Promise<unknown>;
  /** CPU us that fib(n) takes without any scheduling. */
  readonly work: (n: number) => Promise<number>;
  /** Units made so far, one for each request; or how many there are for all of them. */
  readonly units: (() => number) | number;
  readonly warmUp: number;
  readonly close?: () => Promise<void>;
}

function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

// The least, as other load on the machine can only add to it.
async function least(body: () => unknown): Promise<number> {
  let us = Infinity;
  for (let i = 0; i < kMeasurements; i += 1) {
    const before = cpuUs();
    await body();
    us = Math.min(us, cpuUs() - before);
  }
  return us;
}

const inJavaScript = (n: number): Promise<number> => least(() => fib(n));

function promises(): Way {
  let created = 0;
  const start = (n: number): Promise<unknown> =>
    new Promise((resolve) => {
      created += 1;
      resolve(fib(n));
    });
  return { start, work: inJavaScript, units: () => created, warmUp: kWarmUp };
}

function workers(): Way {
  let created = 0;
  const code = `
    const { parentPort, workerData } = require('node:worker_threads');
    parentPort.postMessage((${fib.toString()})(workerData));`;
  const start = (n: number): Promise<unknown> =>
    new Promise((resolve, reject) => {
      created += 1;
      const worker = new Worker(code, { eval: true, workerData: n });
      let answer: unknown;
      worker.on('message', (value: unknown) => (answer = value));
      worker.on('error', reject);
      worker.on('exit', () => resolve(answer));
    });
  return { start, work: inJavaScript, units: () => created, warmUp: 1 };
}

async function fibers({ on }: Params): Promise<Way> {
  const { kernels, runtime, spawn } = await import('../../lib/index.js');
  const onThread = { on: 'thread' } as const;
  const isThread = on === 'thread';
  return {
    start: isThread ? (n) => spawn(onThread, kernels.fib, n) : (n) => spawn(kernels.fib, n),
    work: (n) => least(() => spawn(kernels.fib, n)),
    units: () => (isThread ? runtime.stats().threads.started : runtime.stats().spawned),
    warmUp: isThread ? 200 : kWarmUp,
  };
}

/** A pool of heddle over the kernel: as many fibers at a time as there are processors. */
async function pooledFibers(params: Params): Promise<Way> {
  const { kernels, Pool, runtime } = await import('../../lib/index.js');
  const { processors } = runtime;
  const pool = new Pool(kernels.fib, { concurrency: processors, queue: Number(params['n']) });
  const way = await fibers({});
  return { ...way, start: (n) => pool.run(n), close: () => pool.close() };
}

/** Two isolates: heddle's, or the threads of a peer. */
async function isolates(params: Params): Promise<Way> {
  const pool = await open({ ...params, task: 'fib' });
  return {
    start: (n) => pool.run(n),
    work: inJavaScript,
    units: kIsolates,
    warmUp: kWarmUp,
    close: () => pool.close(),
  };
}

const ways: Record<string, (params: Params) => Way | Promise<Way>> = {
  promises,
  workers,
  fibers,
  pooledFibers,
  isolates,
};

async function requests(way: Way, n: number): Promise<void> {
  const answers: Promise<unknown>[] = [];
  for (let i = 0; i < n; i += 1) answers.push(way.start(kFib));
  for (const answer of await Promise.all(answers)) {
    if (answer !== kAnswer) throw new Error(`expected ${kAnswer}, got ${String(answer)}`);
  }
}

/** `way`: a key of `ways`; `n`: requests. */
async function burst(params: Params): Promise<Output> {
  const n = Number(params['n']);
  const way = await ways[String(params['way'])]!(params);
  await requests(way, Math.min(n, way.warmUp));
  const work = (await way.work(kLargeFib)) / kTimesLarger;
  const peakBefore = process.resourceUsage().maxRSS;
  const unitsBefore = typeof way.units === 'number' ? 0 : way.units();
  const cpuBefore = cpuUs();
  const begin = performance.now();
  await requests(way, n);
  const us = ((performance.now() - begin) * 1e3) / n;
  const beyondUs = (cpuUs() - cpuBefore) / n - work;
  const growth = (process.resourceUsage().maxRSS - peakBefore) * 1024;
  const units = typeof way.units === 'number' ? way.units : way.units() - unitsBefore;
  await way.close?.();
  return { us, work, beyondUs, growth: growth / kMiB, units };
}

export const benchmarks = { burst };

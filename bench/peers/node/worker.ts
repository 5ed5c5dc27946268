// "node worker": a node:worker_threads Worker per unit of concurrency. Rows state a small n of
// their own, because a Worker costs a V8 isolate and a thread.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { pageTables, residentBytes } from './resident.js';

type Params = Readonly<Record<string, number | string>>;
type Output = Record<string, unknown>;

// Words of the memory shared with the units: how many have started, and the gate they wait at.
const kStarted = 0;
const kGate = 1;

const kCountsAndEnds = `
  const { workerData: words } = require('node:worker_threads');
  Atomics.add(words, 0, 1);
  Atomics.notify(words, 0);`;
const kCountsAndParks = `${kCountsAndEnds}
  Atomics.wait(words, 1, 0);`;

function start(code: string, words: Int32Array): Worker {
  return new Worker(code, { eval: true, workerData: words });
}

function sharedWords(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(8));
}

// Typed from ES2024 on; Node has had it since 16.
type WaitAsync = (
  words: Int32Array,
  index: number,
  value: number,
) => { async: false; value: string } | { async: true; value: Promise<string> };
const { waitAsync } = Atomics as unknown as { waitAsync: WaitAsync };

async function untilStarted(words: Int32Array, n: number): Promise<void> {
  for (;;) {
    const seen = Atomics.load(words, kStarted);
    if (seen === n) return;
    const wait = waitAsync(words, kStarted, seen);
    if (wait.async) await wait.value;
  }
}

function ended(workers: readonly Worker[]): Promise<unknown> {
  return Promise.all(workers.map((worker) => once(worker, 'exit')));
}

/** ms until all n Workers have run their first instruction. */
async function create({ n }: Params): Promise<Output> {
  const words = sharedWords();
  const workers: Worker[] = [];
  const begin = performance.now();
  for (let i = 0; i < Number(n); i += 1) workers.push(start(kCountsAndEnds, words));
  const exits = ended(workers);
  await untilStarted(words, Number(n));
  const ms = performance.now() - begin;
  await exits;
  return { ms };
}

/** ns per Worker started, run and ended; with park each waits once until the spawner wakes it. */
async function spawn({ n, park }: Params): Promise<Output> {
  const words = sharedWords();
  const workers: Worker[] = [];
  const begin = performance.now();
  const code = park === 1 ? kCountsAndParks : kCountsAndEnds;
  for (let i = 0; i < Number(n); i += 1) workers.push(start(code, words));
  const exits = ended(workers);
  if (park === 1) {
    await untilStarted(words, Number(n));
    Atomics.store(words, kGate, 1);
    Atomics.notify(words, kGate);
  }
  await exits;
  return { nsPerOp: ((performance.now() - begin) * 1e6) / Number(n) };
}

/** Resident bytes per Worker that waits at a gate. */
async function memory({ n }: Params): Promise<Output> {
  const words = sharedWords();
  const workers: Worker[] = [];
  const rssStart = residentBytes();
  const tablesBefore = pageTables();
  const begin = performance.now();
  const curve: [number, number][] = [];
  const sample = (): void => {
    curve.push([performance.now() - begin, process.memoryUsage.rss()]);
  };
  const sampler = setInterval(sample, 10);
  for (let i = 0; i < Number(n); i += 1) workers.push(start(kCountsAndParks, words));
  const exits = ended(workers);
  await untilStarted(words, Number(n));
  const startMs = performance.now() - begin;
  const rssPeak = residentBytes();
  const tables = pageTables() - tablesBefore;
  Atomics.store(words, kGate, 1);
  Atomics.notify(words, kGate);
  await exits;
  sample();
  clearInterval(sampler);
  const bytesPerUnit = (rssPeak - rssStart) / Number(n);
  const rssAfter = residentBytes();
  const components = { pageTables: tables };
  return { bytesPerUnit, rssStart, rssPeak, rssAfter, startMs, curve, components };
}

const kEchoes = `
  const { parentPort } = require('node:worker_threads');
  parentPort.on('message', (token) => parentPort.postMessage(token));`;

/** ns per round trip of a number through the MessagePort of a Worker that answers each. */
async function pingpong({ n }: Params): Promise<Output> {
  const worker = new Worker(kEchoes, { eval: true });
  const trips = (count: number): Promise<void> =>
    new Promise((resolve) => {
      let left = count;
      const next = (token: number): void => {
        left -= 1;
        if (left > 0) {
          worker.postMessage(token + 1);
        } else {
          worker.off('message', next);
          resolve();
        }
      };
      worker.on('message', next);
      worker.postMessage(0);
    });
  await trips(1); // it has started
  const begin = performance.now();
  await trips(Number(n));
  const nsPerRoundTrip = ((performance.now() - begin) * 1e6) / Number(n);
  await worker.terminate();
  return { nsPerRoundTrip };
}

export const benchmarks: Record<string, (params: Params) => Output | Promise<Output>> = {
  create,
  spawn,
  memory,
  pingpong,
};

// What a task costs that a pool of isolates runs: heddle's, and worker pools from npm, measured by
// the same loops. Every loop runs first until both sides are compiled, then the clock starts.
import { kImageBytes } from './task-bodies.js';
import { median } from './statistics.js';
import type { Output, Params } from './types.js';

/** As many as each pool has, heddle's and others. */
export const kIsolates = 2;

/** The isolates that run one kind of task. */
export interface TaskPool {
  run(argument?: unknown): Promise<unknown>;
  /** Fresh ones, of the memory that is measured. */
  bytes(size: number): Uint8Array;
  /** The bytes go to the task and are gone here. */
  give(bytes: Uint8Array): Promise<unknown>;
  close(): Promise<void>;
}

/** What a scenario chose for a peer, by the peer's own names. */
export type Settings = Params;

export type Opener = (task: string, settings: Settings) => Promise<TaskPool>;

const kColdGapMs = 12;
const kColdWarmUp = 1_000;
const kJobs = 64;
const kJobsInFlight = 8;
const kRounds = 3;
const kLeastAtOnce = 500;
const kWarmUp = 8 * 2 ** 20; // bytes

/** `width` tasks at any time, until `total` are done. Answers ms. */
async function keepInFlight(
  width: number,
  total: number,
  body: (i: number) => Promise<unknown>,
): Promise<number> {
  let started = 0;
  const chain = async (): Promise<void> => {
    while (started < total) {
      started += 1;
      await body(started);
    }
  };
  const begin = performance.now();
  await Promise.all(Array.from({ length: width }, chain));
  return performance.now() - begin;
}

// By time, not by number: who is quick needs more tasks to be measured than who is slow.
async function inFlight(pool: TaskPool, { width, leastMs }: Params): Promise<Output> {
  const body = (): Promise<unknown> => pool.run();
  const atOnce = Math.max(10 * Number(width), kLeastAtOnce);
  let ms = 0;
  let done = 0;
  for (let spent = 0; spent < 2 * Number(leastMs);) {
    const part = await keepInFlight(Number(width), atOnce, body);
    spent += part;
    if (spent < Number(leastMs)) continue; // both sides are being compiled
    ms += part;
    done += atOnce;
  }
  return { perSecond: (done * 1e3) / ms };
}

async function hot(pool: TaskPool, { leastMs }: Params): Promise<Output> {
  const { perSecond } = await inFlight(pool, { width: 1, leastMs: Number(leastMs) });
  return { us: 1e6 / Number(perSecond) };
}

// The threads are to be cold, not the code. And the median, since one time slice of somebody else
// is more than all of it.
async function cold(pool: TaskPool, { n }: Params): Promise<Output> {
  await keepInFlight(1, kColdWarmUp, () => pool.run());
  const ms: number[] = [];
  for (let i = 0; i < Number(n); i += 1) {
    await new Promise((resolve) => setTimeout(resolve, kColdGapMs));
    const begin = performance.now();
    await pool.run();
    ms.push(performance.now() - begin);
  }
  return { us: median(ms) * 1e3 };
}

async function bytes(pool: TaskPool, { n, size }: Params): Promise<Output> {
  const body = async (i: number): Promise<void> => {
    const answer = await pool.give(pool.bytes(Number(size)).fill(i));
    if (answer !== size) throw new Error(`expected ${size} bytes, got ${String(answer)}`);
  };
  await keepInFlight(1, Math.max(Number(n) / 3, kWarmUp / Number(size)), body);
  return { us: ((await keepInFlight(1, Number(n), body)) * 1e3) / Number(n) };
}

/** About 300 KB of JSON, of which every third order is paid. */
function ordersText(): Uint8Array {
  const orders = Array.from({ length: 3_000 }, (_, i) => ({
    id: i,
    customer: `customer ${i % 97}`,
    items: [i, i + 1, i + 2],
    total: i * 1.25,
    paid: i % 3 === 0,
    note: 'ring twice',
  }));
  return new TextEncoder().encode(JSON.stringify(orders));
}

const inputs: Record<string, () => Uint8Array> = {
  countPaid: ordersText,
  downscale: () => new Uint8Array(kImageBytes).fill(200),
};

function checkAnswer(task: string, answer: unknown): void {
  const got = task === 'countPaid' ? answer : (answer as Uint8Array)[0];
  const expected = task === 'countPaid' ? 1_000 : 200;
  if (got !== expected) throw new Error(`${task}: expected ${expected}, got ${String(got)}`);
}

/** ms for 64 jobs, 8 at a time: the median of some rounds. */
async function job(pool: TaskPool, { task }: Params): Promise<Output> {
  const input = inputs[String(task)]!();
  const body = async (): Promise<void> => {
    const own = pool.bytes(input.length);
    own.set(input);
    checkAnswer(String(task), await pool.give(own));
  };
  await keepInFlight(kJobsInFlight, kJobs, body);
  const ms: number[] = [];
  for (let round = 0; round < kRounds; round += 1) {
    ms.push(await keepInFlight(kJobsInFlight, kJobs, body));
  }
  return { ms: median(ms) };
}

const measured = { inFlight, hot, cold, bytes, job };

/** `pool`: whose; `task`: which of task-bodies. No peer's process loads heddle. */
export async function open({ pool, task, ...settings }: Params): Promise<TaskPool> {
  if (pool === 'heddle') {
    return (await import('./heddle-tasks.js')).openHeddle(String(task), settings);
  }
  const { openers } = await import('../peers/node/pools.js');
  return openers[String(pool)]!(String(task), settings);
}

/** `what`: a key of `measured`; the rest is for `open`. */
async function tasks(params: Params): Promise<Output> {
  const pool = await open(params);
  const output = await measured[params['what'] as keyof typeof measured](pool, params);
  await pool.close();
  return output;
}

export const benchmarks = { tasks };

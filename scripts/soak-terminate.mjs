// Ends Workers in the midst of their tasks, many times, and holds threads, descriptors, mappings
// and fibers against what they were before:
//   node scripts/soak-terminate.mjs [--rounds n] [--of kernels|tasks]
// (default: 10,000 of kernels; needs `npm run build`)
// The last line says what was found; the exit code is 0 if everything came back, 1 if something
// did not, and 2 for a mistake in the arguments.
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { kernels, runtime, sleep, spawn } from '../dist/lib/index.js';

const kDefaultRounds = 10_000;
const kWarmUpRounds = 20;
const kAtOnce = 2;
const kHourMs = 3_600_000;
const kSettleMs = 30_000;

// What glibc and V8 keep for the next thread comes and goes. Machines are kept for the next hogs
// and locked fibers, so they grow to the most that was needed at once.
const kSlack = { threads: 0, machines: 16, descriptors: 0, mappings: 100, fibers: 0, stacks: 16 };

const help = `usage: node scripts/soak-terminate.mjs [--rounds n] [--of kernels|tasks]

Starts Workers that each hold a thousand tasks (of kernels: waiting, computing, on threads, ending
and being spawned; of JavaScript: in isolates of that Worker, waiting, looping, ending and queued),
terminates them at different moments, and checks that threads, file descriptors, memory mappings,
fibers and stacks go back to what they were.

  --rounds n   Workers to end (default: ${kDefaultRounds.toLocaleString('en-US')})
  --of what    kernels or tasks (default: kernels)
  --help       this text`;

const ignore = () => {};

// What a Worker is ended in the midst of.
const lives = {
  kernels() {
    for (let i = 0; i < 300; i += 1) {
      spawn(kernels.sleep, Infinity).catch(ignore);
      spawn({ stack: 'standard' }, kernels.sleep, kHourMs).catch(ignore);
      sleep(i % 2 === 0 ? Infinity : kHourMs).catch(ignore);
    }
    for (let i = 0; i < 2; i += 1) {
      spawn(kernels.spin, kHourMs, true).catch(ignore);
      spawn(kernels.spin, 3, false).catch(ignore);
      spawn({ on: 'thread' }, kernels.sleep, kHourMs).catch(ignore);
      spawn({ on: 'thread' }, kernels.spin, kHourMs, true).catch(ignore);
      spawn({ lockToThread: true }, kernels.sleep, kHourMs).catch(ignore);
    }
    const churn = () => {
      for (let i = 0; i < 50; i += 1) spawn(kernels.sleep, i / 100).catch(ignore);
      spawn(kernels.sha256, new Uint8Array(10_000)).then(churn, ignore);
    };
    churn();
  },
  tasks() {
    for (let i = 0; i < 1_000; i += 1) spawn(() => new Promise(() => {})).catch(ignore);
    const churn = () => spawn((_ctx, i) => i, 1).then(churn, ignore);
    for (let i = 0; i < 50; i += 1) churn();
    delay(8).then(() => {
      spawn((ctx) => {
        while (!ctx.done);
      }).catch(ignore);
      churn();
    });
  },
};

// Each round ends its Worker at another moment: while it spawns, when its tasks are there, later.
// Not before its modules and isolates are loaded, because Node loses descriptors of files that it
// is reading.
async function endOne(round, of) {
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { of } });
  const moment = round % 4;
  const wanted = moment === 0 ? 'loaded' : 'live';
  while ((await once(worker, 'message'))[0] !== wanted);
  if (moment > 1) await delay(of === 'tasks' ? 10 * (moment - 1) : moment - 1);
  const code = await worker.terminate();
  if (code !== 1) throw new Error(`expected a terminated Worker, got exit code ${code}`);
}

function count() {
  const stats = runtime.stats();
  return {
    threads: readdirSync('/proc/self/task').length - stats.machines,
    machines: stats.machines,
    descriptors: readdirSync('/proc/self/fd').length,
    mappings: readFileSync('/proc/self/maps', 'utf8').split('\n').length - 1,
    fibers: stats.spawned - stats.exited,
    stacks: stats.stacksInUse,
  };
}

const excess = (now, before) =>
  Object.keys(kSlack).filter((key) => now[key] > before[key] + kSlack[key]);

// A cancelled computation or thread ends at its next checkpoint, and idle stacks are kept a while.
async function settled(before) {
  const limit = performance.now() + kSettleMs;
  let now = count();
  while (excess(now, before).length > 0 && performance.now() < limit) {
    await delay(50);
    now = count();
  }
  return now;
}

/**
 * Ends so many Workers in the midst of kernels or tasks; answers the counts before and after, and
 * the names of those that grew.
 */
export async function soak({ rounds, of, onProgress = () => {} }) {
  for (let round = 0; round < kWarmUpRounds; round += 1) await endOne(round, of);
  await settled({ ...count(), fibers: 0, stacks: 0 });
  const before = count();
  let next = 0;
  const runner = async () => {
    while (next < rounds) {
      const round = next;
      next += 1;
      onProgress(round, rounds);
      await endOne(round, of);
    }
  };
  await Promise.all(Array.from({ length: kAtOnce }, runner));
  const after = await settled(before);
  return { before, after, grown: excess(after, before) };
}

function readArguments(argv) {
  const options = {
    rounds: { type: 'string' },
    of: { type: 'string', default: 'kernels' },
    help: { type: 'boolean' },
  };
  const { values } = parseArgs({ args: argv, options });
  const rounds = Number(values.rounds ?? kDefaultRounds);
  if (values.rounds !== undefined && !(/^\d+$/.test(values.rounds) && rounds >= 1)) {
    throw new TypeError(`--rounds: expected a whole number from 1, got '${values.rounds}'`);
  }
  if (!Object.hasOwn(lives, values.of)) {
    throw new TypeError(`--of: expected kernels or tasks, got '${values.of}'`);
  }
  return { rounds, of: values.of, help: values.help };
}

async function main(argv) {
  let options;
  try {
    options = readArguments(argv);
  } catch (error) {
    console.error(`${error.message}\n(see --help)`);
    process.exitCode = 2;
    return;
  }
  if (options.help) return console.log(help);
  const begin = performance.now();
  const onProgress = (round, rounds) => {
    if (process.stderr.isTTY) process.stderr.write(`\r${round} of ${rounds}`);
    else if (round > 0 && round % 1_000 === 0) process.stderr.write(`${round} of ${rounds}\n`);
  };
  const { before, after, grown } = await soak({ ...options, onProgress });
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  for (const key of Object.keys(kSlack)) {
    console.log(`${key.padEnd(12)} ${before[key]} before, ${after[key]} after`);
  }
  const seconds = ((performance.now() - begin) / 1000).toFixed(1);
  const verdict = grown.length === 0 ? 'everything came back' : `grown: ${grown.join(', ')}`;
  console.log(`${options.rounds} Workers ended in ${seconds} s; ${verdict}`);
  process.exitCode = grown.length === 0 ? 0 : 1;
}

if (!isMainThread && workerData?.of !== undefined) {
  const { of } = workerData;
  if (of === 'tasks') {
    runtime.isolates = 2;
    await Promise.all([0, 1].map((pin) => spawn({ pin }, () => 0)));
  }
  parentPort.postMessage('loaded');
  lives[of]();
  parentPort.postMessage('live');
} else if (isMainThread && process.argv[1] === fileURLToPath(import.meta.url)) {
  await main(process.argv.slice(2));
}

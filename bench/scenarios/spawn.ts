// The price of one unit's whole life, in the steady state; FEATURES A1, A5, A6.
import type { Group, Plan, Scenario } from '../harness/types.js';
import { absent, go, native, promise, worker } from './entrants.js';

const kThreads = 20_000;
const kWorkers = 20;
const kFromJavaScript = 100_000;

// What a thread's life is made of, where the row is a thread.
const kThreadParts = [
  { text: 'ns to create', better: 'lower', key: 'createNs' },
  { text: 'ns to first run', better: 'lower', key: 'firstRunNs' },
  { text: 'ns to join', better: 'lower', key: 'joinNs' },
] as const;

function group(text: string, n: number, park: 0 | 1): Group {
  const threads = Math.min(n, kThreads);
  return {
    n,
    metrics: [{ text, better: 'lower', key: 'nsPerOp' }, ...(park === 0 ? kThreadParts : [])],
    entrants: [
      native('heddle fiber', 'spawn', { impl: 'fiber', n, park }),
      native(
        'pthread',
        'spawn',
        { impl: 'pthread', n: threads, park },
        threads === n ? undefined : threads,
      ),
      go('spawn', { n, park, processors: 1, gcPercent: -1 }),
      promise('spawn', { n, park }),
      worker('spawn', { park }, kWorkers, n),
    ],
    absent: [absent('python asyncio', 'takes part in create and memory only')],
  };
}

function fromJavaScript(n: number): Group {
  const trial = { program: 'javascript', params: { n } } as const;
  return {
    n,
    metrics: [{ text: 'ns per spawn from JavaScript', better: 'lower', key: 'nsPerOp' }],
    entrants: [
      { impl: 'heddle fiber', peer: 'heddle', trial: { ...trial, name: 'spawn' } },
      { impl: 'js promise', peer: 'promise', trial: { ...trial, name: 'promise' } },
    ],
  };
}

export const spawn: Scenario = {
  name: 'spawn',
  title: 'Spawn, run, exit',
  measures:
    'Nanoseconds for the whole life of an empty unit; of one that parks once; and, from ' +
    'JavaScript, of a batch of tasks.',
  how:
    'One unit spawns n others and waits until all are done. A parking unit blocks once ' +
    'and is made ready by its spawner. ' +
    'From JavaScript: a batch of spawn(kernels.noop), settled with Promise.all.',
  counts: 'units',
  takesN: true,
  groups(plan: Plan): Group[] {
    const n = plan.n ?? (plan.quick ? 200_000 : 1_000_000);
    return [
      group('ns per spawn+run+exit', n, 0),
      group('ns per spawn+park+exit', n, 1),
      fromJavaScript(plan.n ?? kFromJavaScript),
    ];
  },
};

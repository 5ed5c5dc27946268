// FEATURES E1: one unit of concurrency per request, or a pool of a few.
import { kNpmPeers } from '../harness/types.js';
import type { Entrant, Group, Params, Plan, Scenario } from '../harness/types.js';

const kThreads = 2_000;
const kWorkers = 20;

function entrant(impl: string, peer: Entrant['peer'], params: Params, most: number): Entrant {
  const n = Math.min(most, Number(params['n']));
  const trial = { program: 'burst', name: 'burst', params: { ...params, n } } as const;
  return n === params['n'] ? { impl, peer, trial } : { impl, peer, trial, n };
}

const kMetrics = [
  { text: 'us per request', better: 'lower', key: 'us' },
  { text: 'CPU us per request beyond its work', better: 'lower', key: 'beyondUs' },
  { text: 'MiB RSS growth', better: 'lower', key: 'growth' },
  { text: 'units created', better: 'lower', key: 'units', whole: true },
] as const;

function group(n: number): Group {
  const isolates = { way: 'isolates', n };
  const row = (impl: string, peer: Entrant['peer'], params: Params, most = n): Entrant =>
    entrant(impl, peer, { ...params, n }, most);
  const entrants = [
    row('heddle fiber', 'heddle', { way: 'fibers' }),
    row('heddle fiber, Pool', 'heddle', { way: 'pooledFibers' }),
    row('heddle, Pool of 2 isolates', 'heddle', { ...isolates, pool: 'heddle', via: 'Pool' }),
    row('pthread', 'threads', { way: 'fibers', on: 'thread' }, kThreads),
    ...kNpmPeers.map((peer) =>
      row(peer, peer, { ...isolates, pool: peer, atomics: 'sync', each: 16 }),
    ),
    row('node worker', 'worker', { way: 'workers' }, kWorkers),
    row('js promise', 'promise', { way: 'promises' }),
  ];
  return { n, metrics: kMetrics, entrants };
}

export const pool: Scenario = {
  name: 'pool',
  title: 'One unit per request, or a pool',
  measures:
    'Microseconds per request of a burst of n, of which each computes 22 us; what scheduling ' +
    'costs beyond that work; how much memory the burst takes; and how many units it makes.',
  how:
    'All requests are started at once, and the clock stops when all are answered. The work is ' +
    'fib(18), measured by itself in the same process. A fiber, a thread (pthread), a Worker or ' +
    'an async function per request; or two threads for all of them: piscina and tinypool with ' +
    'atomics and 16 tasks at a time each, workerpool with one; the latter two with a queue whose ' +
    'front is cheap to take.',
  counts: 'requests',
  takesN: true,
  groups(plan: Plan): Group[] {
    return [group(plan.n ?? 10_000)];
  },
};

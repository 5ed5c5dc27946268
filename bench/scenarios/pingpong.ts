// A token there and back between two units: the price of a hand-over.
import type { Group, Plan, Scenario } from '../harness/types.js';
import { go, native, promise, worker } from './entrants.js';

const kThreadTrips = 50_000;
const kWorkerTrips = 5_000;

// Threads on one CPU: their best setting by far, as waking a thread on another one costs more.
function threads(n: number) {
  const own = Math.min(n, kThreadTrips);
  const params = { impl: 'pthread', n: own, processors: 1 };
  return native('pthread', 'pingpong', params, own === n ? undefined : own);
}

function group(n: number): Group {
  return {
    n,
    metrics: [{ text: 'ns per round trip', better: 'lower', key: 'nsPerRoundTrip' }],
    entrants: [
      native('heddle fiber', 'pingpong', { n, processors: 1 }),
      threads(n),
      go('pingpong', { n, processors: 1 }),
      promise('pingpong', { n }),
      worker('pingpong', {}, kWorkerTrips, n),
    ],
  };
}

export const pingpong: Scenario = {
  name: 'pingpong',
  title: 'A round trip between two units',
  measures: 'Nanoseconds until a token has gone to another unit and come back.',
  how:
    'Two units and two unbuffered channels, on one processor. pthread: two OS threads and the ' +
    'same channels. node worker: postMessage to a Worker and back.',
  counts: 'round trips',
  takesN: true,
  groups: (plan: Plan) => [group(plan.n ?? (plan.quick ? 200_000 : 500_000))],
};

// Sleeping units and timers that are armed only to be cancelled.
import type { Group, Plan, Scenario } from '../harness/types.js';
import { absent, go, native, promise } from './entrants.js';

const kPairs = 1_000_000;
const kNoThreads = absent('pthread', 'a thread per sleeper: see create');

function sleeping(n: number, processors: number): Group {
  return {
    n,
    metrics: [{ text: 'ms total, n sleeping 1 ms', better: 'lower', key: 'ms' }],
    entrants: [
      native('heddle fiber', 'timer', { impl: 'fiber', n }),
      go('timer', { n, processors }),
      promise('timer', { n }),
    ],
    absent: [kNoThreads],
  };
}

function cancelling(armed: number, n: number): Group {
  return {
    n: armed,
    metrics: [{ text: 'ns per arm+cancel', better: 'lower', key: 'nsPerOp' }],
    entrants: [
      native('heddle fiber', 'timer-cancel', { impl: 'fiber', armed, n }),
      go('timer-cancel', { armed, n, processors: 1, gcPercent: -1 }),
      promise('timer-cancel', { armed, n }),
    ],
    absent: [kNoThreads],
  };
}

export const timer: Scenario = {
  name: 'timer',
  title: 'Timers',
  measures:
    'Milliseconds until n units that sleep 1 ms are done; nanoseconds to arm and cancel a ' +
    'timer while n others are armed.',
  how:
    'Go: time.Sleep in a goroutine, and AfterFunc + Stop. JavaScript: setTimeout, and ' +
    'clearTimeout.',
  counts: 'timers',
  takesN: true,
  groups(plan: Plan): Group[] {
    const sleepers = plan.n ?? (plan.quick ? 10_000 : 100_000);
    const armed = plan.n ?? (plan.quick ? 100_000 : 1_000_000);
    return [
      sleeping(sleepers, plan.processors),
      cancelling(armed, plan.quick ? kPairs / 10 : kPairs),
    ];
  },
};

// The price of giving up the processor to the next unit; FEATURES A5.
import type { Group, Plan, Scenario } from '../harness/types.js';
import { absent, go, native, promise } from './entrants.js';

const kThreadYields = 200_000;

function group(n: number, yields: number): Group {
  return {
    n,
    metrics: [{ text: 'ns per yield', better: 'lower', key: 'nsPerYield' }],
    entrants: [
      native('heddle fiber', 'switch', { impl: 'fiber', n, yields }),
      native('pthread', 'switch', { impl: 'pthread', n, yields: Math.min(yields, kThreadYields) }),
      go('switch', { n, yields, processors: 1 }),
      promise('switch', { n, yields }),
    ],
    absent: [absent('node worker', 'a Worker yields as the thread it is: see pthread')],
  };
}

function counts(plan: Plan): number[] {
  return plan.n === undefined ? [2, 100, 1_000, 20_000] : [plan.n];
}

export const yieldAround: Scenario = {
  name: 'switch',
  title: 'Switching between units',
  measures: 'Nanoseconds per yield while n units take turns on one processor.',
  how:
    'Units yield round robin from four different functions, so that no branch predictor ' +
    'learns one call site.',
  counts: 'units',
  takesN: true,
  groups: (plan) => counts(plan).map((n) => group(n, plan.quick ? 500_000 : 2_000_000)),
};

// FEATURES A1: how long it takes until n units have all started, from a standing start.
import type { Group, Plan, Scenario } from '../harness/types.js';
import { go, native, promise, python, worker } from './entrants.js';

const kText = 'ms to create n and have all started';
const kWorkers = 50;

function group(n: number, processors: number): Group {
  return {
    n,
    metrics: [{ text: kText, better: 'lower', key: 'ms', total: true }],
    entrants: [
      native('heddle fiber', 'create', { impl: 'fiber', n }),
      native('pthread', 'create', { impl: 'pthread', n }),
      go('create', { n, processors, gcPercent: -1 }),
      promise('create', { n }),
      worker('create', {}, kWorkers, n),
      python('create', { n }),
    ],
  };
}

function counts(plan: Plan): number[] {
  if (plan.n !== undefined) return [plan.n];
  return plan.quick ? [10_000] : [1_000, 10_000, 100_000];
}

export const create: Scenario = {
  name: 'create',
  title: 'Creating n units',
  measures:
    'Milliseconds from the first creation until all n units have run their first ' + 'instruction.',
  how:
    'A loop creates n units in a fresh process; each adds one to a counter and ends. Cold ' +
    'start included.',
  counts: 'units',
  takesN: true,
  groups: (plan) => counts(plan).map((n) => group(n, plan.processors)),
};

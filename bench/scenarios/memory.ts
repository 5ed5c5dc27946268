// FEATURES A2, A3, A4, A8: what a parked unit keeps resident, over time and by component.
import type { Group, Metric, Plan, Scenario } from '../harness/types.js';
import { absent, go, native, promise, python, worker } from './entrants.js';

const kMiB = 1 / (1024 * 1024);
const kWorkers = 50;
const kManyThreads = 100_000;

const kMetrics: [Metric, ...Metric[]] = [
  { text: 'bytes per parked unit', better: 'lower', key: 'bytesPerUnit', whole: true },
  { text: 'MiB RSS before', better: 'lower', key: 'rssStart', scale: kMiB },
  { text: 'MiB RSS while parked', better: 'lower', key: 'rssPeak', scale: kMiB },
  { text: 'MiB RSS after release', better: 'lower', key: 'rssAfter', scale: kMiB },
  { text: 'ms until all are parked', better: 'lower', key: 'startMs' },
];

function group(n: number): Group {
  const tooMany = n > kManyThreads;
  return {
    n,
    metrics: kMetrics,
    entrants: [
      native('heddle compact', 'memory', { impl: 'compact', n }),
      native('heddle standard', 'memory', { impl: 'standard', n }),
      ...(tooMany ? [] : [native('pthread', 'memory', { impl: 'pthread', n })]),
      go('memory', { n }),
      promise('memory', { n }),
      worker('memory', {}, kWorkers, n),
      ...(tooMany ? [] : [python('memory', { n })]),
    ],
    ...(tooMany
      ? {
          absent: [
            absent('pthread', `tried with ${kManyThreads.toLocaleString('en-US')}, not more`),
            absent('python asyncio', 'takes too long at this count'),
          ],
        }
      : {}),
  };
}

function counts(plan: Plan): number[] {
  if (plan.n !== undefined) return [plan.n];
  return plan.quick ? [10_000, 100_000] : [1_000, 10_000, 100_000, 1_000_000];
}

export const memory: Scenario = {
  name: 'memory',
  title: 'Memory of parked units',
  measures:
    'Resident bytes per unit while n units are parked at once, and what is given back ' +
    'when they end.',
  how:
    'RSS (/proc/self/statm) plus page tables (VmPTE), while parked minus before, divided by n. ' +
    'The curve samples RSS from before the first creation until after the release.',
  counts: 'units',
  takesN: true,
  groups: (plan) => counts(plan).map(group),
};

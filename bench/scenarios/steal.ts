// FEATURES B8: what work stealing costs and brings, over the number of processors.
import type { Group, Plan, Scenario } from '../harness/types.js';
import { absent, go, native } from './entrants.js';

function group(processors: number, n: number): Group {
  return {
    n: processors,
    metrics: [
      { text: 'ns per task', better: 'lower', key: 'nsPerTask' },
      { text: 'ns steal latency', better: 'lower', key: 'stealLatencyNs' },
      { text: '% run where spawned', better: 'higher', key: 'localShare', scale: 100 },
      { text: '% of steals that failed', better: 'lower', key: 'failureRate', scale: 100 },
      { text: 'spread of load (σ)', better: 'lower', key: 'spread' },
    ],
    entrants: [
      native('heddle fiber', 'steal', { processors, n }),
      go('steal', { processors, n, gcPercent: -1 }),
    ],
    absent: [absent('js promise', 'runs on one isolate: nothing to steal')],
  };
}

/** 1, 2, 4, … up to twice the usable CPUs: the inflection lies where they run out. */
function sweep({ processors, quick }: Plan): number[] {
  const counts = [1];
  while (counts.at(-1)! < processors * (quick ? 1 : 2)) counts.push(counts.at(-1)! * 2);
  return counts;
}

export const steal: Scenario = {
  name: 'steal',
  title: 'Work stealing over parallelism',
  measures:
    'Nanoseconds of wall time per task when one processor spawns all of them and the ' +
    'others must steal.',
  how:
    'One unit spawns tasks of about 1 µs each; counters tell latency, share run locally, ' +
    'failed steals, and spread of load.',
  counts: 'processors',
  takesN: false,
  groups: (plan) => sweep(plan).map((count) => group(count, plan.quick ? 50_000 : 200_000)),
};

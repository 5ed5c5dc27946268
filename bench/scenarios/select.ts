// FEATURES C2: the price of waiting for the first of several channels.
import type { Entrant, Group, Params, Plan, Scenario } from '../harness/types.js';
import { absent, go, native, promise } from './entrants.js';

const kThreadSelects = 50_000;

interface Shape {
  readonly text: string;
  readonly cases: number;
  readonly selectors: number;
  readonly processors: number;
}

const kShapes: readonly Shape[] = [
  { text: 'ns per select of 2', cases: 2, selectors: 1, processors: 1 },
  { text: 'ns per select of 8', cases: 8, selectors: 1, processors: 1 },
  { text: 'ns per select of 2, contended, P=2', cases: 2, selectors: 4, processors: 2 },
];

function threads(params: Params, n: number): Entrant {
  const own = Math.min(n, kThreadSelects);
  const all = { ...params, impl: 'pthread', n: own };
  return native('pthread', 'select', all, own === n ? undefined : own);
}

function group({ text, cases, selectors, processors }: Shape, n: number): Group {
  const params = { n, cases, selectors, processors };
  const oneIsolate = processors === 1;
  return {
    n,
    metrics: [{ text, better: 'lower', key: 'nsPerSelect' }],
    entrants: [
      native('heddle fiber', 'select', params),
      go('select', params),
      threads(params, n),
      ...(oneIsolate ? [promise('select', params)] : []),
    ],
    absent: [
      ...(oneIsolate ? [] : [absent('js promise', 'one isolate runs on one processor')]),
      absent('node worker', 'a Worker cannot wait for the first of several ports'),
    ],
  };
}

export const selectAmong: Scenario = {
  name: 'select',
  title: 'Waiting for the first of several channels',
  measures:
    'Nanoseconds per select over 2 or 8 unbuffered channels, and over 2 that four units select ' +
    'from at once on two processors.',
  how:
    'Each channel has a sender of its own that always has something to send. pthread: OS threads ' +
    'and the same channels. js promise: one promise that the first of the channels resolves.',
  counts: 'selects',
  takesN: true,
  groups(plan: Plan): Group[] {
    const n = plan.n ?? (plan.quick ? 100_000 : 300_000);
    return kShapes.map((shape) => group(shape, n));
  },
};

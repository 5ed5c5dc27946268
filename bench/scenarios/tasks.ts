// A task of JavaScript on another isolate, beside the worker pools from npm.
//
// Settings of the peers: the best medians of alternating runs of piscina's atomics sync, async and
// disabled, of tinypool's useAtomics (here `atomics`: sync) or not, and of 1 to 512 tasks at a time
// per thread. They differ by a tenth where a thread takes several, by half where it takes one.
import { kNpmPeers } from '../harness/types.js';
import type { Entrant, Group, Metric, Params, Plan, Scenario } from '../harness/types.js';

type NpmPeer = (typeof kNpmPeers)[number];
type Settings = Readonly<Record<NpmPeer, Params>>;

const kAlone: Settings = {
  piscina: { atomics: 'sync', each: 1 },
  tinypool: { atomics: 'sync', each: 1 },
  workerpool: {},
};
const kMany: Settings = {
  piscina: { atomics: 'disabled', each: 512 },
  tinypool: { atomics: 'sync', each: 512 },
  workerpool: {},
};
const kThousand: Settings = { ...kMany, piscina: { atomics: 'async', each: 512 } };
const kComputing: Settings = {
  piscina: { atomics: 'async', each: 4 },
  tinypool: { atomics: 'sync', each: 4 },
  workerpool: {},
};

interface OurRow {
  readonly impl: string;
  readonly params: Params;
}

const kOurs: readonly OurRow[] = [{ impl: 'heddle', params: {} }];
const kOurMemory: readonly OurRow[] = [
  { impl: 'heddle', params: { memory: 'own' } },
  { impl: 'heddle, other memory', params: { memory: 'other' } },
];
const kOurLargeMemory: readonly OurRow[] = [
  { impl: 'heddle', params: { memory: 'own', task: 'lengthThenFree' } },
  { impl: 'heddle, left to the collector', params: { memory: 'own' } },
  { impl: 'heddle, other memory', params: { memory: 'other', task: 'lengthThenFree' } },
];

function entrant(impl: string, peer: Entrant['peer'], params: Params): Entrant {
  return { impl, peer, trial: { program: 'tasks', name: 'tasks', params } };
}

function group(
  n: number,
  metric: Metric,
  params: Params,
  best: Settings,
  ours: readonly OurRow[] = kOurs,
): Group {
  return {
    n,
    metrics: [metric],
    entrants: [
      ...ours.map((row) =>
        entrant(row.impl, 'heddle', { ...params, pool: 'heddle', ...row.params }),
      ),
      ...kNpmPeers.map((peer) => entrant(peer, peer, { ...params, pool: peer, ...best[peer] })),
    ],
  };
}

function inFlight(width: number, leastMs: number): Group {
  const text = 'tasks per second in flight n';
  const metric = { text, better: 'higher', key: 'perSecond', whole: true } as const;
  const params = { what: 'inFlight', task: 'empty', width, leastMs };
  const best = width === 1 ? kAlone : width < 1_000 ? kMany : kThousand;
  return group(width, metric, params, best);
}

function hot(leastMs: number): Group {
  const metric = { text: 'us per task alone hot', better: 'lower', key: 'us' } as const;
  return group(1, metric, { what: 'hot', task: 'empty', leastMs }, kAlone);
}

function cold(n: number): Group {
  const metric = { text: 'us per task alone cold', better: 'lower', key: 'us' } as const;
  return group(n, metric, { what: 'cold', task: 'empty', n }, kAlone);
}

function bytes(name: string, size: number, n: number, ours: readonly OurRow[]): Group {
  const text = `us per task with ${name} of bytes`;
  const metric = { text, better: 'lower', key: 'us' } as const;
  return group(n, metric, { what: 'bytes', task: 'length', n, size }, kAlone, ours);
}

function job(name: string, task: string): Group {
  const text = `ms for a real job: ${name}`;
  const metric = { text, better: 'lower', key: 'ms' } as const;
  return group(64, metric, { what: 'job', task }, kComputing);
}

export const tasks: Scenario = {
  name: 'tasks',
  title: 'Tasks of JavaScript',
  measures:
    'Tasks per second that two isolates run, microseconds per task that is alone, empty or with ' +
    'bytes, and milliseconds for 64 real jobs.',
  how:
    'Two threads each. In flight: whoever is answered starts the next. Hot: one after the other. ' +
    'Cold: 12 ms after the last one. Bytes are allocated and filled for each task and given away ' +
    '(move, a transfer list). A real job is 300 KB of JSON parsed, or an image of 320 × 240 made ' +
    'a quarter as wide, 8 in flight. The peers’ best settings: piscina with atomics sync for a ' +
    'task alone, disabled for 10 and 100 in flight, else async; tinypool with useAtomics; both ' +
    'with 512 tasks at a time per thread for 10 and more in flight, with 4 for real jobs; ' +
    'workerpool with threads, which take one at a time.',
  counts: 'tasks',
  takesN: false,
  groups({ quick }: Plan): Group[] {
    const some = quick ? 2_000 : 3_000;
    return [
      ...[1, 10, 100, 1_000].map((width) => inFlight(width, quick ? 100 : 300)),
      hot(quick ? 100 : 300),
      cold(20),
      bytes('1 KiB', 2 ** 10, some / 2, kOurMemory),
      bytes('1 MiB', 2 ** 20, some / 10, kOurLargeMemory),
      job('JSON parsed', 'countPaid'),
      job('images made smaller', 'downscale'),
    ];
  },
};

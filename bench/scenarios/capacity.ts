// FEATURES C4: choosing the capacity of a channel: what more of it brings, and what it costs.
import type { Group, Metric, Plan, Scenario } from '../harness/types.js';
import { absent, go, native } from './entrants.js';

const kCapacities = [0, 1, 8, 64, 512, 4_096, 65_536];
const kQuickCapacities = [0, 8, 512, 65_536];
// Many channels are filled, so that their bytes are many pages; a channel itself counts as some
// places.
const kPlaces = 1_048_576;
const kMessages = 65_536;
const kPlacesOfChannel = 64;

interface Part {
  readonly name: string;
  readonly metrics: readonly [Metric, ...Metric[]];
}

function capacitiesOf({ quick }: Plan): number[] {
  return quick ? kQuickCapacities : kCapacities;
}

function throughput(processors: number): Part {
  const text = `ns per item 1:1, P=${processors}`;
  return { name: 'channel', metrics: [{ text, better: 'lower', key: 'nsPerItem' }] };
}

function latency(processors: number): Part {
  const text = (what: string): string => `ns on its way 1:1, P=${processors}, ${what}`;
  return {
    name: 'channel-latency',
    metrics: [
      { text: text('median'), better: 'lower', key: 'medianNs' },
      { text: text('p99'), better: 'lower', key: 'p99Ns', dashed: 'p99' },
    ],
  };
}

const kMemory: Part = {
  name: 'channel-memory',
  metrics: [
    { text: 'bytes kept, full of numbers', better: 'lower', key: 'numberBytes', whole: true },
    {
      text: 'bytes kept, full of 1 KiB messages',
      better: 'lower',
      key: 'messageBytes',
      whole: true,
      dashed: '1 KiB messages',
    },
  ],
};

function group({ name, metrics }: Part, capacity: number, params: object): Group {
  const all = { ...params, capacity };
  return {
    n: capacity,
    metrics,
    entrants: [native('heddle fiber', name, all), go(name, { ...all, gcPercent: -1 })],
    absent: [
      absent('pthread', 'takes part in channel'),
      absent('js promise', 'takes part in channel'),
    ],
  };
}

function moving(part: Part, processors: number, plan: Plan): Group[] {
  const params = { n: plan.quick ? 300_000 : 500_000, senders: 1, receivers: 1, processors };
  return capacitiesOf(plan).map((capacity) => group(part, capacity, params));
}

function keeping(capacity: number): Group {
  const count = (places: number, least: number): number =>
    Math.max(least, Math.floor(places / (capacity + kPlacesOfChannel)));
  const params = { channels: count(kPlaces, 16), messageChannels: count(kMessages, 1) };
  return group(kMemory, capacity, params);
}

export const capacity: Scenario = {
  name: 'capacity',
  title: 'The capacity of a channel',
  measures:
    'Nanoseconds per item over the capacity of a channel; how long an item is on its way; and ' +
    'how many bytes a full channel keeps alive.',
  how:
    'One sender and one receiver that never rest. On its way: from before the send until after ' +
    'the receive, of every 61st item, in runs of their own. Bytes: resident memory and page ' +
    'tables while many channels are full, minus before, for each; a number takes 8 bytes.',
  counts: 'places',
  takesN: false,
  groups: (plan: Plan) => [
    ...[1, 2].flatMap((processors) => moving(throughput(processors), processors, plan)),
    ...[1, 2].flatMap((processors) => moving(latency(processors), processors, plan)),
    ...capacitiesOf(plan).map(keeping),
  ],
};

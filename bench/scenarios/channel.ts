// FEATURES C1, C3: what an item costs on its way through a channel, or through a lock-free queue.
import type { Entrant, Group, Params, Plan, Scenario } from '../harness/types.js';
import { absent, go, moodycamel, native, promise } from './entrants.js';

const kCapacity = 128;
const kThreadItems = 200_000;

interface Shape {
  readonly senders: number;
  readonly receivers: number;
  readonly processors: number;
}

const kShapes: readonly Shape[] = [
  [1, 1],
  [4, 1],
  [4, 4],
].flatMap(([senders, receivers]) =>
  [1, 2].map((processors) => ({ senders: senders!, receivers: receivers!, processors })),
);

// A channel between threads costs them a wake-up now and then: fewer items say as much.
function threads(params: Params, n: number): Entrant {
  const own = Math.min(n, kThreadItems);
  const all = { ...params, impl: 'pthread', n: own };
  return native('pthread', 'channel', all, own === n ? undefined : own);
}

function group(shape: Shape, n: number): Group {
  const { senders, receivers, processors } = shape;
  const params = { ...shape, n, capacity: kCapacity };
  const oneIsolate = processors === 1;
  return {
    n,
    metrics: [
      {
        text: `ns per item ${senders}:${receivers}, P=${processors}`,
        better: 'lower',
        key: 'nsPerItem',
      },
    ],
    entrants: [
      native('heddle fiber', 'channel', params),
      native('heddle queue', 'channel', { ...params, via: 'queue' }),
      go('channel', params),
      threads(params, n),
      native('pthread queue', 'channel', { ...params, via: 'queue', impl: 'pthread' }),
      moodycamel('channel', params),
      ...(oneIsolate ? [promise('channel', params)] : []),
    ],
    absent: [
      ...(oneIsolate ? [] : [absent('js promise', 'one isolate runs on one processor: see P=1')]),
      absent('node worker', 'a MessagePort has no capacity to wait for: see pingpong'),
    ],
  };
}

export const channel: Scenario = {
  name: 'channel',
  title: 'Items through a channel',
  measures:
    'Nanoseconds per item from 1 or 4 senders to 1 or 4 receivers through one channel of ' +
    `${kCapacity} places, on 1 and on 2 processors.`,
  how:
    'Fibers, or OS threads (pthread), and the same channel. The queue rows use a lock-free queue ' +
    'that wakes nobody: whoever finds it full or empty yields, in fibers (heddle queue) or ' +
    'threads. moodycamel has no limit but with one sender.',
  counts: 'items',
  takesN: true,
  groups(plan: Plan): Group[] {
    const n = plan.n ?? (plan.quick ? 500_000 : 1_000_000);
    return kShapes.map((shape) => group(shape, n));
  },
};

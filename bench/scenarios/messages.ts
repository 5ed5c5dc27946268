// Messages between isolates, beside a MessagePort; DESIGN's sixth chapter.
import type { Entrant, Group, Metric, Plan, Scenario } from '../harness/types.js';

function entrant(impl: string, what: string, kind: string, n: number): Entrant {
  const trial = { program: 'messages', name: 'messages', params: { what, kind, n } } as const;
  return { impl, peer: impl.startsWith('heddle') ? 'heddle' : 'worker', trial };
}

interface Row {
  readonly impl: string;
  readonly what: string;
}

function group(text: string, kind: string, n: number, rows: readonly Row[], scale = 1): Group {
  const metric: Metric = { text, better: 'lower', key: 'ns', scale };
  return {
    n,
    metrics: [metric],
    entrants: rows.map(({ impl, what }) => entrant(impl, what, kind, n)),
  };
}

const kAwaited = [
  { impl: 'heddle', what: 'awaited' },
  { impl: 'messageport', what: 'portAwaited' },
];
const kUs = 1e-3;

export const messages: Scenario = {
  name: 'messages',
  title: 'Messages between isolates',
  measures:
    'Nanoseconds per message from a Worker to the main thread, and microseconds per round trip.',
  how:
    'A channel with room for 1,024 beside a MessagePort, every message awaited by itself, unless ' +
    'it says batched: then by recvMany. Cold: 12 ms after the last one. 1 MiB moved: allocated ' +
    'and filled for each message, as heddle’s own memory (which the receiver frees, or leaves to ' +
    'the collector) or as any other.',
  counts: 'messages',
  takesN: false,
  groups(plan: Plan): Group[] {
    const n = plan.quick ? 60_000 : 150_000;
    return [
      group('ns per number awaited', 'number', n, kAwaited),
      group('ns per number batched', 'number', 4 * n, [
        { impl: 'heddle', what: 'batched' },
        { impl: 'messageport', what: 'portAwaited' },
      ]),
      group('ns per 100-byte string', 'string', n, kAwaited),
      group('ns per 1 KiB of bytes', 'bytes', n, kAwaited),
      group('ns per small object', 'object', n, kAwaited),
      group(
        'us per round trip hot',
        'number',
        n / 10,
        [
          { impl: 'heddle', what: 'hot' },
          { impl: 'messageport', what: 'portHot' },
        ],
        kUs,
      ),
      group(
        'us per round trip cold',
        'number',
        50,
        [
          { impl: 'heddle', what: 'cold' },
          { impl: 'messageport', what: 'portCold' },
        ],
        kUs,
      ),
      group('ns per 1 MiB moved', 'large', 2_000, [
        { impl: 'heddle', what: 'freed' },
        { impl: 'heddle, left to the collector', what: 'moved' },
        { impl: 'heddle, other memory', what: 'copied' },
        { impl: 'messageport', what: 'portTransferred' },
        { impl: 'messageport, cloned', what: 'portAwaited' },
      ]),
    ];
  },
};

// How long a unit that never yields keeps the others waiting.
import type { Scenario } from '../harness/types.js';
import { absent, go, native } from './entrants.js';

export const preempt: Scenario = {
  name: 'preempt',
  title: 'Beside a unit that never yields',
  measures:
    'The worst delay, in milliseconds, of a unit that sleeps 1 ms at a time beside a ' +
    'spinner on one processor; and the CPU that the monitor takes when there is nothing ' +
    'to preempt.',
  how: 'One second of 1 ms sleeps on one processor; the spinner never calls into the runtime.',
  counts: 'spinners',
  takesN: false,
  groups: () => [
    {
      n: 1,
      metrics: [
        { text: 'ms worst delay beside a spinner', better: 'lower', key: 'worstDelayMs' },
        { text: 'monitor CPU %', better: 'lower', key: 'monitorCpuPercent' },
      ],
      entrants: [native('heddle fiber', 'preempt', {}), go('preempt', { processors: 1 })],
      absent: [absent('js promise', 'JavaScript cannot interrupt a running function')],
    },
  ],
};

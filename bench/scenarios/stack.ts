// FEATURES A7: the effect of a stack's initial size on creation, recursion depth and memory.
import type { Group, Plan, Scenario } from '../harness/types.js';
import { absent, go, native } from './entrants.js';

const kKiB = 1024;
const kSizes = [4, 16, 64, 256, 1024].map((kib) => kib * kKiB);
const kUnits = 2_000;

function group(stackSize: number): Group {
  return {
    n: stackSize,
    metrics: [
      { text: 'ns per create', better: 'lower', key: 'nsPerCreate' },
      { text: 'calls deep', better: 'higher', key: 'recursionDepth', whole: true },
      { text: 'bytes per unit', better: 'lower', key: 'bytesPerUnit', whole: true },
    ],
    entrants: [
      native('heddle fiber', 'stack', { impl: 'fiber', stackSize, n: kUnits }),
      native('pthread', 'stack', { impl: 'pthread', stackSize, n: kUnits }),
      go('stack', { stackSize, n: kUnits, processors: 1, gcPercent: -1 }),
    ],
    absent: [absent('js promise', 'has no stack of its own')],
  };
}

export const stack: Scenario = {
  name: 'stack',
  title: 'Initial size of the stack',
  measures:
    'Nanoseconds per create for each initial stack size, how deep a recursion fits, and ' +
    'resident bytes.',
  how:
    `${kUnits.toLocaleString('en-US')} units of the given stack size, created and run. ` +
    "A goroutine's size cannot be set: its depth is the one at which its frames cover that size.",
  counts: 'bytes of stack',
  takesN: false,
  groups: (plan: Plan) => (plan.quick ? [4 * kKiB, 64 * kKiB, 1024 * kKiB] : kSizes).map(group),
};

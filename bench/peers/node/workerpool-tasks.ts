// The tasks as workerpool's workers register them.
import { countPaid, downscale, empty, fib, length } from '../../harness/task-bodies.js';
import { importPeer } from './npm.js';
import type { Workerpool } from './pools.js';

const { Transfer, worker } = await importPeer<Workerpool>('workerpool');

worker({
  countPaid,
  downscale(image: Uint8Array) {
    const small = downscale(image);
    return new Transfer(small, [small.buffer]);
  },
  empty,
  fib,
  length,
});

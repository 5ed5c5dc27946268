// The tasks as piscina's workers load them: one export each.
import { downscale as shrink } from '../../harness/task-bodies.js';
import { importPeer } from './npm.js';
import type { Piscina } from './pools.js';

export { countPaid, empty, fib, length } from '../../harness/task-bodies.js';

const { move } = await importPeer<Piscina>('piscina');

export const downscale = (image: Uint8Array): unknown => move(shrink(image));

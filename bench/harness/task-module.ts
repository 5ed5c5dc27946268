// The tasks as heddle's isolates load them: each imports this file, so it defines and does nothing.
import { alloc, defineTasks, free, move } from '../../lib/index.js';
import { countPaid, downscale, empty, fib, kSmallBytes, length } from './task-bodies.js';

/** Large bytes given back at once; the collector would come for them too late. */
function using<R>(bytes: Uint8Array, answer: R): R {
  free(bytes);
  return answer;
}

export const tasks = defineTasks(import.meta.url, {
  empty: () => empty(),
  length: (_ctx, bytes: Uint8Array) => length(bytes),
  lengthThenFree: (_ctx, bytes: Uint8Array) => using(bytes, length(bytes)),
  countPaid: (_ctx, text: Uint8Array) => using(text, countPaid(text)),
  downscale: (_ctx, image: Uint8Array) => using(image, move(downscale(image, alloc(kSmallBytes)))),
  fib: (_ctx, n: number) => fib(n),
});

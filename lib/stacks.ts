// Where tasks were spawned, for the errors that they fail with.
//
// To look at the stack costs more than to run a task elsewhere, so a program that spawns a great
// many gets it for a part of them only.

/** So many in such a time, 1 % of it at 6 us each. */
const kMost = 16;
const kWindowMs = 10;

let windowEnds = 0;
let left = 0;

/** A place in the program; its stack is written out when it is read. */
export interface Place {
  readonly stack?: string;
}

/** Here; undefined if too many have asked lately. */
export function placeOfSpawn(): Place | undefined {
  const now = Date.now();
  if (now >= windowEnds) {
    windowEnds = now + kWindowMs;
    left = kMost;
  }
  if (left === 0) return undefined;
  left -= 1;
  const place: Place = {};
  Error.captureStackTrace(place, placeOfSpawn);
  return place;
}

const ownFolder = new URL('.', import.meta.url).href;

/** Adds to an error's stack where its task was spawned. */
export function addPlace(error: unknown, place: Place | undefined): void {
  if (place?.stack === undefined || !(error instanceof Error) || error.stack === undefined) return;
  const frames = place.stack.split('\n').slice(1);
  const first = frames.findIndex((frame) => !frame.includes(ownFolder));
  if (first < 0) return;
  const theirs = frames.slice(first).join('\n');
  Object.defineProperty(error, 'stack', {
    value: `${error.stack}\n    at -- spawned by --\n${theirs}`,
    configurable: true,
    writable: true,
  });
}

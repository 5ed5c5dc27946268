// The way of a handle through what heddle does not carry itself: workerData, postMessage.
import { binding } from './binding.js';
import { describe, HeddleError } from './errors.js';
import { handleOf, Shareable } from './handle.js';
import { refuse } from './refuse.js';

/** Stands for a channel, lock or context on its way; any structured clone carries it. */
export interface ShareToken<T extends Shareable = Shareable> {
  readonly heddle: number;
  /** Only a type: what adopt() gives. */
  readonly of?: T;
}

/**
 * A token by which another isolate gets the same object, with `adopt`. It holds a reference, works
 * once and for a minute.
 *
 * @example
 * new Worker(file, { workerData: { jobs: share(jobs) } });
 */
export function share<T extends Shareable>(object: T): ShareToken<T> {
  if (!(object instanceof Shareable)) refuse('share', 'a channel, lock or context', object);
  return { heddle: binding.shareHandle(object.toHandle()) };
}

/** What was shared. Throws ERR_HEDDLE_TOKEN if the token was used or has expired. */
export function adopt<T extends Shareable>(token: ShareToken<T>): T {
  const number = (token as Partial<ShareToken> | null | undefined)?.heddle;
  const word =
    typeof number === 'number' && Number.isSafeInteger(number) && number >= 0
      ? binding.adoptHandle(number)
      : -1;
  if (word < 0) {
    throw new HeddleError(
      'ERR_HEDDLE_TOKEN',
      `expected a token of share(), got ${describe(token)}`,
    );
  }
  return handleOf(word) as T;
}

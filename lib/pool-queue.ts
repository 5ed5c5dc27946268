// The queue of a pool: higher priorities first, and first in, first out among equal ones.
//
// Always true: an item is in at most one queue, in the list of its priority, and `isQueued` says
// so. Entering, leaving at either end and leaving from the middle take constant time, for there are
// few priorities; a heap would take longer for the middle, which is where signals strike.

export const kMostPriority = 100;

/** What can be queued. */
export abstract class Queued {
  next: this | undefined;
  previous: this | undefined;
  isQueued = false;
  constructor(readonly priority: number) {}
}

/** The items of one priority. */
interface Level<T> {
  readonly priority: number;
  first: T | undefined;
  last: T | undefined;
}

export class PoolQueue<T extends Queued> {
  size = 0;
  /** By falling priority; kept when it is empty. */
  readonly #levels: Level<T>[] = [];

  push(item: T): void {
    const level = this.#levelOf(item.priority);
    item.previous = level.last;
    if (level.last === undefined) level.first = item;
    else level.last.next = item;
    level.last = item;
    item.isQueued = true;
    this.size += 1;
  }

  remove(item: T): void {
    const level = this.#levelOf(item.priority);
    const { next, previous } = item;
    if (previous === undefined) level.first = next;
    else previous.next = next;
    if (next === undefined) level.last = previous;
    else next.previous = previous;
    item.next = undefined;
    item.previous = undefined;
    item.isQueued = false;
    this.size -= 1;
  }

  /** The one whose turn it is. */
  shift(): T | undefined {
    return this.#take(this.#levels.find(isUsed));
  }

  /** The oldest of those with the lowest priority, unless that is above `priority`. */
  shiftLeast(priority: number): T | undefined {
    const level = this.#levels.findLast(isUsed);
    return level === undefined || level.priority > priority ? undefined : this.#take(level);
  }

  #take(level: Level<T> | undefined): T | undefined {
    const item = level?.first;
    if (item !== undefined) this.remove(item);
    return item;
  }

  #levelOf(priority: number): Level<T> {
    const levels = this.#levels;
    let at = 0;
    while (at < levels.length && levels[at]!.priority > priority) at += 1;
    let level = levels[at];
    if (level?.priority !== priority) {
      level = { priority, first: undefined, last: undefined };
      levels.splice(at, 0, level);
    }
    return level;
  }
}

function isUsed(level: Level<unknown>): boolean {
  return level.first !== undefined;
}

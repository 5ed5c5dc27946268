const kFirstCapacity = 8;

/**
 * First in, first out, both in constant time, without an object for each item. A ring, since V8
 * takes long to change the length of an array.
 */
export class Deque<T> {
  length = 0;
  /** Its length is a power of two. */
  #ring: (T | undefined)[] = new Array<undefined>(kFirstCapacity).fill(undefined);
  #head = 0;

  /** Undefined if there is none. */
  get first(): T | undefined {
    return this.#ring[this.#head];
  }

  push(item: T): void {
    if (this.length === this.#ring.length) this.#grow();
    this.#ring[(this.#head + this.length) & (this.#ring.length - 1)] = item;
    this.length += 1;
  }

  shift(): T | undefined {
    if (this.length === 0) return undefined;
    const item = this.#ring[this.#head];
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#ring.length - 1);
    this.length -= 1;
    return item;
  }

  /** Takes it out, wherever it is, in linear time. */
  remove(item: T): void {
    for (let left = this.length; left > 0; left -= 1) {
      const each = this.shift()!;
      if (each !== item) this.push(each);
    }
  }

  clear(): void {
    this.#ring = new Array<undefined>(kFirstCapacity).fill(undefined);
    this.#head = 0;
    this.length = 0;
  }

  #grow(): void {
    const inOrder = [...this.#ring.slice(this.#head), ...this.#ring.slice(0, this.#head)];
    this.#ring = [...inOrder, ...new Array<undefined>(inOrder.length).fill(undefined)];
    this.#head = 0;
  }
}

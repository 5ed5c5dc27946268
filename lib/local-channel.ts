// A channel that only this isolate knows: its values are plain references, and nothing leaves the
// thread.
//
// The same rules as in native/sync/channel.h, without the locks: receivers wait only while the
// buffer is empty and nobody waits to send; senders only while it is full; the claim is the
// delivery.
import { WaitStatus } from './waits.js';

/** Whoever waits. A select may have been served elsewhere by the time it is claimed. */
export interface Owner {
  /** True for one caller only, who then completes it. */
  claim(): boolean;
  complete(index: number, status: number, value: unknown): void;
  /** The channel has become the shared one of that handle: the wait goes on natively. */
  restart(id: number): void;
}

/** A place in a queue. */
export class Entry {
  next: Entry | undefined;
  previous: Entry | undefined;
  queue: WaitQueue | undefined;
  constructor(
    readonly owner: Owner,
    readonly index: number,
    readonly value: unknown,
  ) {}

  unlink(): void {
    this.queue?.remove(this);
  }
}

export class WaitQueue {
  first: Entry | undefined;
  #last: Entry | undefined;

  push(entry: Entry): void {
    entry.queue = this;
    entry.previous = this.#last;
    if (this.#last === undefined) this.first = entry;
    else this.#last.next = entry;
    this.#last = entry;
  }

  remove(entry: Entry): void {
    const { next, previous } = entry;
    if (previous === undefined) this.first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    entry.queue = undefined;
    entry.next = undefined;
    entry.previous = undefined;
  }

  /** The first whose wait was still on; off the queue, claimed. */
  claimFirst(): Entry | undefined {
    for (let entry = this.first; entry !== undefined; entry = this.first) {
      this.remove(entry);
      if (entry.owner.claim()) return entry;
    }
    return undefined;
  }
}

/** What {@link LocalChannel.receiveNow} has received. */
export let received: unknown;

const kCompactAt = 1024;
const kShrinkAfter = 1024;

export class LocalChannel {
  capacity: number;
  readonly receivers = new WaitQueue();
  readonly senders = new WaitQueue();
  closed = false;
  #items: unknown[] = [];
  #head = 0;
  // How it sizes itself: see native/sync/channel.h.
  readonly #minCapacity: number;
  readonly #maxCapacity: number;
  #wasEmpty = false;
  #receives = 0;
  #highest = 0;

  constructor(capacity: number, maxCapacity = capacity) {
    this.capacity = capacity;
    this.#minCapacity = capacity;
    this.#maxCapacity = maxCapacity;
  }

  #grow(): boolean {
    if (!this.#wasEmpty || this.capacity >= this.#maxCapacity) return false;
    this.capacity = Math.min(Math.max(2 * this.capacity, 1), this.#maxCapacity);
    this.#wasEmpty = false;
    return true;
  }

  #noteLevel(): void {
    this.#highest = Math.max(this.#highest, this.length);
    this.#receives += 1;
    if (this.#receives < kShrinkAfter) return;
    const half = Math.floor(this.capacity / 2);
    if (this.#highest <= half / 2 && half >= this.#minCapacity) {
      this.capacity = half;
      this.#wasEmpty = false;
    }
    this.#receives = 0;
    this.#highest = 0;
  }

  get length(): number {
    return this.#items.length - this.#head;
  }

  get items(): unknown[] {
    return this.#items.slice(this.#head);
  }

  #shift(): unknown {
    const value = this.#items[this.#head];
    this.#items[this.#head] = undefined;
    this.#head += 1;
    if (this.#head === this.#items.length) {
      this.#items.length = 0;
      this.#head = 0;
    } else if (this.#head >= kCompactAt && 2 * this.#head >= this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return value;
  }

  sendNow(value: unknown): number {
    if (this.closed) return WaitStatus.closed;
    const receiver = this.receivers.claimFirst();
    if (receiver !== undefined) {
      receiver.owner.complete(receiver.index, WaitStatus.done, value);
      return WaitStatus.done;
    }
    if (this.length >= this.capacity && !this.#grow()) return WaitStatus.notReady;
    this.#items.push(value);
    return WaitStatus.done;
  }

  receiveNow(): number {
    if (this.length > 0) {
      if (this.#maxCapacity > this.#minCapacity) this.#noteLevel();
      received = this.#shift();
      const sender = this.senders.claimFirst();
      if (sender !== undefined) {
        this.#items.push(sender.value);
        const value = received;
        sender.owner.complete(sender.index, WaitStatus.done, undefined);
        received = value;
      }
      return WaitStatus.done;
    }
    const sender = this.senders.claimFirst();
    if (sender !== undefined) {
      sender.owner.complete(sender.index, WaitStatus.done, undefined);
      received = sender.value;
      return WaitStatus.done;
    }
    this.#wasEmpty = true;
    return this.closed ? WaitStatus.closed : WaitStatus.notReady;
  }

  canSend(): boolean {
    if (this.closed || this.length < this.capacity) return true;
    const mayGrow = this.#wasEmpty && this.capacity < this.#maxCapacity;
    return mayGrow || this.receivers.first !== undefined;
  }

  canReceive(): boolean {
    return this.length > 0 || this.senders.first !== undefined || this.closed;
  }

  close(): void {
    this.closed = true;
    this.#endAll(WaitStatus.closed);
  }

  /** Nobody holds it any more: see ERR_HEDDLE_ABANDONED. */
  abandon(): void {
    this.#endAll(WaitStatus.abandoned);
  }

  #endAll(status: number): void {
    for (const queue of [this.receivers, this.senders]) {
      for (let each = queue.claimFirst(); each !== undefined; each = queue.claimFirst()) {
        each.owner.complete(each.index, status, undefined);
      }
    }
  }

  /** Takes all waits off, in the order of their arrival at each queue. */
  takeWaits(): Set<Owner> {
    const owners = new Set<Owner>();
    for (const queue of [this.senders, this.receivers]) {
      for (let each = queue.first; each !== undefined; each = queue.first) {
        queue.remove(each);
        owners.add(each.owner);
      }
    }
    return owners;
  }
}

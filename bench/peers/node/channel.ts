// A channel between async functions of one isolate, as one writes it for a program: no more than
// send, receive and select need, and no promise is made where nobody has to wait.

/** Somebody who waits to receive; one that selects stands in several queues, and is served once. */
interface Receiver<T> {
  isServed: boolean;
  deliver(value: T): void;
}

interface Sender<T> {
  readonly value: T;
  done(): void;
}

/** First in, first out, without moving what is left. */
class Fifo<T> {
  #items: (T | undefined)[] = [];
  #head = 0;

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T | undefined {
    if (this.#head === this.#items.length) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head] = undefined;
    this.#head += 1;
    if (this.#head === this.#items.length) {
      this.#items.length = 0;
      this.#head = 0;
    } else if (this.#head === 1024) {
      this.#items.splice(0, this.#head);
      this.#head = 0;
    }
    return item;
  }
}

/** Values are anything but undefined. */
export class Channel<T extends {}> {
  readonly #capacity: number;
  readonly #buffer: (T | undefined)[];
  #first = 0;
  #length = 0;
  readonly #senders = new Fifo<Sender<T>>();
  readonly #receivers = new Fifo<Receiver<T>>();

  constructor(capacity = 0) {
    this.#capacity = capacity;
    this.#buffer = new Array<T | undefined>(capacity).fill(undefined);
  }

  /** A promise if the sender has to wait, else undefined; both can be awaited. */
  send(value: T): Promise<void> | undefined {
    const receiver = this.#nextReceiver();
    if (receiver !== undefined) {
      receiver.isServed = true;
      receiver.deliver(value);
      return undefined;
    }
    if (this.#length < this.#capacity) {
      this.#push(value);
      return undefined;
    }
    return new Promise((done) => this.#senders.push({ value, done }));
  }

  /** The oldest value, or a promise of the next one; both can be awaited. */
  receive(): T | Promise<T> {
    return this.tryReceive() ?? new Promise((deliver) => this.wait({ isServed: false, deliver }));
  }

  /** The oldest value, or undefined if there is none. */
  tryReceive(): T | undefined {
    if (this.#length === 0) return this.#takeFrom(this.#senders.shift());
    const value = this.#buffer[this.#first];
    this.#buffer[this.#first] = undefined;
    this.#first = (this.#first + 1) % this.#capacity;
    this.#length -= 1;
    const moved = this.#takeFrom(this.#senders.shift());
    if (moved !== undefined) this.#push(moved);
    return value;
  }

  wait(receiver: Receiver<T>): void {
    this.#receivers.push(receiver);
  }

  #takeFrom(sender: Sender<T> | undefined): T | undefined {
    sender?.done();
    return sender?.value;
  }

  #push(value: T): void {
    this.#buffer[(this.#first + this.#length) % this.#capacity] = value;
    this.#length += 1;
  }

  #nextReceiver(): Receiver<T> | undefined {
    for (;;) {
      const receiver = this.#receivers.shift();
      if (receiver === undefined || !receiver.isServed) return receiver;
    }
  }
}

/** Receives from one of them: one by chance that has a value, else the first that gets one. */
export function select<T extends {}>(channels: readonly Channel<T>[]): T | Promise<T> {
  const first = Math.floor(Math.random() * channels.length);
  for (let i = 0; i < channels.length; i += 1) {
    const value = channels[(first + i) % channels.length]!.tryReceive();
    if (value !== undefined) return value;
  }
  return new Promise((deliver) => {
    const receiver = { isServed: false, deliver };
    for (const channel of channels) channel.wait(receiver);
  });
}

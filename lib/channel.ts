// Channels: first in, first out, between promises of this isolate, of others, and fibers.
//
// A channel is local until it is given away; see local-channel.ts. From then on it is native, the
// same one for everybody, and values are copied.
import { binding, Status } from './binding.js';
import { shareablesIn } from './encode.js';
import { describe, HeddleError } from './errors.js';
import type { Arrived } from './handle.js';
import { adopt, HandleKind, onHandle, Shareable } from './handle.js';
import { Entry, LocalChannel, received } from './local-channel.js';
import type { Owner } from './local-channel.js';
import { entries, kMostAtOnce, numbers, readValue, settleLocal, state, State } from './mail.js';
import { Moved, settleHere } from './move.js';
import { refuse, rejected, wholeNumber } from './refuse.js';
import { follow, signalOf, unfollow } from './signals.js';
import type { WaitOptions } from './signals.js';
import { isMainThread } from './thread.js';
import * as waits from './waits.js';
import { Mode, WaitStatus } from './waits.js';

/** What a receive gives: a value, or that the channel is closed and nothing is left in it. */
export type Received<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly value?: undefined };

export interface ChannelOptions {
  /** For reports and errors. */
  name?: string;
  /**
   * It sizes itself between `capacity` and this: doubles when senders and receivers wait for each
   * other by turns, halves when it has long been nearly empty. Default: it does not.
   */
  maxCapacity?: number;
}

const kMaxCapacity = 2 ** 26;
const kReceivers = 0;
const kSenders = 1;

const kEnded = Object.freeze({ ok: false } as const);

function receivedOf<T>(status: number, value: unknown): Received<T> {
  if (status === WaitStatus.done) return { ok: true, value: value as T };
  if (status === WaitStatus.closed) return kEnded;
  throw waits.waitError(status, 'recv');
}

function sentOf(status: number): undefined {
  if (status !== WaitStatus.done) throw waits.waitError(status, 'send');
}

type Outcome = (status: number, value: unknown) => unknown;

/** A wait of one operation on a channel that is local, and may become shared meanwhile. */
class LocalWait implements Owner, waits.Waiting {
  // Not the channel itself: what only waits hold must be collected.
  readonly #entry: Entry;
  readonly #outcome: Outcome;
  readonly #signal: AbortSignal | undefined;
  readonly promise: Promise<unknown>;
  readonly #resolve: (value: unknown) => void;
  #slot = -1;

  constructor(
    local: LocalChannel,
    value: unknown,
    sends: boolean,
    outcome: Outcome,
    signal: AbortSignal | undefined,
  ) {
    this.#outcome = outcome;
    this.#signal = signal;
    this.promise = waits.newPromise();
    this.#resolve = waits.lastResolver();
    this.#entry = new Entry(this, sends ? kSenders : kReceivers, value);
    (sends ? local.senders : local.receivers).push(this.#entry);
    if (signal !== undefined) follow(signal, this);
  }

  claim(): boolean {
    return true;
  }

  complete(_index: number, status: number, value: unknown): void {
    this.settle(status, 0, value);
  }

  settle(status: number, _index: number, value: unknown): void {
    if (this.#signal !== undefined) unfollow(this.#signal, this);
    try {
      this.#resolve(this.#outcome(status, value));
    } catch (error) {
      this.#resolve(rejected(error));
    }
  }

  cancel(reason: unknown): void {
    if (this.#slot >= 0) {
      if (!binding.cancelWait(this.#slot)) return;
      waits.giveSlot(this.#slot);
    } else {
      this.#entry.unlink();
    }
    if (this.#signal !== undefined) unfollow(this.#signal, this);
    this.#resolve(rejected(reason));
    settleLocal();
  }

  restart(id: number): void {
    const { index: queue, value } = this.#entry;
    try {
      const given = queue === kSenders ? waits.give(value) : undefined;
      const mode = queue === kSenders ? waits.givenMode : Mode.none;
      const slot = waits.takeSlot(this);
      binding.waitOn(id, queue, mode, given, slot, -1, waits.WaitKind.promise);
      const status = state[State.status]!;
      if (status === WaitStatus.pending) {
        this.#slot = slot;
        return;
      }
      waits.giveSlot(slot);
      this.settle(status, 0, status === WaitStatus.done ? waits.takenValue() : undefined);
    } catch (error) {
      if (this.#signal !== undefined) unfollow(this.#signal, this);
      this.#resolve(rejected(error));
    }
  }
}

// A local channel that is collected while promises wait for it: nobody can end their waits any
// more.
const abandoned = new FinalizationRegistry<LocalChannel>((local) => {
  local.abandon();
});

type Check = (value: unknown) => void;

function elementCheck(expected: string, isRight: (value: unknown) => boolean): Check {
  return (value) => {
    if (isRight(value)) return;
    throw new HeddleError('ERR_HEDDLE_VALUE', `expected ${expected}, got ${describe(value)}`);
  };
}
const checkF64 = elementCheck('a number', (value) => typeof value === 'number');
const checkI32 = elementCheck(
  'an integer of 32 bits',
  (value) => typeof value === 'number' && (value | 0) === value,
);
const checkBytes = elementCheck(
  'a Uint8Array',
  (value) => (value instanceof Moved ? value.bytes : value) instanceof Uint8Array,
);

/** By the tag that the native channel carries: its elements are the same for everybody. */
const checks: readonly (Check | undefined)[] = [undefined, checkF64, checkI32, checkBytes];

/**
 * A channel, as Go's. `send` waits while it is full, `recv` while it is empty; a capacity of 0 is a
 * rendezvous. Closing it ends its receivers once they have what was sent before.
 *
 * @example
 * const jobs = new Channel<string>(16);
 * void (async () => {
 *   for (const path of paths) await jobs.send(path);
 *   jobs.close();
 * })();
 * for await (const path of jobs) console.log(path);
 */
export class Channel<T> extends Shareable implements AsyncIterable<T> {
  readonly name: string;
  readonly #capacity: number;
  readonly #maxCapacity: number;
  #local: LocalChannel | undefined;
  #id = -1;
  #check: Check | undefined;
  #isWatched = false; // by `abandoned`, from its first wait on

  /** `capacity`: 0 to 2²⁶ values. */
  constructor(capacity = 0, options: ChannelOptions = {}) {
    super();
    this.#capacity = wholeNumber(capacity, 'capacity', 0, kMaxCapacity);
    if (typeof options !== 'object' || options === null) refuse('options', 'an object', options);
    const { name } = options;
    if (name !== undefined && typeof name !== 'string') refuse('name', 'a string', name);
    this.name = name ?? 'channel';
    const { maxCapacity = capacity } = options;
    this.#maxCapacity = wholeNumber(maxCapacity, 'maxCapacity', capacity, kMaxCapacity);
    this.#local = new LocalChannel(capacity, maxCapacity);
  }

  /** Of numbers; anything else is refused. */
  static f64(capacity = 0, options: ChannelOptions = {}): Channel<number> {
    return Channel.#of<number>(capacity, options, checkF64);
  }
  /** Of integers of 32 bits. */
  static i32(capacity = 0, options: ChannelOptions = {}): Channel<number> {
    return Channel.#of<number>(capacity, options, checkI32);
  }
  /** Of bytes. */
  static bytes(capacity = 0, options: ChannelOptions = {}): Channel<Uint8Array> {
    return Channel.#of<Uint8Array>(capacity, options, checkBytes);
  }
  static #of<E>(capacity: number, options: ChannelOptions, check: Check): Channel<E> {
    const channel = new Channel<E>(capacity, options);
    channel.#check = check;
    return channel;
  }

  /** The object for a handle that has come from elsewhere. */
  static fromHandle({ id }: Arrived): Channel<unknown> {
    const channel = new Channel<unknown>(binding.lookAt(id, 1));
    channel.#local = undefined;
    channel.#id = id;
    channel.#check = checks[binding.lookAt(id, 3)];
    return channel;
  }

  /** The local channel behind it, while there is one. */
  static localOf(channel: Channel<unknown>): LocalChannel | undefined {
    return channel.#local;
  }

  /** Throws if the value is of the wrong kind for a channel of fixed elements. */
  static check(channel: Channel<unknown>, value: unknown): void {
    channel.#check?.(value);
  }

  toHandle(): number {
    if (this.#id < 0) this.#share();
    return this.#id;
  }

  // Whether what lies in it can be shared, and in the channels that lie in it.
  static #checkItems(channel: Channel<unknown>, checked: Set<Shareable>): void {
    checked.add(channel);
    for (const item of channel.#local?.items ?? []) {
      for (const each of shareablesIn(item)) {
        if (each instanceof Channel && !checked.has(each)) Channel.#checkItems(each, checked);
      }
    }
  }

  // What lies in it is encoded, once; what cannot be is an error, and then nothing has changed.
  #share(): void {
    const local = this.#local!;
    Channel.#checkItems(this, new Set());
    const id = binding.makeHandle(
      HandleKind.channel,
      this.#capacity,
      this.#maxCapacity,
      checks.indexOf(this.#check),
    );
    if (id < 0) throw waits.waitError(WaitStatus.noMemory, 'share');
    this.#id = id; // what lies in it may hold it
    for (const item of local.items) {
      waits.trySend(id, item);
    }
    this.#local = undefined;
    abandoned.unregister(local);
    adopt(this, id);
    if (local.closed) binding.act(id, 0);
    for (const owner of local.takeWaits()) owner.restart(id);
    settleLocal();
  }

  /**
   * Waits until the value is in the channel or with a receiver. Rejects with ERR_HEDDLE_CLOSED, or
   * with the signal's reason; then the value was not sent.
   */
  send(value: T, options?: WaitOptions): Promise<void> {
    this.#check?.(value);
    const signal = signalOf(options);
    if (signal?.aborted) return rejected(signal.reason);
    const local = this.#local;
    if (local === undefined) {
      const status = waits.trySend(this.#id, value);
      settleLocal();
      if (status === WaitStatus.done) return waits.kResolved;
      if (status === WaitStatus.closed) return rejected(waits.waitError(status, 'send'));
      const given = waits.give(value);
      return waits.waitOn(this.#id, kSenders, waits.givenMode, given, signal, -1, sentOf);
    }
    if (local.closed) return rejected(waits.waitError(WaitStatus.closed, 'send'));
    const own = settleHere(value);
    const status = local.sendNow(own);
    if (status === WaitStatus.done) return waits.kResolved;
    return this.#waitLocally(local, own, true, sentOf, signal) as Promise<void>;
  }

  /** The next value, or `{ ok: false }` when it is closed and drained. */
  recv(options?: WaitOptions): Promise<Received<T>> {
    const signal = signalOf(options);
    if (signal?.aborted) return rejected(signal.reason);
    const local = this.#local;
    if (local === undefined) {
      const status = waits.tryReceive(this.#id);
      if (status === WaitStatus.done) {
        const value = waits.takenValue() as T;
        settleLocal();
        return Promise.resolve({ ok: true, value });
      }
      return waits.waitOn(this.#id, kReceivers, Mode.none, undefined, signal, -1, receivedOf<T>);
    }
    const status = local.receiveNow();
    if (status === WaitStatus.done) return Promise.resolve({ ok: true, value: received as T });
    if (status === WaitStatus.closed) return Promise.resolve(kEnded);
    return this.#waitLocally(local, undefined, false, receivedOf, signal) as Promise<Received<T>>;
  }

  #waitLocally(
    local: LocalChannel,
    value: unknown,
    sends: boolean,
    outcome: Outcome,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    if (!this.#isWatched) {
      this.#isWatched = true;
      abandoned.register(this, local, local);
    }
    return new LocalWait(local, value, sends, outcome, signal).promise;
  }

  /** True if it was sent at once. Throws ERR_HEDDLE_CLOSED. */
  trySend(value: T): boolean {
    this.#check?.(value);
    const local = this.#local;
    let status: number;
    if (local === undefined) {
      status = waits.trySend(this.#id, value);
      settleLocal();
    } else if (!local.canSend()) {
      return false;
    } else if (local.closed) {
      status = WaitStatus.closed;
    } else {
      status = local.sendNow(settleHere(value));
    }
    if (status === WaitStatus.done) return true;
    if (status === WaitStatus.notReady) return false;
    throw waits.waitError(status, 'trySend');
  }

  /** What is there at once; undefined if nothing is. */
  tryRecv(): Received<T> | undefined {
    const local = this.#local;
    const status = local === undefined ? waits.tryReceive(this.#id) : local.receiveNow();
    if (status === WaitStatus.notReady) return undefined;
    let value: unknown;
    if (status === WaitStatus.done) value = local === undefined ? waits.takenValue() : received;
    settleLocal();
    return receivedOf(status, value);
  }

  /** Sends all of them, in order, waiting whenever it is full. */
  async sendMany(values: Iterable<T>, options?: WaitOptions): Promise<void> {
    const signal = signalOf(options);
    signal?.throwIfAborted();
    let batch: T[] = [];
    for (const value of values) {
      this.#check?.(value);
      batch.push(value);
      if (batch.length < kMostAtOnce) continue;
      await this.#sendBatch(batch, signal);
      batch = [];
    }
    if (batch.length > 0) await this.#sendBatch(batch, signal);
  }

  async #sendBatch(batch: readonly T[], signal: AbortSignal | undefined): Promise<void> {
    const options = signal === undefined ? undefined : { signal };
    for (let at = 0; at < batch.length;) {
      if (this.#local === undefined && typeof batch[at] === 'number') {
        at += this.#sendNumbers(batch, at);
        if (at === batch.length) return;
      }
      await this.send(batch[at]!, options);
      at += 1;
    }
  }

  #sendNumbers(batch: readonly unknown[], from: number): number {
    let count = 0;
    for (; from + count < batch.length; count += 1) {
      const value = batch[from + count];
      if (typeof value !== 'number') break;
      numbers[count] = value;
    }
    const sent = binding.sendNumbers(this.#id, 0, count);
    const status = state[State.status]!;
    settleLocal();
    if (status === WaitStatus.closed) throw waits.waitError(status, 'sendMany');
    return sent;
  }

  /** What is there, at most `max` (1 to 2³²−1), waiting for the first; empty at the end. */
  async recvMany(max: number, options?: WaitOptions): Promise<T[]> {
    wholeNumber(max, 'max', 1, 2 ** 32 - 1);
    signalOf(options)?.throwIfAborted();
    const values: T[] = [];
    this.#takeMany(values, max);
    if (values.length > 0) return values;
    const first = await this.recv(options);
    if (!first.ok) return values;
    values.push(first.value);
    this.#takeMany(values, max);
    return values;
  }

  #takeMany(values: T[], max: number): void {
    while (values.length < max) {
      const local = this.#local;
      if (local !== undefined) {
        if (local.receiveNow() !== WaitStatus.done) return;
        values.push(received as T);
        continue;
      }
      const count = binding.receiveMany(this.#id, max - values.length);
      for (let at = 0; at < count; at += 1) {
        const kind = entries[2 * at + 1]!;
        values.push((kind === Status.number ? numbers[at] : readValue(kind, at)) as T);
      }
      settleLocal();
      if (count < kMostAtOnce) return;
    }
  }

  /** Like `send`, but the thread itself waits: in Workers only. */
  sendSync(value: T, options?: WaitOptions): void {
    this.#check?.(value);
    const signal = this.#beginSync('sendSync', options);
    const id = this.toHandle();
    const given = waits.give(value);
    const status = waits.waitSync(id, kSenders, waits.givenMode, given, signal);
    settleLocal();
    sentOf(status);
  }

  /** Like `recv`, but the thread itself waits: in Workers only. */
  recvSync(options?: WaitOptions): Received<T> {
    const signal = this.#beginSync('recvSync', options);
    const status = waits.waitSync(this.toHandle(), kReceivers, Mode.none, undefined, signal);
    const value = status === WaitStatus.done ? waits.takenValue() : undefined;
    settleLocal();
    return receivedOf(status, value);
  }

  #beginSync(what: string, options: WaitOptions | undefined): AbortSignal | undefined {
    if (isMainThread) {
      throw new HeddleError(
        'ERR_HEDDLE_MAIN_THREAD',
        `${what}: expected to be in a Worker, got the main thread`,
      );
    }
    const signal = signalOf(options);
    if (signal?.aborted) throw signal.reason;
    return signal;
  }

  /** No more values: receivers get what is in it, then the end. Throws if it was closed before. */
  close(): void {
    const local = this.#local;
    let first = true;
    if (local === undefined) {
      first = binding.act(this.#id, 0);
      settleLocal();
    } else if (local.closed) {
      first = false;
    } else {
      local.close();
    }
    if (!first) throw waits.waitError(WaitStatus.closed, 'close');
  }

  get closed(): boolean {
    return this.#local?.closed ?? binding.lookAt(this.#id, 2) !== 0;
  }

  /** How many values it has room for. */
  get capacity(): number {
    return this.#local?.capacity ?? binding.lookAt(this.#id, 1);
  }

  /** How many values lie in it. */
  get length(): number {
    return this.#local?.length ?? binding.lookAt(this.#id, 0);
  }

  /** Ends with the channel; leaving the loop early neither loses a value nor closes it. */
  [Symbol.asyncIterator](): AsyncIterator<T, undefined> {
    return {
      next: async () => {
        const result = await this.recv();
        return result.ok ? { done: false, value: result.value } : { done: true, value: undefined };
      },
      return: () => Promise.resolve({ done: true, value: undefined }),
    };
  }

  /** Its values as a stream; cancelling that neither loses a value nor closes the channel. */
  readable(): ReadableStream<T> {
    const end = new AbortController();
    return new ReadableStream<T>(
      {
        pull: (controller) => this.#pull(controller, end.signal),
        cancel: (reason) => end.abort(reason),
      },
      { highWaterMark: 0 },
    );
  }

  // The stream has the value as soon as it is received, so that a cancellation comes too late.
  #pull(controller: ReadableStreamDefaultController<T>, signal: AbortSignal): Promise<void> {
    const put = (status: number, value: unknown): void => {
      const result = receivedOf<T>(status, value);
      if (result.ok) controller.enqueue(result.value);
      else controller.close();
    };
    const local = this.#local;
    if (local === undefined) {
      return waits.waitOn(this.#id, kReceivers, Mode.none, undefined, signal, -1, put);
    }
    const status = local.receiveNow();
    if (status === WaitStatus.notReady) {
      return this.#waitLocally(local, undefined, false, put, signal) as Promise<void>;
    }
    put(status, received);
    return waits.kResolved;
  }

  /**
   * What is written is sent; closing the stream closes the channel. Its `ready` waits while a value
   * has not been sent yet.
   */
  writable(): WritableStream<T> {
    return new WritableStream<T>({
      write: (value, controller) =>
        this.send(value, { signal: (controller as unknown as { signal: AbortSignal }).signal }),
      close: () => this.close(),
    });
  }
}

onHandle(HandleKind.channel, (handle) => Channel.fromHandle(handle));

// What compiles, and what does not: channels, select, contexts, locks, tokens and tickers.
import { adopt, after, background, Barrier, Channel, done, kernels, Mutex, Once } from 'heddle';
import { recv, RWMutex, select, Semaphore, send, share, spawn, Ticker, WaitGroup } from 'heddle';
import type { Cancellable, Case, ChannelOptions, Context, Held, Received, Selected } from 'heddle';
import type { ShareToken, Task, WaitOptions } from 'heddle';
import { expectTypeOf, test } from 'vitest';

interface Job {
  path: string;
}
const jobs = new Channel<Job>(4);
const numbers = Channel.f64();
const { ctx, cancel } = background().withCancel();
const { signal } = new AbortController();

test('a channel has values of one type', () => {
  expectTypeOf(jobs).toEqualTypeOf<Channel<Job>>();
  expectTypeOf(new Channel<string>(1, { name: 'x' })).toEqualTypeOf<Channel<string>>();
  expectTypeOf(jobs.send({ path: 'a' }, { signal })).toEqualTypeOf<Promise<void>>();
  expectTypeOf(jobs.recv()).toEqualTypeOf<Promise<Received<Job>>>();
  expectTypeOf(jobs.trySend({ path: 'a' })).toEqualTypeOf<boolean>();
  expectTypeOf(jobs.tryRecv()).toEqualTypeOf<Received<Job> | undefined>();
  expectTypeOf(jobs.sendMany(new Set([{ path: 'a' }]))).toEqualTypeOf<Promise<void>>();
  expectTypeOf(jobs.recvMany(5, { signal })).toEqualTypeOf<Promise<Job[]>>();
  expectTypeOf(jobs.sendSync({ path: 'a' })).toEqualTypeOf<void>();
  expectTypeOf(jobs.recvSync()).toEqualTypeOf<Received<Job>>();
  expectTypeOf(jobs.close()).toEqualTypeOf<void>();
  expectTypeOf(jobs.readable()).toEqualTypeOf<ReadableStream<Job>>();
  expectTypeOf(jobs.writable()).toEqualTypeOf<WritableStream<Job>>();
  expectTypeOf([jobs.length, jobs.capacity]).toEqualTypeOf<number[]>();
  expectTypeOf([jobs.closed]).toEqualTypeOf<boolean[]>();
  expectTypeOf<ChannelOptions['name']>().toEqualTypeOf<string | undefined>();
  expectTypeOf<WaitOptions>().toEqualTypeOf<{ signal?: AbortSignal }>();
});

test('only such values can be sent', () => {
  // @ts-expect-error -- no path
  void jobs.send({});
  // @ts-expect-error -- a path is a string
  jobs.trySend({ path: 5 });
  // @ts-expect-error -- not a list of jobs
  void jobs.sendMany(['a']);
  // @ts-expect-error -- nor in a select
  send(jobs, 'a');
  // @ts-expect-error -- nor synchronously
  jobs.sendSync(5);
  // @ts-expect-error -- a value is needed
  void jobs.send();
  // @ts-expect-error -- a capacity is a number
  new Channel<Job>('4');
  // @ts-expect-error -- no such option
  new Channel<Job>(4, { size: 4 });
  // @ts-expect-error -- a controller is not its signal
  void jobs.recv({ signal: new AbortController() });
  // @ts-expect-error -- of how many
  void jobs.recvMany();
  // @ts-expect-error -- read only
  jobs.closed = true;
});

test('fixed elements have one type and no other', () => {
  expectTypeOf(Channel.f64(4)).toEqualTypeOf<Channel<number>>();
  expectTypeOf(Channel.i32(4, { name: 'x' })).toEqualTypeOf<Channel<number>>();
  expectTypeOf(Channel.bytes()).toEqualTypeOf<Channel<Uint8Array>>();
  // @ts-expect-error -- a string is no number
  void Channel.f64().send('1');
  // @ts-expect-error -- nor is a bigint
  Channel.i32().trySend(1n);
  // @ts-expect-error -- text is not bytes
  void Channel.bytes().sendMany(['text']);
  // @ts-expect-error -- nor are numbers
  send(Channel.bytes(), [1, 2]);
});

test('what was received has a value if it is ok', async () => {
  const received = await jobs.recv();
  expectTypeOf(received.value).toEqualTypeOf<Job | undefined>();
  if (received.ok) expectTypeOf(received.value).toEqualTypeOf<Job>();
  else expectTypeOf(received.value).toEqualTypeOf<undefined>();
  // @ts-expect-error -- there may be none
  void received.value.path;
  for await (const job of jobs) expectTypeOf(job).toEqualTypeOf<Job>();
  const [first] = await jobs.recvMany(1);
  expectTypeOf(first).toEqualTypeOf<Job | undefined>();
});

test('a select by names gives a union that its key tells apart', async () => {
  const r = await select(
    { job: recv(jobs), full: send(numbers, 1), tick: after(50), stop: done(ctx) },
    { signal },
  );
  expectTypeOf(r.key).toEqualTypeOf<'job' | 'full' | 'tick' | 'stop'>();
  switch (r.key) {
    case 'job':
      expectTypeOf(r.value).toEqualTypeOf<Job | undefined>();
      if (r.ok) expectTypeOf(r.value).toEqualTypeOf<Job>();
      break;
    case 'full':
      expectTypeOf(r.ok).toEqualTypeOf<boolean>();
      // @ts-expect-error -- a send gives nothing
      void r.value;
      break;
    case 'tick':
      expectTypeOf(r.ok).toEqualTypeOf<true>();
      // @ts-expect-error -- only contexts have a reason
      void r.reason;
      break;
    case 'stop':
      expectTypeOf(r.ok).toEqualTypeOf<true>();
      expectTypeOf(r.reason).toBeUnknown();
      break;
    default:
      expectTypeOf(r).toBeNever();
  }
  // @ts-expect-error -- not one of the keys
  void (r.key === 'other');
});

test('a select by places gives their numbers', async () => {
  const r = await select([recv(jobs), recv(numbers), after(1)]);
  expectTypeOf(r.key).toEqualTypeOf<0 | 1 | 2>();
  if (r.key === 0 && r.ok) expectTypeOf(r.value).toEqualTypeOf<Job>();
  if (r.key === 1 && r.ok) expectTypeOf(r.value).toEqualTypeOf<number>();
  if (r.key === 2) expectTypeOf(r.ok).toEqualTypeOf<true>();
  const channels: Channel<string>[] = [];
  const each = await select(channels.map((channel) => recv(channel)));
  expectTypeOf(each.key).toEqualTypeOf<number>();
  if (each.ok) expectTypeOf(each.value).toEqualTypeOf<string>();
});

test('a case may be absent', async () => {
  const maybe = Math.random() > 2 ? recv(jobs) : undefined;
  const r = await select({ job: maybe, sum: recv(numbers) });
  expectTypeOf(r.key).toEqualTypeOf<'job' | 'sum'>();
  if (r.key === 'job' && r.ok) expectTypeOf(r.value).toEqualTypeOf<Job>();
  const list = await select([maybe, after(1)]);
  if (list.key === 0 && list.ok) expectTypeOf(list.value).toEqualTypeOf<Job>();
  const cases: Record<string, Case<Received<Job>> | undefined> = { a: maybe };
  const any = await select(cases);
  expectTypeOf(any.key).toEqualTypeOf<string>();
  if (any.ok) expectTypeOf(any.value).toEqualTypeOf<Job>();
});

test('the default is undefined, and takes no signal', () => {
  const now = select.now({ job: recv(jobs), tick: after(0) });
  expectTypeOf(now?.key).toEqualTypeOf<'job' | 'tick' | undefined>();
  if (now?.key === 'job' && now.ok) expectTypeOf(now.value).toEqualTypeOf<Job>();
  const place = select.now([recv(jobs)]);
  expectTypeOf(place?.key).toEqualTypeOf<0 | undefined>();
  // @ts-expect-error -- undefined if none is ready
  void now.key;
  // @ts-expect-error -- it does not wait
  select.now({ job: recv(jobs) }, { signal });
});

test('a case is made of what can be waited for', () => {
  expectTypeOf(recv(jobs)).toEqualTypeOf<Case<Received<Job>>>();
  expectTypeOf(send(jobs, { path: 'a' })).toEqualTypeOf<Case<{ readonly ok: boolean }>>();
  expectTypeOf(after(5)).toEqualTypeOf<Case<{ readonly ok: true }>>();
  type Mixed = Selected<{ a: Case<Received<number>>; b: undefined }>;
  expectTypeOf<Extract<Mixed, { key: 'a' }>['key']>().toEqualTypeOf<'a'>();
  // @ts-expect-error -- a promise is no case
  void select({ job: jobs.recv() });
  // @ts-expect-error -- nor is a channel
  void select([jobs]);
  // @ts-expect-error -- null is not absent
  void select({ job: null });
  // @ts-expect-error -- a duration is a number
  after('5');
  // @ts-expect-error -- a signal is no context
  done(signal);
  // @ts-expect-error -- a context is no channel
  recv(ctx);
});

test('contexts', () => {
  expectTypeOf(background()).toEqualTypeOf<Context>();
  expectTypeOf(ctx.withTimeout(5)).toEqualTypeOf<Cancellable>();
  expectTypeOf(ctx.withDeadline(new Date())).toEqualTypeOf<Cancellable>();
  expectTypeOf(ctx.withDeadline(5)).toEqualTypeOf<Cancellable>();
  expectTypeOf(ctx.withValue('k', 1)).toEqualTypeOf<Context>();
  expectTypeOf(ctx.value('k')).toBeUnknown();
  expectTypeOf(ctx.err).toBeUnknown();
  expectTypeOf([ctx.done]).toEqualTypeOf<boolean[]>();
  expectTypeOf(ctx.signal).toEqualTypeOf<AbortSignal>();
  expectTypeOf(ctx.throwIfDone()).toEqualTypeOf<void>();
  expectTypeOf(cancel).toEqualTypeOf<(reason?: unknown) => void>();
  // @ts-expect-error -- a date is no text
  ctx.withDeadline('2030-01-01');
  // @ts-expect-error -- it is ended by `cancel`
  ctx.done = true;
});

test('locks', async () => {
  const [mutex, rw, semaphore] = [new Mutex(), new RWMutex(), new Semaphore(2)];
  expectTypeOf(mutex.lock({ signal })).toEqualTypeOf<Promise<Held>>();
  expectTypeOf(mutex.tryLock()).toEqualTypeOf<Held | undefined>();
  expectTypeOf(rw.readLock()).toEqualTypeOf<Promise<Held>>();
  expectTypeOf(semaphore.acquire(2, { signal })).toEqualTypeOf<Promise<Held>>();
  expectTypeOf(mutex.withLock(() => 5)).toEqualTypeOf<Promise<number>>();
  expectTypeOf(rw.withReadLock(() => Promise.resolve('a'))).toEqualTypeOf<Promise<string>>();
  expectTypeOf(semaphore.withPermit(() => {})).toEqualTypeOf<Promise<void>>();
  const held = await mutex.lock();
  expectTypeOf(held).toExtend<Disposable>();
  expectTypeOf([held.poisoned]).toEqualTypeOf<boolean[]>();
  using another = await rw.lock();
  expectTypeOf(another.release()).toEqualTypeOf<void>();
  expectTypeOf(new WaitGroup().wait()).toEqualTypeOf<Promise<void>>();
  expectTypeOf(new Once().run(() => 5)).toEqualTypeOf<Promise<boolean>>();
  expectTypeOf(new Barrier(2).arrive({ signal })).toEqualTypeOf<Promise<boolean>>();
  // @ts-expect-error -- how many
  new Semaphore();
  // @ts-expect-error -- of how many
  new Barrier();
  // @ts-expect-error -- a mutex of nothing but itself
  new Mutex(5);
  // @ts-expect-error -- something to run
  void mutex.withLock();
  // @ts-expect-error -- options, not a signal
  void mutex.lock(signal);
});

test('a token gives what it was made of', () => {
  expectTypeOf(share(jobs)).toEqualTypeOf<ShareToken<Channel<Job>>>();
  expectTypeOf(adopt(share(jobs))).toEqualTypeOf<Channel<Job>>();
  expectTypeOf(adopt(share(new Mutex()))).toEqualTypeOf<Mutex>();
  expectTypeOf(adopt(share(ctx))).toEqualTypeOf<Context>();
  // @ts-expect-error -- plain data is not shared
  share({ a: 1 });
  // @ts-expect-error -- a number is no token
  adopt(5);
});

test('kernels take channels of the right elements', () => {
  const bytes = Channel.bytes();
  expectTypeOf(spawn(kernels.produce, numbers, 5, true)).toEqualTypeOf<Task<number>>();
  expectTypeOf(spawn(kernels.consume, numbers)).toEqualTypeOf<Task<number>>();
  expectTypeOf(spawn(kernels.mapBytes, bytes, bytes)).toEqualTypeOf<Task<number>>();
  // @ts-expect-error -- it sends numbers
  void spawn(kernels.produce, bytes, 5);
  // @ts-expect-error -- it wants bytes
  void spawn(kernels.mapBytes, numbers, bytes);
  // @ts-expect-error -- a count is a number
  void spawn(kernels.produce, numbers, '5');
  // @ts-expect-error -- a list is no channel
  void spawn(kernels.consume, [1, 2]);
});

test('a ticker has a channel of numbers', () => {
  const ticker = new Ticker(5);
  expectTypeOf(ticker.ticks).toEqualTypeOf<Channel<number>>();
  expectTypeOf(ticker.stop()).toEqualTypeOf<void>();
  expectTypeOf(ticker).toExtend<Disposable>();
  // @ts-expect-error -- a period is needed
  new Ticker();
});

// Random operations on channels, held against a model that is too simple to be wrong. Channels are
// local, shared, or become shared on the way.
import fc from 'fast-check';
import { Channel, recv, select, send } from 'heddle';
import { describe, expect, test } from 'vitest';
import { reactions, sharedChannel } from './support.js';

type Outcome = string;
type Queue = 'senders' | 'receivers';

/** A wait of the model: it is in the queues of its cases, and leaves all of them at once. */
interface ModelWait {
  readonly cases: { channel: ModelChannel; queue: Queue; value: number; key: number }[];
  readonly isSelect: boolean;
  outcome: Outcome | undefined;
}

class ModelChannel {
  readonly items: number[] = [];
  readonly senders: ModelWait[] = [];
  readonly receivers: ModelWait[] = [];
  closed = false;
  constructor(readonly capacity: number) {}

  isReady(queue: Queue): boolean {
    if (this.closed) return true;
    return queue === 'senders'
      ? this.items.length < this.capacity || this.receivers.length > 0
      : this.items.length > 0 || this.senders.length > 0;
  }

  /** What comes of an operation that is ready. */
  run(queue: Queue, value: number): Outcome {
    if (queue === 'senders') {
      if (this.closed) return 'closed';
      const receiver = this.receivers[0];
      if (receiver === undefined) this.items.push(value);
      else end(receiver, this, 'receivers', `got ${value}`);
      return 'sent';
    }
    const item = this.items.shift();
    const sender = this.senders[0];
    if (sender !== undefined) {
      const sent = end(sender, this, 'senders', 'sent');
      if (item === undefined) return `got ${sent}`;
      this.items.push(sent);
    }
    return item === undefined ? 'closed' : `got ${item}`;
  }

  close(): void {
    this.closed = true;
    for (const queue of ['receivers', 'senders'] as const) {
      for (let wait = this[queue][0]; wait !== undefined; wait = this[queue][0]) {
        end(wait, this, queue, 'closed');
      }
    }
  }
}

function withdraw(wait: ModelWait): void {
  for (const { channel, queue } of wait.cases) {
    const at = channel[queue].indexOf(wait);
    if (at >= 0) channel[queue].splice(at, 1);
  }
}

/** Ends a wait by one of its cases; the value of that. */
function end(wait: ModelWait, channel: ModelChannel, queue: Queue, outcome: Outcome): number {
  const chosen = wait.cases.find((each) => each.channel === channel && each.queue === queue)!;
  withdraw(wait);
  wait.outcome = wait.isSelect ? `${chosen.key}: ${outcome}` : outcome;
  return chosen.value;
}

function outcomeOf(result: unknown): Outcome {
  if (result === undefined || result === true) return 'sent';
  const { ok, value, key } = result as { ok: boolean; value?: number; key?: number };
  const outcome = !ok ? 'closed' : value === undefined ? 'sent' : `got ${value}`;
  return key === undefined ? outcome : `${key}: ${outcome}`;
}

function failureOf(error: unknown): Outcome {
  return (error as { code?: string }).code === 'ERR_HEDDLE_CLOSED' ? 'closed' : String(error);
}

/** Real channels and their models, and every wait with what has become of it. */
class Both {
  readonly real: Channel<number>[];
  readonly model: ModelChannel[];
  readonly waits: { wait: ModelWait; real: Outcome | undefined; cancel: () => void }[] = [];
  next = 0;

  constructor(capacities: readonly number[], isShared: readonly boolean[]) {
    this.real = capacities.map((capacity, i) =>
      isShared[i] === true ? sharedChannel(capacity) : new Channel(capacity),
    );
    this.model = capacities.map((capacity) => new ModelChannel(capacity));
  }

  start(
    cases: ModelWait['cases'],
    isSelect: boolean,
    run: (signal: AbortSignal) => Promise<unknown>,
  ) {
    const controller = new AbortController();
    const wait: ModelWait = { cases, isSelect, outcome: undefined };
    const both = { wait, real: undefined as Outcome | undefined, cancel: () => {} };
    const ready = cases.filter(({ channel, queue }) => channel.isReady(queue));
    run(controller.signal).then(
      (result) => (both.real = outcomeOf(result)),
      (error: unknown) => (both.real = failureOf(error)),
    );
    both.cancel = () => {
      controller.abort('cancelled');
      if (wait.outcome !== undefined) return;
      withdraw(wait);
      wait.outcome = 'cancelled';
    };
    this.waits.push(both);
    return { both, wait, ready };
  }

  async operate(at: number, queue: Queue): Promise<void> {
    const [channel, model, value] = [this.real[at]!, this.model[at]!, this.next++];
    const cases = [{ channel: model, queue, value, key: 0 }];
    const { wait, ready } = this.start(cases, false, (signal) =>
      queue === 'senders' ? channel.send(value, { signal }) : channel.recv({ signal }),
    );
    if (ready.length > 0) wait.outcome = model.run(queue, value);
    else model[queue].push(wait);
    await reactions();
  }

  async choose(picks: readonly (readonly [number, Queue])[]): Promise<void> {
    const cases = picks.map(([at, queue], key) => {
      return { channel: this.model[at % this.model.length]!, queue, value: this.next++, key };
    });
    const { both, wait, ready } = this.start(cases, true, (signal) =>
      select(
        cases.map(({ channel, queue, value }) => {
          const real = this.real[this.model.indexOf(channel)]!;
          return queue === 'senders' ? send(real, value) : recv(real);
        }),
        { signal },
      ),
    );
    await reactions();
    if (ready.length === 0) {
      for (const { channel, queue } of cases) channel[queue].push(wait);
      return;
    }
    // Any of those that are ready may be chosen: which one, only the real one knows.
    const chosen = ready.find(({ key }) => both.real?.startsWith(`${key}: `));
    expect(chosen, `${both.real} of ${ready.map(({ key }) => key).join()}`).toBeDefined();
    const { channel, queue, value, key } = chosen!;
    wait.outcome = `${key}: ${channel.run(queue, value)}`;
  }

  try(at: number, queue: Queue): void {
    const [channel, model, value] = [this.real[at]!, this.model[at]!, this.next++];
    const expected = model.isReady(queue) ? model.run(queue, value) : 'not ready';
    let got: Outcome;
    try {
      const result = queue === 'senders' ? channel.trySend(value) : channel.tryRecv();
      got = result === false || result === undefined ? 'not ready' : outcomeOf(result);
    } catch (error) {
      got = failureOf(error);
    }
    expect(got).toBe(expected);
  }

  close(at: number): void {
    const [channel, model] = [this.real[at]!, this.model[at]!];
    if (model.closed) {
      expect(() => channel.close()).toThrow('expected it to be open');
      return;
    }
    channel.close();
    model.close();
  }

  check(): void {
    expect(this.waits.map(({ real }) => real)).toEqual(this.waits.map(({ wait }) => wait.outcome));
    expect(this.real.map(({ length, closed }) => [length, closed])).toEqual(
      this.model.map(({ items, closed }) => [items.length, closed]),
    );
  }
}

const queue = fc.constantFrom<Queue>('senders', 'receivers');
const at = fc.nat({ max: 1 });
const operations = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ what: fc.constant('wait' as const), at, queue }) },
    { weight: 3, arbitrary: fc.record({ what: fc.constant('try' as const), at, queue }) },
    { weight: 3, arbitrary: fc.record({ what: fc.constant('cancel' as const), nth: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ what: fc.constant('close' as const), at }) },
    { weight: 1, arbitrary: fc.record({ what: fc.constant('share' as const), at }) },
    {
      weight: 3,
      arbitrary: fc.record({
        what: fc.constant('select' as const),
        picks: fc.array(fc.tuple(at, queue), { minLength: 1, maxLength: 4 }),
      }),
    },
  ),
  { maxLength: 60, size: 'max' },
);
type Operations = typeof operations extends fc.Arbitrary<infer T> ? T : never;

async function run(both: Both, steps: Operations): Promise<void> {
  for (const step of steps) {
    if (step.what === 'wait') await both.operate(step.at % both.real.length, step.queue);
    else if (step.what === 'try') both.try(step.at % both.real.length, step.queue);
    else if (step.what === 'close') both.close(step.at % both.real.length);
    else if (step.what === 'share') both.real[step.at % both.real.length]!.toHandle();
    else if (step.what === 'select') await both.choose(step.picks);
    else if (both.waits.length > 0) both.waits[step.nth % both.waits.length]!.cancel();
    await reactions();
    both.check();
  }
  for (const { cancel } of both.waits) cancel();
  await reactions();
  both.check();
}

const capacity = fc.oneof(fc.constant(0), fc.nat({ max: 5 }));
const except = (...words: string[]): fc.Arbitrary<Operations> =>
  operations.map((steps) => steps.filter(({ what }) => !words.includes(what)));

describe('random operations do what the model says', () => {
  test.each([
    ['local', false],
    ['shared', true],
  ])('on a %s channel', async (_, isShared) => {
    const property = fc.asyncProperty(capacity, except('share'), (most, steps) =>
      run(new Both([most], [isShared]), steps),
    );
    await fc.assert(property, { numRuns: 250 });
  });

  test.each([
    ['both local', [false, false]],
    ['both shared', [true, true]],
    ['one local, one shared', [false, true]],
  ])('on two channels, %s', async (_, isShared) => {
    const property = fc.asyncProperty(capacity, capacity, except('share'), (a, b, steps) =>
      run(new Both([a, b], isShared), steps),
    );
    await fc.assert(property, { numRuns: 200 });
  });

  test('on two channels that become shared at any moment', async () => {
    // Without selects, whose place in the queue of another channel may change by that.
    const property = fc.asyncProperty(capacity, capacity, except('select'), (a, b, steps) =>
      run(new Both([a, b], [false, false]), steps),
    );
    await fc.assert(property, { numRuns: 250 });
  });

  test('on one channel that becomes shared while selects wait', async () => {
    const property = fc.asyncProperty(capacity, operations, (most, steps) =>
      run(new Both([most], [false]), steps),
    );
    await fc.assert(property, { numRuns: 200 });
  });
});

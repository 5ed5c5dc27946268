// Random operations on a pool, held against a model that is too simple to be wrong: one sorted list
// of what is queued. Each run has a channel of its own and ends when that is closed.
import fc from 'fast-check';
import { Channel, kernels, Pool } from 'heddle';
import { describe, expect, test } from 'vitest';
import { reactions, until } from './support.js';

type Overflow = 'reject' | 'dropOldest';
type Fate = 'queued' | 'running' | 'done' | 'cancelled' | 'full' | 'dropped' | 'closed';

interface ModelRun {
  readonly priority: number;
  readonly order: number;
  fate: Fate;
}

const byTurn = (a: ModelRun, b: ModelRun): number => b.priority - a.priority || a.order - b.order;

class ModelPool {
  readonly runs: ModelRun[] = [];
  closed = false;
  constructor(
    public concurrency: number,
    readonly queue: number,
    readonly overflow: Overflow,
  ) {}

  of(fate: Fate): ModelRun[] {
    return this.runs.filter((run) => run.fate === fate);
  }

  fill(): void {
    while (this.of('running').length < this.concurrency) {
      const [next] = this.of('queued').sort(byTurn);
      if (next === undefined) return;
      next.fate = 'running';
    }
  }

  run(priority: number): void {
    const run: ModelRun = { priority, order: this.runs.length, fate: 'queued' };
    this.runs.push(run);
    if (this.closed) {
      run.fate = 'closed';
      return;
    }
    this.fill();
    const queued = this.of('queued');
    if (queued.length <= this.queue) return;
    if (this.overflow === 'reject') {
      run.fate = 'full';
      return;
    }
    const lowest = Math.min(...queued.map((each) => each.priority));
    queued.find((each) => each.priority === lowest)!.fate = 'dropped';
  }

  cancel(run: ModelRun): void {
    if (run.fate !== 'queued' && run.fate !== 'running') return;
    run.fate = 'cancelled';
    this.fill();
  }

  close(): void {
    this.closed = true;
    for (const run of this.of('queued')) run.fate = 'closed';
  }
}

const fates: Record<string, Fate> = {
  ERR_HEDDLE_QUEUE_FULL: 'full',
  ERR_HEDDLE_DROPPED: 'dropped',
  ERR_HEDDLE_POOL_CLOSED: 'closed',
};

interface RealRun {
  readonly gate: Channel<unknown>;
  readonly end: AbortController;
  fate: Fate | undefined;
}

class Both {
  readonly model: ModelPool;
  readonly real: Pool<[from: Channel<unknown>], number>;
  readonly runs: RealRun[] = [];
  #closed: Promise<void>[] = [];

  constructor(concurrency: number, queue: number, overflow: Overflow) {
    this.model = new ModelPool(concurrency, queue, overflow);
    this.real = new Pool(kernels.consume, { concurrency, queue, overflow, min: 0 });
  }

  run(priority: number): void {
    const run: RealRun = { gate: new Channel(), end: new AbortController(), fate: undefined };
    this.runs.push(run);
    this.real.runWith({ priority, signal: run.end.signal }, run.gate).then(
      () => (run.fate = 'done'),
      (error: { code?: string }) => (run.fate = fates[error.code ?? ''] ?? 'cancelled'),
    );
    this.model.run(priority);
  }

  /** Lets the nth of those end that run, as the model has it. */
  finish(nth: number): void {
    const running = this.model.of('running');
    if (running.length === 0) return;
    const run = running[nth % running.length]!;
    this.runs[run.order]!.gate.close();
    run.fate = 'done';
    this.model.fill();
  }

  cancel(nth: number): void {
    if (this.runs.length === 0) return;
    const order = nth % this.runs.length;
    this.runs[order]!.end.abort('cancelled');
    this.model.cancel(this.model.runs[order]!);
  }

  resize(concurrency: number): void {
    this.real.concurrency = concurrency;
    this.model.concurrency = concurrency;
    this.model.fill();
  }

  close(): void {
    this.#closed.push(this.real.close({ deadline: Infinity }));
    this.model.close();
  }

  /** Native tasks take their time to end: then both are the same. */
  async check(): Promise<void> {
    const pending: Fate[] = ['queued', 'running'];
    const expected = this.model.runs.map(({ fate }) => (pending.includes(fate) ? undefined : fate));
    await until(() => this.runs.every(({ fate }, at) => fate === expected[at]));
    await reactions();
    expect(this.runs.map(({ fate }) => fate)).toEqual(expected);
    const count = (...of: Fate[]): number => of.flatMap((each) => this.model.of(each)).length;
    expect(this.real.stats()).toMatchObject({
      queued: count('queued'),
      running: count('running'),
      completed: count('done'),
      failed: 0,
      cancelled: count('cancelled'),
      dropped: count('dropped'),
      rejected: count('full', 'closed'),
    });
  }

  /** Everything ends, and nothing is left. */
  async end(): Promise<void> {
    const drained = this.real.drain();
    while (this.model.of('running').length > 0) {
      this.finish(0);
      await this.check();
    }
    await drained;
    this.close();
    await Promise.all(this.#closed);
    await this.check();
  }
}

const nth = fc.nat({ max: 50 });
const steps = fc.array(
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        what: fc.constant('run' as const),
        priority: fc.integer({ min: -2, max: 2 }),
      }),
    },
    { weight: 4, arbitrary: fc.record({ what: fc.constant('finish' as const), nth }) },
    { weight: 3, arbitrary: fc.record({ what: fc.constant('cancel' as const), nth }) },
    {
      weight: 1,
      arbitrary: fc.record({
        what: fc.constant('resize' as const),
        concurrency: fc.integer({ min: 1, max: 5 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ what: fc.constant('check' as const) }) },
  ),
  { maxLength: 50, size: 'max' },
);
type Steps = typeof steps extends fc.Arbitrary<infer T> ? T : never;

async function play(both: Both, play: Steps, closeAt: number): Promise<void> {
  for (const [at, step] of play.entries()) {
    if (at === closeAt) both.close();
    if (step.what === 'run') both.run(step.priority);
    else if (step.what === 'cancel') both.cancel(step.nth);
    else if (step.what === 'resize') both.resize(step.concurrency);
    else if (step.what === 'finish') both.finish(step.nth);
    // Queued runs are cancelled within the call; an end that native code tells of comes later.
    if (step.what !== 'run') await both.check();
  }
  await both.end();
}

describe('random operations do what the model says', () => {
  test.each<Overflow>(['reject', 'dropOldest'])('when the queue would %s', async (overflow) => {
    const least = overflow === 'reject' ? 0 : 1;
    const property = fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: least, max: 6 }),
      steps,
      fc.oneof(fc.constant(-1), fc.nat({ max: 50 })),
      (concurrency, queue, given, closeAt) =>
        play(new Both(concurrency, queue, overflow), given, closeAt),
    );
    await fc.assert(property, { numRuns: 300 });
  });
});

// What an isolate does with tasks: takes them from its set's queue, one after the other, calls
// their functions and hands back what they give.
//
// Always true: between two tasks the microtasks of the first one run; after a while the event loop
// has its turn. A run's number is native code's until it is finished, exactly once.
import { binding, TaskOutcome } from './binding.js';
import { runCarrying } from './carry.js';
import { Context } from './context.js';
import { describe, HeddleError } from './errors.js';
import { Arrived, HandleKind } from './handle.js';
import { evaluateInline } from './inline.js';
import { whileLoading } from './loading.js';
import { entries, onWant, readValue, settleLocal, Want } from './mail.js';
import type { Extra } from './spawn-task.js';
import { sendAll } from './stream.js';
import { definedTask, readFunction, readWarm } from './tasks.js';
import type { TaskFn } from './tasks.js';
import { registerTsx } from './tsx.js';
import { give, givenMode, kResolved, Mode, settleGiven } from './waits.js';

const kMostDirect = 3;

const kLate = new Arrived(-1);

/** The context of a running task; native code makes one only if it is used for more than `done`. */
class TaskContext extends Context {
  /** -1: the task has ended, and its context with it. */
  run: number;

  constructor(run: number) {
    super(kLate);
    this.run = run;
  }

  protected override isDoneEarly(): boolean {
    return this.run < 0 || binding.isTaskCancelled(this.run);
  }

  protected override makeLate(): number {
    if (this.run >= 0) return binding.taskContext(this.run);
    const id = binding.makeHandle(HandleKind.context, 0, 0, 0);
    if (id >= 0) binding.cancelContext(id, Mode.none, undefined);
    return id;
  }
}

/** A task that has been taken. */
interface Run {
  readonly ctx: TaskContext;
  readonly args: unknown[];
  readonly extra: Extra | undefined;
}

function take(run: number): Run {
  const count = entries[1]!;
  const [first, second, third, fourth] = entries.subarray(2, 3 + kMostDirect) as unknown as [
    number,
    number,
    number,
    number,
  ];
  const args: unknown[] = [];
  if (count > 0) args.push(readValue(first, 0));
  if (count > 1) args.push(readValue(second, 1));
  if (count > 2) args.push(readValue(third, 2));
  const extra = readValue(fourth, kMostDirect) as Extra | undefined;
  if (extra?.rest !== undefined) args.push(...extra.rest);
  return { ctx: new TaskContext(run), args, extra };
}

function finish(ctx: TaskContext, outcome: number, value: unknown): void {
  const { run } = ctx;
  ctx.run = -1;
  let wasTaken = false;
  try {
    binding.finishTask(run, outcome, givenMode, value);
    wasTaken = true;
  } finally {
    settleGiven(wasTaken);
  }
  settleLocal();
}

function succeed(ctx: TaskContext, value: unknown): void {
  let given: unknown;
  try {
    given = give(value);
  } catch (error) {
    fail(ctx, error);
    return;
  }
  finish(ctx, TaskOutcome.value, given);
}

function fail(ctx: TaskContext, error: unknown): void {
  const gaveIn = binding.isTaskCancelled(ctx.run) && isCancellation(error, ctx);
  let given: unknown;
  try {
    given = give(error);
  } catch {
    given = give(plainError(error));
  }
  finish(ctx, gaveIn ? TaskOutcome.cancelled : TaskOutcome.thrown, given);
}

/** Whether the task has thrown because it was cancelled. */
function isCancellation(error: unknown, ctx: Context): boolean {
  return error === ctx.err || (error instanceof Error && error.name === 'AbortError');
}

/** What remains of an error that cannot travel, because of something that it holds. */
function plainError(error: unknown): Error {
  if (!(error instanceof Error)) return new Error(`a task has thrown ${describe(error)}`);
  const plain = new Error(error.message);
  plain.name = error.name;
  if (error.stack !== undefined) plain.stack = error.stack;
  return plain;
}

/** True if it goes on after this turn. */
function call(fn: TaskFn, run: Run): boolean {
  const { ctx, extra } = run;
  try {
    const result =
      extra === undefined
        ? invoke(fn, run)
        : extra.carried === undefined
          ? invoke(fn, run)
          : runCarrying(extra.carried, () => invoke(fn, run));
    if (result instanceof Promise) {
      settleLater(ctx, result);
      return true;
    }
    succeed(ctx, result);
  } catch (error) {
    fail(ctx, error);
  }
  return false;
}

// What it closes over is all that a task that waits costs besides its own.
function settleLater(ctx: TaskContext, result: Promise<unknown>): void {
  void result.then(
    (value) => succeed(ctx, value),
    (error: unknown) => fail(ctx, error),
  );
}

function invoke(fn: TaskFn, { ctx, args, extra }: Run): unknown {
  const result = fn(ctx, ...args);
  const stream = extra?.stream;
  if (stream !== undefined) {
    return sendAll(result as AsyncGenerator<unknown>, stream, ctx);
  }
  if (result instanceof Promise) return result;
  return isThenable(result) ? Promise.resolve(result) : result;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' && value !== null && typeof (value as never)['then'] === 'function'
  );
}

// --- functions ---

const functions: (TaskFn | undefined)[] = [];

/** Somebody who waits for a function. */
interface Waiting {
  readonly loaded: (fn: TaskFn) => void;
  readonly failed: (error: unknown) => void;
}

// In the order in which they came.
const loads = new Map<number, Waiting[]>();

function whenLoaded(id: number, waiting: Waiting): void {
  const others = loads.get(id);
  if (others !== undefined) {
    others.push(waiting);
    return;
  }
  const all = [waiting];
  loads.set(id, all);
  void load(id, all);
}

async function load(id: number, all: Waiting[]): Promise<void> {
  let fn: TaskFn;
  try {
    fn = await find(id);
  } catch (error) {
    loads.delete(id);
    for (const { failed } of all) failed(error);
    return;
  }
  // While some still wait, the next ones line up behind them instead of overtaking.
  for (const { loaded } of all) {
    loaded(fn);
    await kResolved;
  }
  loads.delete(id);
  functions[id] = fn;
}

/** Only loads it: the function of a task that does no more. */
function warm(id: number): Promise<void> | undefined {
  if (functions[id] !== undefined) return undefined;
  return new Promise((resolve, failed) => {
    whenLoaded(id, { loaded: () => resolve(), failed });
  });
}

async function find(id: number): Promise<TaskFn> {
  const text = binding.functionText(id);
  const other = readWarm(text);
  if (other !== undefined) return () => warm(other);
  const { url, name, source } = readFunction(text);
  return url === undefined ? evaluateInline(source, name) : importTask(url, name);
}

const kTypeScript = /\.[cm]?tsx?($|\?)/;

async function importTask(url: string, name: string): Promise<TaskFn> {
  try {
    await whileLoading(url, () => importModule(url));
  } catch (error) {
    if (error instanceof HeddleError && error.code === 'ERR_HEDDLE_LOADING') throw error;
    throw new HeddleError(
      'ERR_HEDDLE_MODULE',
      `expected ${url} to load in an isolate, got ${briefly(error)}${hintFor(url, error)}`,
      { cause: error },
    );
  }
  const fn = definedTask(url, name);
  if (fn !== undefined) return fn;
  throw new HeddleError(
    'ERR_HEDDLE_MODULE',
    `expected ${url} to define the task ${JSON.stringify(name)} when it is loaded, got none`,
  );
}

async function importModule(url: string): Promise<void> {
  if (kTypeScript.test(url)) await registerTsx();
  await import(url);
}

function briefly(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : describe(error);
}

function hintFor(url: string, error: unknown): string {
  const isUnknown = (error as { code?: unknown } | null)?.code === 'ERR_UNKNOWN_FILE_EXTENSION';
  return isUnknown && kTypeScript.test(url)
    ? ' (this Node does not strip types: use Node 22.18 or newer, run under tsx, or compile first)'
    : '';
}

// --- the loop ---

/** True if its microtasks should run before the next task is taken. */
function begin(number: number): boolean {
  const id = entries[0]!;
  let run: Run;
  try {
    run = take(number);
  } catch (error) {
    fail(new TaskContext(number), error);
    return false;
  }
  const fn = functions[id];
  if (fn !== undefined) return call(fn, run);
  whenLoaded(id, {
    loaded: (loaded) => void call(loaded, run),
    failed: (error) => fail(run.ctx, error),
  });
  return true;
}

let isRunning = false;

function runTasks(): void {
  for (let run = binding.nextTask(); run >= 0; run = binding.nextTask()) {
    if (!begin(run)) continue;
    void kResolved.then(runTasks);
    return;
  }
  isRunning = false;
}

/** From now on this isolate runs tasks. */
export function startRunning(): void {
  onWant(Want.tasks, () => {
    if (isRunning) return;
    isRunning = true;
    runTasks();
  });
}

// What an isolate does with tasks: takes them from its set's queue, one after the other, calls
// their functions and hands back what they give.
//
// Always true: between two tasks the microtasks of the first one run; after a while the event loop
// has its turn. A run's number is native code's until it is finished, exactly once.
import { binding, TaskOutcome } from './binding.js';
import { carries, runCarrying } from './carry.js';
import { Context } from './context.js';
import { describe, HeddleError } from './errors.js';
import { evaluateInline } from './evaluate.js';
import { Arrived, HandleKind } from './handle.js';
import { whileLoading } from './loading.js';
import { entries, onWant, readValue, settleLocal, Want } from './mail.js';
import type { Extra } from './spawn-task.js';
import { sendAll } from './stream.js';
import { definedTask, kDirect, readFunction, readWarm } from './tasks.js';
import type { TaskFn } from './tasks.js';
import { registerTsx } from './tsx.js';
import { give, givenMode, kResolved, Mode, settleGiven } from './waits.js';

const kLate = new Arrived(-1);

/**
 * A running task's context, which is all that is kept of it; native code makes one only if it is
 * used for more than `done`.
 */
class TaskContext extends Context {
  /** Native code's number; -1: the task has ended, and its context with it. */
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

/** What a task is called with; not kept while it waits for something. */
interface Call {
  readonly args: unknown[];
  readonly extra: Extra | undefined;
}

function readCall(): Call {
  const count = entries[1]!;
  const args: unknown[] = [];
  if (count > 0) args.push(readValue(entries[2]!, 0));
  if (count > 1) args.push(readValue(entries[3]!, 1));
  if (count > 2) args.push(readValue(entries[4]!, 2));
  const extra = readValue(entries[5]!, kDirect) as Extra | undefined;
  if (extra?.arguments !== undefined) args.push(...extra.arguments.slice(kDirect));
  return { args, extra };
}

// Throws if native code refuses the value; then it is not finished.
function finish(ctx: TaskContext, outcome: number, value: unknown): void {
  let wasTaken = false;
  try {
    binding.finishTask(ctx.run, outcome, givenMode, value);
    ctx.run = -1;
    wasTaken = true;
  } finally {
    settleGiven(wasTaken);
  }
  settleLocal();
}

function succeed(ctx: TaskContext, value: unknown): void {
  if (ctx.run < 0) return; // a promise of the user's own may settle twice
  try {
    finish(ctx, TaskOutcome.value, give(value, false, 'result'));
  } catch (error) {
    fail(ctx, error);
  }
}

function fail(ctx: TaskContext, error: unknown): void {
  if (ctx.run < 0) return;
  const gaveIn = binding.isTaskCancelled(ctx.run) && isCancellation(error, ctx);
  const outcome = gaveIn ? TaskOutcome.cancelled : TaskOutcome.thrown;
  try {
    finish(ctx, outcome, give(error, false, 'error'));
  } catch {
    finish(ctx, outcome, give(plainError(error)));
  }
}

/** Whether the task has thrown because it was cancelled. */
function isCancellation(error: unknown, ctx: Context): boolean {
  return error === ctx.err || (error instanceof Error && error.name === 'AbortError');
}

/** What remains of an error that cannot travel, because of something that it holds. */
function plainError(error: unknown): Error {
  if (!(error instanceof Error)) return new Error(`a task has thrown ${describe(error)}`);
  const plain = new Error(error.message);
  for (const key of Object.keys(error)) {
    const value = (error as never)[key] as unknown;
    if (value === null || kPlain.has(typeof value)) Object.assign(plain, { [key]: value });
  }
  for (const key of ['name', 'stack'] as const) {
    Object.defineProperty(plain, key, { value: error[key], configurable: true, writable: true });
  }
  return plain;
}

const kPlain = new Set(['string', 'number', 'boolean', 'bigint']);

/** True if it goes on after this turn. */
function start(fn: TaskFn, ctx: TaskContext, call: Call): boolean {
  try {
    const result = carries() ? invokeCarrying(fn, ctx, call) : invoke(fn, ctx, call);
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

function invokeCarrying(fn: TaskFn, ctx: Context, call: Call): unknown {
  return runCarrying(call.extra?.carried, () => invoke(fn, ctx, call));
}

function invoke(fn: TaskFn, ctx: Context, { args, extra }: Call): unknown {
  const result = fn(ctx, ...args);
  const stream = extra?.stream;
  if (stream !== undefined) {
    return sendAll(result as AsyncGenerator<unknown>, stream, ctx.signal);
  }
  if (result instanceof Promise) return result;
  if (typeof result !== 'object' || result === null) return result;
  if (isThenable(result)) return Promise.resolve(result);
  const kind = Object.prototype.toString.call(result);
  if (kind !== '[object AsyncGenerator]' && kind !== '[object Generator]') return result;
  throw new HeddleError(
    'ERR_HEDDLE_VALUE',
    'expected a generator to come from a generator function, got one from another function',
  );
}

function isThenable(value: object): value is PromiseLike<unknown> {
  return typeof (value as never)['then'] === 'function';
}

// --- functions ---

const functions: (TaskFn | undefined)[] = [];

async function find(id: number): Promise<TaskFn> {
  const text = binding.functionText(id);
  const other = readWarm(text);
  if (other !== undefined) return () => warm(other);
  const { url, name, source } = readFunction(text);
  const fn = url === undefined ? evaluateInline(source, name) : await importTask(url, name);
  functions[id] = fn;
  return fn;
}

/** What a task does that only loads a function. */
async function warm(id: number): Promise<void> {
  if (functions[id] === undefined) await find(id);
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

/**
 * What the next task is to wait for: microtasks of this one; or its module, since otherwise all
 * that waits would be taken before anything can run, and other isolates would have nothing to do.
 */
function begin(number: number): Promise<unknown> | undefined {
  const id = entries[0]!;
  const ctx = new TaskContext(number);
  let call: Call;
  try {
    call = readCall();
  } catch (error) {
    fail(ctx, error);
    return undefined;
  }
  const fn = functions[id];
  if (fn !== undefined) return start(fn, ctx, call) ? kResolved : undefined;
  return find(id).then(
    (loaded) => void start(loaded, ctx, call),
    (error: unknown) => fail(ctx, error),
  );
}

let isRunning = false;

function runTasks(): void {
  for (let run = binding.nextTask(); run >= 0; run = binding.nextTask()) {
    const before = begin(run);
    if (before === undefined) continue;
    void before.then(runTasks);
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

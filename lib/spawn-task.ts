// Tasks of JavaScript: their way into the queue of a set of isolates.
import { binding, Pushed } from './binding.js';
import { carried } from './carry.js';
import type { Channel } from './channel.js';
import { describe } from './errors.js';
import { inlineFunction } from './inline.js';
import { IsolateSet, kMostIsolates, sharedSet } from './isolates.js';
import { refuseWhileLoading } from './loading.js';
import { kMostPriority } from './pool-queue.js';
import { refuse, wholeNumber } from './refuse.js';
import { kMostMs, nameOf, signalFor } from './spawn-options.js';
import type { TaskOptions } from './spawn-options.js';
import { closeQuietly, newStream, withStream } from './stream.js';
import { TaskPromise } from './task.js';
import type { Task, TaskKeeper } from './task.js';
import { inlineText, isGenerator, kDirect, ModuleTask } from './tasks.js';
import { give, givenMode, settleGiven } from './waits.js';

/** What travels beside the arguments. */
export interface Extra {
  /** All arguments, if there are more than three; undefined in place of the first three. */
  arguments?: unknown[];
  /** Where a generator's values go. */
  stream?: Channel<unknown>;
  /** What AsyncLocalStorages hold. */
  carried?: Record<string, unknown>;
}

/** A function as it is spawned. */
interface Target {
  readonly id: number;
  readonly name: string;
  readonly isGenerator: boolean;
}

const inlines = new WeakMap<object, Target>();
const modules = new WeakMap<ModuleTask, Target>();

/** undefined if it is neither a task of a module nor a function. */
export function taskTarget(target: unknown): Target | undefined {
  if (target instanceof ModuleTask) {
    let known = modules.get(target);
    if (known === undefined) {
      known = { id: target.id, name: target.name, isGenerator: isGenerator(target.fn) };
      modules.set(target, known);
    }
    return known;
  }
  if (typeof target !== 'function') return undefined;
  let known = inlines.get(target);
  if (known === undefined) {
    const { source, name, isGenerator: yields } = inlineFunction(target);
    known = {
      id: binding.functionId(inlineText(name, source)),
      name: name === '' ? '(anonymous)' : name,
      isGenerator: yields,
    };
    inlines.set(target, known);
  }
  return known;
}

const kNone = -1;

/** Options that were read; may be used for many tasks. */
export interface Plan {
  readonly name: string | undefined;
  readonly signal: AbortSignal | undefined;
  readonly numbers: readonly number[] | undefined;
  readonly timeout: number | undefined;
  readonly kill: boolean;
}

const kNoPlan: Plan = {
  name: undefined,
  signal: undefined,
  numbers: undefined,
  timeout: undefined,
  kill: false,
};

/** Of a pool: how many of its tasks an isolate may have started. */
export interface Limiter {
  readonly id: number;
  readonly mostStarted: number;
}

export function readPlan(options: TaskOptions, limiter?: Limiter): Plan {
  const { priority, pin, context, deadline, timeout, kill } = options;
  if (priority !== undefined) wholeNumber(priority, 'priority', -kMostPriority, kMostPriority);
  if (pin !== undefined) wholeNumber(pin, 'pin', 0, kMostIsolates - 1);
  if (timeout !== undefined) wholeNumber(timeout, 'timeout', 0, 2 ** 31 - 1);
  if (kill !== undefined && typeof kill !== 'boolean') refuse('kill', 'a boolean', kill);
  if (kill === true && timeout === undefined) refuse('kill', 'a timeout beside it', kill);
  const signal = signalFor(options);
  if (deadline !== undefined) wholeNumber(deadline, 'deadline', 0, kMostMs);
  const isPlain =
    priority === undefined &&
    pin === undefined &&
    context === undefined &&
    deadline === undefined &&
    limiter === undefined;
  const parent = context === undefined ? kNone : context.toHandle();
  return {
    name: nameOf(options),
    signal,
    numbers: isPlain
      ? undefined
      : [
          priority ?? 0,
          pin ?? kNone,
          parent,
          deadline ?? kNone,
          limiter?.id ?? 0,
          limiter?.mostStarted ?? 0,
        ],
    timeout,
    kill: kill === true,
  };
}

const kNotHere = new Array<undefined>(kDirect).fill(undefined);

function extraOf(
  args: readonly unknown[],
  stream: Channel<unknown> | undefined,
): Extra | undefined {
  const storages = carried();
  if (args.length <= kDirect && stream === undefined && storages === undefined) return undefined;
  const extra: Extra = {};
  if (args.length > kDirect) extra.arguments = [...kNotHere, ...args.slice(kDirect)];
  if (stream !== undefined) extra.stream = stream;
  if (storages !== undefined) extra.carried = storages;
  return extra;
}

function begin(
  set: IsolateSet,
  target: Target,
  slot: number,
  args: readonly unknown[],
  extra: Extra | undefined,
  plan: readonly number[] | undefined,
): string | undefined {
  if (set.isClosed) return 'ERR_HEDDLE_SHUT_DOWN';
  const count = Math.min(args.length, kDirect);
  const last = extra === undefined ? count - 1 : kDirect;
  const { name } = target;
  let pushed: number = Pushed.closed;
  let first: unknown, second: unknown, third: unknown, fourth: unknown;
  let modes = 0; // 4 bits each
  try {
    // There is one outbox, and whatever is given later may be written into it: so the last one's.
    if (count > 0) {
      first = give(args[0], last > 0, `${name}.arguments[0]`);
      modes = givenMode;
    }
    if (count > 1) {
      second = give(args[1], last > 1, `${name}.arguments[1]`);
      modes |= givenMode << 4;
    }
    if (count > 2) {
      third = give(args[2], last > 2, `${name}.arguments[2]`);
      modes |= givenMode << 8;
    }
    if (extra !== undefined) {
      fourth = give(extra, false, name);
      modes |= givenMode << 12;
    }
    pushed = binding.spawnTask(
      set.index,
      slot,
      target.id,
      count,
      modes,
      first,
      second,
      third,
      fourth,
      plan,
    );
  } finally {
    settleGiven(pushed === Pushed.done || pushed === Pushed.grow);
  }
  if (pushed === Pushed.noPlace) refuse('pin', 'an integer below runtime.isolates', plan?.[1]);
  if (pushed === Pushed.grow) set.grow();
  return pushed === Pushed.closed ? 'ERR_HEDDLE_SHUT_DOWN' : undefined;
}

function cancelThere(slot: number, reason: unknown): boolean {
  let value: unknown;
  try {
    value = give(reason);
  } catch {
    value = give(describe(reason)); // it cannot travel
  }
  return binding.cancelTask(slot, givenMode, value);
}

/** Of most tasks: all that they need is to be cancelled. */
const kKeeper: TaskKeeper = { cancel: cancelThere, ended: () => {} };

/** Of a task with more than that. */
class Keeper implements TaskKeeper {
  readonly #plan: Plan;
  readonly #stream: Channel<unknown> | undefined;
  readonly #then: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor(plan: Plan, stream: Channel<unknown> | undefined, then: (() => void) | undefined) {
    this.#plan = plan;
    this.#stream = stream;
    this.#then = then;
  }

  cancel(slot: number, reason: unknown): boolean {
    return cancelThere(slot, reason);
  }

  ended(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    if (this.#stream !== undefined) closeQuietly(this.#stream);
    this.#then?.();
  }

  /**
   * The time that a task may run begins when it starts, which only its isolate notices: so this
   * looks again when it could be over at the earliest.
   */
  watch(task: Task<unknown>, slot: number): void {
    const { timeout, kill } = this.#plan;
    // Over already if its signal had fired, or no isolate could be started: the slot is another's.
    if (timeout === undefined || this.#isOver) return;
    const look = (): void => {
      const age = binding.taskAge(slot);
      const left = age < 0 ? timeout : timeout - age;
      if (left > 0) {
        this.#timer = setTimeout(look, Math.ceil(left)).unref();
        return;
      }
      const message = `task ${task.name} has run for longer than ${timeout} ms`;
      task.cancel(new DOMException(message, 'TimeoutError'));
      if (kill && !this.#isOver) binding.killTask(slot);
    };
    this.#timer = setTimeout(look, timeout).unref();
  }
}

export function startTask(
  set: IsolateSet,
  target: Target,
  args: readonly unknown[],
  plan: Plan = kNoPlan,
  then?: () => void,
): Task<unknown> {
  refuseWhileLoading('spawn');
  const name = plan.name ?? target.name;
  const stream = target.isGenerator ? newStream() : undefined;
  const extra = extraOf(args, stream);
  const isPlain = stream === undefined && plan.timeout === undefined && then === undefined;
  const keeper = isPlain ? undefined : new Keeper(plan, stream, then);
  let taskSlot = 0;
  const task = TaskPromise.start(
    name,
    plan.signal,
    (slot) => {
      taskSlot = slot;
      return begin(set, target, slot, args, extra, plan.numbers);
    },
    keeper ?? kKeeper,
  );
  keeper?.watch(task, taskSlot);
  return stream === undefined ? task : withStream(task, stream);
}

/** In the isolates that all share. */
export function spawnTask(
  target: Target,
  args: readonly unknown[],
  options?: TaskOptions,
): Task<unknown> {
  if (options === undefined) return startTask(sharedSet(), target, args);
  const plan = readPlan(options);
  if (options.on === undefined) return startTask(sharedSet(), target, args, plan);
  // An isolate of its own, for comparison; it ends with its task.
  if (options.on !== 'thread') refuse('on', "'thread'", options.on);
  refuseWhileLoading('spawn');
  const set = new IsolateSet(1, {});
  const end = (): void => void set.close();
  try {
    return startTask(set, target, args, plan, end);
  } catch (error) {
    end();
    throw error;
  }
}

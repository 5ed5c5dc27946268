// Tasks of JavaScript as modules define them: functions that isolates find by the module's URL and
// a name, after they have imported it.
import { binding } from './binding.js';
import type { Context } from './context.js';
import { describe, HeddleError } from './errors.js';

declare const signature: unique symbol;

/** What runs in an isolate: `ctx` first, as in Go. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- any arguments, as of any function
export type TaskFn<A extends any[] = any[], R = unknown> = (ctx: Context, ...args: A) => R;

/** What the caller gets of what a task function gives. */
export type ResultOf<R> =
  R extends AsyncGenerator<infer V, unknown, unknown>
    ? V
    : R extends Generator<infer V, unknown, unknown>
      ? V
      : Awaited<R>;

type IsStream<R> =
  R extends AsyncGenerator<unknown, unknown, unknown>
    ? true
    : R extends Generator<unknown, unknown, unknown>
      ? true
      : false;

/** A task that a module defines: takes `A`, gives `R`, or a stream of `R`. */
export interface TaskRef<A extends unknown[], R, S extends boolean = false> {
  readonly name: string;
  readonly [signature]: (stream: S, ...args: A) => R;
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- as above
type TasksOf<T extends Record<string, TaskFn<any[], any>>> = {
  readonly [K in keyof T]: T[K] extends (ctx: Context, ...args: infer A) => infer R
    ? TaskRef<A, ResultOf<R>, IsStream<R>>
    : never;
};

export class ModuleTask {
  #id = -1;

  constructor(
    readonly name: string,
    readonly url: string,
    readonly fn: TaskFn,
  ) {}

  /** The number by which isolates know it. */
  get id(): number {
    if (this.#id < 0) this.#id = binding.functionId(moduleText(this.url, this.name));
    return this.#id;
  }
}

/** How many arguments travel by themselves; the others together. */
export const kDirect = 3;

const kSeparator = '\n';
const kModule = 'm';
const kInline = 'i';
const kWarm = 'w';

function moduleText(url: string, name: string): string {
  return `${kModule}${url}${kSeparator}${name}`;
}

export function inlineText(name: string, source: string): string {
  return `${kInline}${JSON.stringify(name)}${kSeparator}${source}`; // it may have lines of its own
}

/** Of a task that only loads another one's function. */
export function warmText(id: number): string {
  return `${kWarm}${id}`;
}

/** The number of the function that is to be loaded; undefined if it is another text. */
export function readWarm(text: string): number | undefined {
  return text.startsWith(kWarm) ? Number(text.slice(1)) : undefined;
}

/** What an isolate reads of a function: the URL of its module, or its source; and a name. */
export interface FunctionText {
  readonly url: string | undefined;
  readonly name: string;
  readonly source: string;
}

export function readFunction(text: string): FunctionText {
  const end = text.indexOf(kSeparator);
  const [first, second] = [text.slice(1, end), text.slice(end + 1)];
  return text.startsWith(kModule)
    ? { url: first, name: second, source: '' }
    : { url: undefined, name: JSON.parse(first) as string, source: second };
}

const defined = new Map<string, ModuleTask>();

/** In an isolate, after the import. */
export function definedTask(url: string, name: string): TaskFn | undefined {
  return defined.get(moduleText(url, name))?.fn;
}

/**
 * Makes functions of this module runnable in isolates. Both sides import the module, so types are
 * free and there are no names to misspell. Call it at the top level, in a module that starts
 * nothing when it is imported.
 *
 * @example
 * export const tasks = defineTasks(import.meta.url, {
 *   async resize(ctx, image: Uint8Array, width: number) {
 *     ctx.throwIfDone();
 *     return move(scale(image, width));
 *   },
 * });
 * // elsewhere
 * const small = await spawn(tasks.resize, move(image), 640);
 */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- as above
export function defineTasks<T extends Record<string, TaskFn<any[], any>>>(
  url: string | URL,
  functions: T,
): TasksOf<T> {
  const address = readUrl(url);
  if (typeof functions !== 'object' || functions === null) {
    throw new HeddleError(
      'ERR_HEDDLE_ARGUMENT',
      `defineTasks: expected an object of functions, got ${describe(functions)}`,
    );
  }
  const refs: Record<string, ModuleTask> = {};
  for (const [name, fn] of Object.entries(functions)) {
    if (typeof fn !== 'function') {
      throw new HeddleError(
        'ERR_HEDDLE_ARGUMENT',
        `defineTasks: expected ${name} to be a function, got ${describe(fn)}`,
      );
    }
    refs[name] = define(address, name, fn);
  }
  return Object.freeze(refs) as unknown as TasksOf<T>;
}

function readUrl(url: unknown): string {
  const text = url instanceof URL ? url.href : url;
  if (typeof text === 'string' && URL.canParse(text)) return text;
  throw new HeddleError(
    'ERR_HEDDLE_ARGUMENT',
    `defineTasks: expected import.meta.url, got ${describe(url)}`,
  );
}

// Test runners evaluate a module more than once: then the functions are the same, word for word.
function define(url: string, name: string, fn: TaskFn): ModuleTask {
  const text = moduleText(url, name);
  const before = defined.get(text);
  if (before !== undefined && String(before.fn) !== String(fn)) {
    throw new HeddleError(
      'ERR_HEDDLE_DUPLICATE',
      `defineTasks: expected one task ${JSON.stringify(name)} in ${url}, got another one`,
    );
  }
  const task = new ModuleTask(name, url, fn);
  defined.set(text, task);
  return task;
}

const kGenerators = new Set(['GeneratorFunction', 'AsyncGeneratorFunction']);

/** Whether calling it gives a generator. */
export function isGenerator(fn: unknown): boolean {
  return kGenerators.has(Object.prototype.toString.call(fn).slice('[object '.length, -1));
}

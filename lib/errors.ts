// Every failure of heddle's own, once: the code, what causes it, what to do about it. Native code
// reports a code of this list; a test holds the two against each other.

/** Code → cause and remedy. */
export const errorCodes = {
  ERR_HEDDLE_TARGET: {
    cause: 'the thing to spawn is no kernel, no task of defineTasks and no function',
    remedy:
      'pass one of `kernels`, a task of defineTasks, or a function: spawn((ctx, n) => n + 1, 1)',
  },
  ERR_HEDDLE_VALUE: {
    cause: 'a value cannot be copied to where it should go',
    remedy:
      'pass what structuredClone takes: plain data, bytes, errors; or channels, locks, contexts',
  },
  ERR_HEDDLE_ARGUMENT: {
    cause: 'an argument has the wrong type, or there are too many or too few',
    remedy: 'pass arguments as the message names them',
  },
  ERR_HEDDLE_OPTION: {
    cause: 'an option has a value outside its range, or options exclude each other',
    remedy: 'use a value within the range that the message names',
  },
  ERR_HEDDLE_SHUT_DOWN: {
    cause: 'the runtime has been shut down, or this is a forked child, which has none',
    remedy: 'spawn before the shutdown; in a child process, start Node anew',
  },
  ERR_HEDDLE_MEMORY: {
    cause: 'the system refuses memory',
    remedy: 'run fewer tasks at once, or raise the memory limit',
  },
  ERR_HEDDLE_STACK_MEMORY: {
    cause: 'no stack could be had for a fiber: memory, or vm.max_map_count',
    remedy: 'raise vm.max_map_count or the memory limit, or run fewer fibers at once',
  },
  ERR_HEDDLE_THREAD_LIMIT: {
    cause: 'the system refuses another OS thread',
    remedy: 'raise `ulimit -u`, kernel.threads-max or the pids limit, or use fibers',
  },
  ERR_HEDDLE_CLOSED: {
    cause: 'a channel, connection or listener was used after its close, or closed twice',
    remedy:
      'close a channel once, by its last sender; receivers see the end by `ok: false`; ' +
      'dial or listen anew',
  },
  ERR_HEDDLE_BUSY: {
    cause: 'a connection is read from, or written to, by two at once',
    remedy: 'await one operation of a direction before the next',
  },
  ERR_HEDDLE_ABANDONED: {
    cause: 'only waiters still hold a channel or lock, so nobody is left who could end their wait',
    remedy: 'close the channel, or keep it as long as somebody waits for it',
  },
  ERR_HEDDLE_UNLOCKED: {
    cause: 'a lock was released that was not held',
    remedy: 'release once what was acquired; `withLock` does it',
  },
  ERR_HEDDLE_COUNT: {
    cause: 'a count would become negative or too large',
    remedy: 'call done() once for each add()',
  },
  ERR_HEDDLE_MAIN_THREAD: {
    cause: 'a synchronous wait would block the main thread, its timers and its sockets',
    remedy: 'await the asynchronous form, or call it in a Worker',
  },
  ERR_HEDDLE_TOKEN: {
    cause: 'a token stands for nothing: it was used, has expired, or is no token',
    remedy: 'share() again, and adopt() once, within a minute',
  },
  ERR_HEDDLE_CAPTURE: {
    cause: 'a function to run in another isolate uses something of its surroundings',
    remedy:
      'pass it as an argument, or export the function from a module: ' +
      'export const tasks = defineTasks(import.meta.url, { … })',
  },
  ERR_HEDDLE_MODULE: {
    cause: 'the module of a task could not be loaded in an isolate, or has no such task',
    remedy: 'see the cause; pass import.meta.url of the module that calls defineTasks',
  },
  ERR_HEDDLE_LOADING: {
    cause:
      'a task module spawns while it is being loaded in an isolate, and would start itself again',
    remedy: 'move defineTasks into a module of its own, or spawn only `if (isMainThread)`',
  },
  ERR_HEDDLE_DUPLICATE: {
    cause: 'a module defines two tasks of one name',
    remedy: 'give each task of a module a name of its own',
  },
  ERR_HEDDLE_ISOLATE_EXIT: {
    cause: 'the isolate that ran a task has ended',
    remedy: 'see the cause; a task must not call process.exit() or leave errors uncaught',
  },
  ERR_HEDDLE_ISOLATE_OOM: {
    cause: 'the isolate that ran a task had no memory left',
    remedy: 'process less at once, or raise resourceLimits.maxOldGenerationSizeMb of the pool',
  },
  ERR_HEDDLE_QUEUE_FULL: {
    cause: 'the queue of a pool has no room for another run',
    remedy: 'await pool.ready() before each run, or give the pool a longer queue',
  },
  ERR_HEDDLE_DROPPED: {
    cause: 'a queued run had to make room for a later one',
    remedy: "await pool.ready() before each run, or make the pool with overflow: 'reject'",
  },
  ERR_HEDDLE_POOL_CLOSED: {
    cause: 'the pool was closed before the run was done',
    remedy: 'await pool.drain() before close(), or make another pool',
  },
  ERR_HEDDLE_GROUP_CLOSED: {
    cause: 'a task was spawned in a group that has ended',
    remedy: 'spawn before the wait() of the group ends, or make another group',
  },
  ERR_HEDDLE_KERNEL: {
    cause: 'a kernel threw an exception without a code',
    remedy: 'the message is the kernel’s own',
  },
  ERR_HEDDLE_BENCHMARK: {
    cause: 'a native benchmark could not run',
    remedy: 'the message says what it lacked',
  },
  ERR_HEDDLE_LOAD: {
    cause: 'the native addon could not be loaded',
    remedy: 'run `npm run build`, or install on Linux x64 or arm64; keep heddle out of bundles',
  },
} as const;

export type ErrorCode = keyof typeof errorCodes;

export interface HeddleErrorOptions extends ErrorOptions {
  /** Instead of the code's, where the case at hand allows a better one. */
  remedy?: string;
}

/** A failure of heddle's own. The message says what was expected, what was got, and the remedy. */
export class HeddleError extends Error {
  override readonly name = 'HeddleError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, problem: string, options?: HeddleErrorOptions) {
    super(`${problem}; ${options?.remedy ?? errorCodes[code].remedy}`, options);
    this.code = code;
  }
}

/** One that comes from another isolate, whose message is complete. */
export function reviveError(code: ErrorCode, message: string): HeddleError {
  return Object.defineProperty(new HeddleError(code, ''), 'message', {
    value: message,
    configurable: true,
    writable: true,
  });
}

export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(errorCodes, code);
}

/** What native code says, which knows codes only as text; a test holds both lists together. */
export function nativeError(code: string, problem?: string): HeddleError {
  if (!isErrorCode(code)) throw new TypeError(`expected a code of heddle, got ${describe(code)}`);
  return new HeddleError(code, problem ?? errorCodes[code].cause);
}

/** How a value reads in "got …". */
export function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 40));
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function') return `function ${value.name || '(anonymous)'}`;
  if (typeof value === 'object' && value !== null) {
    return `an instance of ${value.constructor?.name ?? 'Object'}`;
  }
  return String(value);
}

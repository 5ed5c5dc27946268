// Sets of isolates: Workers that run tasks of JavaScript. Started when tasks wait for one, at most
// as many as the program may use CPUs; ended when they have long had nothing to do.
//
// Always true: a place of a set is started by its root only, and is free again when its Worker has
// ended and everything that it had started has failed.
import { availableParallelism } from 'node:os';
import type { ResourceLimits, Worker } from 'node:worker_threads';
import { binaryPath, binding } from './binding.js';
import type { IsolateRole } from './binding.js';
import { describe, HeddleError } from './errors.js';
import type { HeddleErrorOptions } from './errors.js';
import { onWant, settleLocal, Want } from './mail.js';
import { wholeNumber } from './refuse.js';
import { workerThreads } from './thread.js';
import { give, givenMode } from './waits.js';

/** What isolates of one's own are started with; as of a Worker. */
export interface IsolateOptions {
  /** Limits of each, as of a Worker. Default: those of Node. */
  resourceLimits?: ResourceLimits;
  /** The environment variables there. Default: those of the process. */
  env?: NodeJS.ProcessEnv;
  /** The options of Node there. Default: those of the process. */
  execArgv?: string[];
}

/** What one isolate is doing. */
export interface IsolateStats {
  readonly place: number;
  readonly idle: boolean;
  /** Tasks that it has started and that have not ended. */
  readonly started: number;
  /** How long its event loop has been busy with one thing, in milliseconds; 0: it is free. */
  readonly turnMs: number;
  readonly tasksRun: number;
  readonly busyMs: number;
}

export const kMostIsolates = 256;
const kLookMs = 1000;
const kFieldsPerIsolate = 6;
// An isolate that dies young is started again later and later, and not at all after so many.
const kYoungMs = 1000;
const kMostDeaths = 5;
const kFirstPauseMs = 50;

interface Running {
  readonly worker: Worker;
  readonly startedAt: number;
  error: unknown;
  isAsked: boolean;
}

const roots = new Set<IsolateSet>();

export class IsolateSet {
  readonly index: number;
  readonly #options: IsolateOptions;
  readonly #isRoot: boolean;
  readonly #running = new Map<number, Running>();
  #least = 0;
  #most: number;
  #deaths = 0;
  #pause: NodeJS.Timeout | undefined;
  #lookTimer: NodeJS.Timeout | undefined;
  #isClosed = false;
  /** So long an isolate has nothing to do before it is ended. */
  idleMs = 10_000;

  constructor(most: number, options: IsolateOptions, joined?: number) {
    this.#most = most;
    this.#options = options;
    this.#isRoot = joined === undefined;
    this.index = joined ?? binding.makeSet(most);
    if (this.#isRoot) roots.add(this);
  }

  /** From then on its index may be another one's. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  get most(): number {
    return this.#most;
  }
  set most(most: number) {
    this.#most = most;
    if (!this.#isRoot || this.#isClosed) return;
    binding.setMost(this.index, most);
    this.#look();
  }

  /** So many are kept, however long they have been idle. */
  keep(least: number): void {
    this.#least = Math.min(least, this.#most);
    this.grow();
  }

  /** Starts isolates as long as tasks wait for one. */
  grow(): void {
    if (!this.#isRoot) {
      binding.askToGrow(this.index);
      return;
    }
    if (this.#pause !== undefined || this.#isClosed) return;
    for (;;) {
      const place = binding.growSet(this.index, this.#least);
      if (place < 0) return;
      if (!this.#start(place)) return;
    }
  }

  /** Ends those that a task is to be killed in, and starts what is wanted. */
  manage(): void {
    for (let place = binding.takeKill(this.index); place >= 0;) {
      void this.#end(place);
      place = binding.takeKill(this.index);
    }
    this.grow();
  }

  stats(): { queued: number; isolates: IsolateStats[] } {
    if (this.#isClosed) return { queued: 0, isolates: [] };
    const numbers = binding.lookAtSet(this.index);
    const isolates: IsolateStats[] = [];
    for (let at = 1; at < numbers.length; at += kFieldsPerIsolate) {
      const [place, idle, started, turnMs, tasksRun, busyMs] = numbers.slice(at) as [
        number,
        number,
        number,
        number,
        number,
        number,
      ];
      isolates.push({ place, idle: idle !== 0, started, turnMs, tasksRun, busyMs });
    }
    return { queued: numbers[0]!, isolates };
  }

  /** What waits and what is started fails; resolves when all isolates have ended. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#pause);
    clearInterval(this.#lookTimer);
    const ends = [...this.#running.keys()].map((place) => this.#end(place));
    await Promise.all(ends);
    roots.delete(this);
    binding.closeSet(this.index);
    settleLocal();
  }

  #start(place: number): boolean {
    const set = binding.setNumber(this.index);
    const itsRole: IsolateRole = { set, place, binary: binaryPath };
    let worker: Worker;
    try {
      const { Worker } = workerThreads();
      worker = new Worker(entryOfIsolate(), {
        name: `heddle isolate ${place}`,
        workerData: { heddleIsolate: itsRole },
        ...this.#options,
      });
    } catch (error) {
      this.#lose(place, exitError('expected an isolate to start, got a failure', error));
      this.#deaths = kMostDeaths;
      this.#giveUp(error);
      return false;
    }
    const running: Running = { worker, startedAt: Date.now(), error: undefined, isAsked: false };
    this.#running.set(place, running);
    worker.unref();
    worker.on('error', (error) => {
      running.error = error;
    });
    worker.on('exit', (code) => this.#onExit(place, running, code));
    this.#lookTimer ??= setInterval(() => this.#look(), kLookMs).unref();
    return true;
  }

  async #end(place: number): Promise<void> {
    const running = this.#running.get(place);
    if (running === undefined) return;
    running.isAsked = true;
    await running.worker.terminate();
  }

  #onExit(place: number, running: Running, code: number): void {
    this.#running.delete(place);
    if (this.#running.size === 0 && this.#lookTimer !== undefined) {
      clearInterval(this.#lookTimer);
      this.#lookTimer = undefined;
    }
    const lost = this.#lose(place, reasonOf(running, code, this.#isClosed));
    // Its tasks have ended it, or it ends by itself, and the next one would as well.
    const isYoung = !running.isAsked && Date.now() - running.startedAt < kYoungMs;
    this.#deaths = isYoung && lost === 0 ? this.#deaths + 1 : 0;
    if (this.#isClosed) return;
    if (this.#deaths === 0) {
      this.grow();
    } else if (this.#deaths >= kMostDeaths) {
      this.#giveUp(running.error);
    } else {
      this.#pause ??= setTimeout(
        () => {
          this.#pause = undefined;
          this.grow();
        },
        kFirstPauseMs * 2 ** (this.#deaths - 1),
      ).unref();
    }
  }

  #lose(place: number, error: HeddleError): number {
    const given = giveError(error);
    const lost = binding.loseIsolate(this.index, place, givenMode, given);
    settleLocal();
    return lost;
  }

  // Isolates die as soon as they are started: so nobody waits for one. The next task tries again.
  #giveUp(cause: unknown): void {
    if (this.#running.size > 0) return;
    this.#deaths = 0;
    const error = exitError(`expected an isolate to live, got ${kMostDeaths} deaths`, cause);
    const given = giveError(error);
    binding.failWaiting(this.index, givenMode, given);
    settleLocal();
  }

  /** Ends those that are not needed, and puts others beside those that do not come for tasks. */
  #look(): void {
    const next = (): number => binding.shrinkSet(this.index, this.idleMs, this.#least);
    for (let place = next(); place >= 0; place = next()) void this.#end(place);
    binding.replaceLate(this.index);
    this.grow();
  }
}

/** Node takes no file as the entry of a Worker where --input-type is given, but it takes text. */
function entryOfIsolate(): URL {
  const file = new URL('./isolate.js', import.meta.url);
  const isText = process.execArgv.some((option) => option.startsWith('--input-type'));
  return isText ? new URL(`data:text/javascript,import(${JSON.stringify(file.href)})`) : file;
}

/** As a value for native code, without its cause if that cannot travel. */
function giveError(error: HeddleError): unknown {
  try {
    return give(error);
  } catch {
    error.cause = describe(error.cause);
    return give(error);
  }
}

function exitError(problem: string, cause: unknown, remedy?: string): HeddleError {
  const options: HeddleErrorOptions = {};
  if (cause !== undefined) options.cause = cause;
  if (remedy !== undefined) options.remedy = remedy;
  return new HeddleError('ERR_HEDDLE_ISOLATE_EXIT', problem, options);
}

function reasonOf({ error, isAsked }: Running, code: number, isClosed: boolean): HeddleError {
  if (isClosed) return exitError('expected its isolate to live, got the close of its pool', error);
  if (isAsked) {
    return exitError(
      'expected its isolate to live, got the kill of another task',
      error,
      'start it again; run what may have to be killed with `on: "thread"` or in a pool of its own',
    );
  }
  if ((error as { code?: unknown } | undefined)?.code === 'ERR_WORKER_OUT_OF_MEMORY') {
    return new HeddleError(
      'ERR_HEDDLE_ISOLATE_OOM',
      'expected its isolate to have memory, got none',
      { cause: error },
    );
  }
  const got = error === undefined ? `exit code ${code}` : 'an uncaught error';
  return exitError(`expected its isolate to live, got ${got}`, error);
}

onWant(Want.manage, () => {
  for (const set of roots) set.manage();
});

let shared: IsolateSet | undefined;
let wantedIsolates = Math.min(availableParallelism(), kMostIsolates);

/** The one that tasks go to: this isolate's own, or that which it belongs to. */
export function sharedSet(): IsolateSet {
  shared ??= new IsolateSet(isolateCount(), {});
  return shared;
}

/** In an isolate of a set. False if the set is gone. */
export function joinSet({ set, place }: IsolateRole): boolean {
  if (!binding.joinSet(set, place)) return false;
  shared = new IsolateSet(0, {}, 0);
  return true;
}

export function isolateCount(): number {
  return wantedIsolates;
}

export function setIsolateCount(count: unknown): void {
  wantedIsolates = wholeNumber(count, 'isolates', 1, kMostIsolates);
  if (shared !== undefined) shared.most = wantedIsolates;
}

export function isolateStats(): { queued: number; isolates: IsolateStats[] } {
  return shared === undefined ? { queued: 0, isolates: [] } : shared.stats();
}

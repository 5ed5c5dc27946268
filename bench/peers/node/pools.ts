// Worker pools from npm behind one face, so that the same loops measure all of them, each with as
// many threads as heddle has isolates. Settings come with the trial, as a scenario chooses those
// that are best for its metric; those that are best everywhere are here: no times recorded, and a
// queue whose front is cheap to take.
import { fileURLToPath } from 'node:url';
import { kIsolates } from '../../harness/tasks.js';
import type { Opener, Settings, TaskPool } from '../../harness/tasks.js';
import { importPeer } from './npm.js';

interface PiscinaOptions {
  filename: string;
  name: string;
  minThreads: number;
  maxThreads: number;
  concurrentTasksPerWorker: number;
  [option: string]: unknown;
}

interface PiscinaPool {
  run(task: unknown, options?: { transferList?: ArrayBufferLike[] }): Promise<unknown>;
  destroy(): Promise<void>;
}

/** The part of piscina that is used here; tinypool, a fork of it, has the same. */
export interface Piscina {
  new (options: PiscinaOptions): PiscinaPool;
  move(value: Uint8Array): unknown;
  readonly FixedQueue: new () => object;
}

/** The part of workerpool that is used here. */
export interface Workerpool {
  pool(
    script: string,
    options: Record<string, unknown>,
  ): {
    exec(
      method: string,
      params: unknown[] | undefined,
      options?: { transfer: ArrayBufferLike[] },
    ): Promise<unknown>;
    terminate(): Promise<unknown>;
  };
  worker(methods: Record<string, unknown>): void;
  Transfer: new (value: Uint8Array, transfer: ArrayBufferLike[]) => unknown;
}

const fresh = (size: number): Uint8Array => new Uint8Array(size);

function tasksOf(peer: string): string {
  return fileURLToPath(new URL(`${peer}-tasks.js`, import.meta.url));
}

function optionsFor(peer: string, task: string, each: number): PiscinaOptions {
  return {
    filename: tasksOf(peer),
    name: task,
    minThreads: kIsolates,
    maxThreads: kIsolates,
    concurrentTasksPerWorker: each,
  };
}

function taskPool(pool: PiscinaPool): TaskPool {
  return {
    run: (argument) => pool.run(argument),
    bytes: fresh,
    give: (bytes) => pool.run(bytes, { transferList: [bytes.buffer] }),
    close: () => pool.destroy(),
  };
}

async function openPiscina(task: string, { each = 1, atomics }: Settings): Promise<TaskPool> {
  const Piscina = await importPeer<Piscina>('piscina');
  const options = optionsFor('piscina', task, Number(each));
  const taskQueue = new Piscina.FixedQueue();
  return taskPool(new Piscina({ ...options, atomics, taskQueue, recordTiming: false }));
}

/**
 * First in, first out. The queues that tinypool and workerpool bring along are arrays from whose
 * front they shift: with 100,000 tasks waiting they do little else. Both accept another one.
 */
class Fifo {
  #waiting: unknown[] = [];
  #first = 0;
  get length(): number {
    return this.#waiting.length - this.#first;
  }
  push(task: unknown): void {
    this.#waiting.push(task);
  }
  shift(): unknown {
    if (this.length === 0) return undefined;
    const task = this.#waiting[this.#first];
    this.#waiting[this.#first] = undefined;
    this.#first += 1;
    if (2 * this.#first > this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#first);
      this.#first = 0;
    }
    return task;
  }
  includes(task: unknown): boolean {
    return this.#waiting.includes(task);
  }
  remove(task: unknown): void {
    this.#waiting = this.#waiting.slice(this.#first).filter((other) => other !== task);
    this.#first = 0;
  }
  clear(): void {
    this.#waiting = [];
    this.#first = 0;
  }
}

function queueForTinypool(): object {
  const fifo = new Fifo();
  return {
    get size() {
      return fifo.length;
    },
    push: (task: unknown) => fifo.push(task),
    shift: () => fifo.shift() ?? null,
    remove: (task: unknown) => fifo.remove(task),
    cancel: () => fifo.clear(),
  };
}

function queueForWorkerpool(): object {
  const fifo = new Fifo();
  return {
    push: (task: unknown) => fifo.push(task),
    pop: () => fifo.shift(),
    size: () => fifo.length,
    contains: (task: unknown) => fifo.includes(task),
    clear: () => fifo.clear(),
  };
}

async function openTinypool(task: string, { each = 1, atomics }: Settings): Promise<TaskPool> {
  const Tinypool = await importPeer<Piscina>('tinypool');
  const options = optionsFor('tinypool', task, Number(each));
  const useAtomics = atomics === 'sync';
  const taskQueue = queueForTinypool();
  return taskPool(new Tinypool({ ...options, useAtomics, taskQueue, isolateWorkers: false }));
}

/** It gives each thread one task at a time, and has no setting for that. */
async function openWorkerpool(task: string): Promise<TaskPool> {
  const workerpool = await importPeer<Workerpool>('workerpool');
  const pool = workerpool.pool(tasksOf('workerpool'), {
    workerType: 'thread',
    minWorkers: kIsolates,
    maxWorkers: kIsolates,
    queueStrategy: queueForWorkerpool(),
  });
  return {
    run: (argument) => pool.exec(task, argument === undefined ? undefined : [argument]),
    bytes: fresh,
    give: (bytes) => pool.exec(task, [bytes], { transfer: [bytes.buffer] }),
    close: async () => void (await pool.terminate()),
  };
}

export const openers: Readonly<Record<string, Opener>> = {
  piscina: openPiscina,
  tinypool: openTinypool,
  workerpool: openWorkerpool,
};

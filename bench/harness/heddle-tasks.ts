// heddle's tasks for the loops of tasks.ts: two isolates, as the peers have two threads.
import { alloc, move, Pool, runtime, spawn } from '../../lib/index.js';
import type { TaskRef } from '../../lib/index.js';
import { tasks } from './task-module.js';
import { kIsolates } from './tasks.js';
import type { Settings, TaskPool } from './tasks.js';

const kQueue = 1_000_000;

/**
 * `memory`: `own` (heddle's) is given away as it is, `other` is copied once. `via`: `Pool` instead
 * of a spawn for each.
 */
export function openHeddle(task: string, settings: Settings): Promise<TaskPool> {
  const { memory = 'own', via } = settings;
  runtime.isolates = kIsolates;
  const target = tasks[task as keyof typeof tasks] as TaskRef<unknown[], unknown>;
  const pool = via === 'Pool' ? new Pool(target, { concurrency: kIsolates, queue: kQueue }) : null;
  return Promise.resolve({
    run: pool === null ? (...args) => spawn(target, ...args) : (...args) => pool.run(...args),
    bytes: memory === 'own' ? alloc : (size) => new Uint8Array(size),
    give: (bytes) => spawn(target, move(bytes)),
    // An idle runtime keeps no process alive.
    close: () => pool?.close() ?? Promise.resolve(),
  });
}

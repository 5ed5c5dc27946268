// The whole native interface, typed, and the only place that loads it. Numbers and ids cross;
// objects are made in JavaScript.
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { HeddleError } from './errors.js';

/** What became of a task, the second of its three numbers in a batch. */
export const Status = { undefined: 0, number: 1, extra: 2, cancelled: 3, failed: 4 } as const;

/** A failed task, as native code describes it. */
export interface NativeFailure {
  code: string;
  message: string;
  errno?: number;
  syscall?: string;
  path?: string;
}

export interface NativeStats {
  processors: number;
  idleProcessors: number;
  machines: number;
  searching: number;
  globalQueue: number;
  spawned: number;
  started: number;
  exited: number;
  parked: number;
  readied: number;
  yielded: number;
  stealAttempts: number;
  steals: number;
  stolen: number;
  stealNs: number;
  timersFired: number;
  handOffs: number;
  idleSleeps: number;
  stacksEarned: number;
  monitorCpuNs: number;
  stacksInUse: number;
  stacksWarm: number;
  descriptorBytes: number;
  frameBytes: number;
  perProcessor: {
    queued: number;
    started: number;
    local: number;
    global: number;
    stolen: number;
  }[];
  threads: { started: number; createNs: number; firstRunNs: number; joinNs: number };
}

export const SpawnFlags = { compact: 1, lockToThread: 2, onThread: 4 } as const;

export interface Binding {
  /** Once per isolate; returns the buffer of batches: slot, status, value per finished task. */
  setDispatcher(dispatcher: (count: number, extras: unknown[] | undefined) => void): Float64Array;
  spawn(kernel: number, slot: number): void;
  spawnWith(
    kernel: number,
    slot: number,
    args: unknown[],
    stackBytes: number,
    flags: number,
    name: string | undefined,
  ): void;
  sleep(slot: number, ms: number): void;
  cancel(slot: number): void;
  /** 0 runnable, 1 running, 2 waiting, 3 finished. */
  taskState(slot: number): number;
  kernels(): string[];
  getProcessors(): number;
  setProcessors(count: number): void;
  stats(): NativeStats;
  benchmark(
    name: string,
    params: Readonly<Record<string, number | string>>,
  ): Promise<Record<string, never>>;
}

function load(): Binding {
  const require = createRequire(import.meta.url);
  const root = fileURLToPath(new URL('../..', import.meta.url));
  try {
    // A local build first, then a prebuilt binary for this platform.
    const loader = require('node-gyp-build') as (folder: string) => Binding;
    return loader(root);
  } catch (error) {
    const got = `${process.platform} ${process.arch}: ${(error as Error).message}`;
    throw new HeddleError(
      'ERR_HEDDLE_LOAD',
      `expected build/Release/heddle.node or a prebuilt binary under ${root}, got ${got}`,
      { cause: error },
    );
  }
}

export const binding = load();

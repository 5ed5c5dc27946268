// Which thread this is, and Node's module about threads. The main thread loads that only when it
// starts an isolate, since it is a tenth of the time that the import of heddle takes. An `import`
// of node:fs would cost as much again: it needs all of its exports, streams among them.
import type * as WorkerThreads from 'node:worker_threads';

let loaded: typeof WorkerThreads | undefined;

/** `node:worker_threads`. */
export function workerThreads(): typeof WorkerThreads {
  loaded ??= process.getBuiltinModule('node:worker_threads');
  return loaded;
}

// Linux names a process after its first thread, in which no Worker runs.
function isFirstThread(): boolean {
  try {
    const { readlinkSync } = process.getBuiltinModule('node:fs');
    const [processId, , threadId] = readlinkSync('/proc/thread-self').split('/');
    return threadId === processId;
  } catch {
    return false; // not known
  }
}

export const isMainThread = isFirstThread() || workerThreads().isMainThread;

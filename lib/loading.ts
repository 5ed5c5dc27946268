// Whether a task module is being loaded: what runs then must not start tasks, or an application
// that defines tasks in its entry file would start itself again in every isolate.
import { AsyncLocalStorage } from 'node:async_hooks';
import { HeddleError } from './errors.js';

let storage: AsyncLocalStorage<string> | undefined;
let loads = 0;

/** Runs an import so that all that it runs knows. */
export async function whileLoading<R>(url: string, load: () => Promise<R>): Promise<R> {
  storage ??= new AsyncLocalStorage();
  loads += 1;
  try {
    return await storage.run(url, load);
  } finally {
    loads -= 1;
    // While storages are in use, every promise costs more.
    if (loads === 0) storage.disable();
  }
}

/** Throws while a task module is being loaded. */
export function refuseWhileLoading(what: string): void {
  if (loads === 0) return;
  const url = storage!.getStore();
  if (url === undefined) return;
  throw new HeddleError(
    'ERR_HEDDLE_LOADING',
    `${what}: expected ${url} to define its tasks and nothing else while it is loaded in an ` +
      `isolate, got a call`,
  );
}

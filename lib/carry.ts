// What AsyncLocalStorages hold goes with a task to its isolate, for those that the user registers.
import type { AsyncLocalStorage } from 'node:async_hooks';
import { refuse } from './refuse.js';

const storages = new Map<string, AsyncLocalStorage<unknown>>();

/**
 * From now on what the storage holds is there in tasks as well: a copy, like an argument. Call it
 * in a module that both sides import, such as the one that defines the tasks, with a name that is
 * the same there.
 *
 * @example
 * export const request = carry('request', new AsyncLocalStorage<{ id: string }>());
 */
export function carry<S extends AsyncLocalStorage<unknown>>(name: string, storage: S): S {
  if (typeof name !== 'string' || name === '') refuse('name', 'a name', name);
  if (typeof (storage as Partial<S> | undefined)?.run !== 'function') {
    refuse('storage', 'an AsyncLocalStorage', storage);
  }
  storages.set(name, storage);
  return storage;
}

/** What they hold now, by name; undefined if nothing. */
export function carried(): Record<string, unknown> | undefined {
  if (storages.size === 0) return undefined;
  let all: Record<string, unknown> | undefined;
  for (const [name, storage] of storages) {
    const value = storage.getStore();
    if (value !== undefined) (all ??= {})[name] = value;
  }
  return all;
}

/** Whether {@link runCarrying} makes a difference. */
export function carries(): boolean {
  return storages.size > 0;
}

/** Runs the body with that in them, and with nothing in the others, whoever left it there. */
export function runCarrying<R>(all: Record<string, unknown> | undefined, body: () => R): R {
  let run = body;
  for (const [name, storage] of storages) {
    const inner = run;
    run = () => storage.run(all?.[name], inner);
  }
  return run();
}

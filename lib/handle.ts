// Handles: numbers by which native code knows channels, locks and contexts that more than this
// isolate may use, and the objects that stand for them here.
//
// Always true: one object per handle; when it is collected, the handle is dropped. A handle that
// arrives again finds its object.
import { binding } from './binding.js';
import { settleLocal } from './mail.js';

/** What a handle leads to; as in native/kernels/value.h. */
export const HandleKind = {
  channel: 0,
  mutex: 1,
  rwMutex: 2,
  semaphore: 3,
  waitGroup: 4,
  once: 5,
  barrier: 6,
  context: 7,
  socket: 8,
} as const;

/** Something that can be given to other isolates and to kernels. */
export abstract class Shareable {
  /** Its number, by which it is shared from then on. */
  abstract toHandle(): number;
}

/**
 * A handle that has come from elsewhere, for the object that is made for it; nobody else has one.
 */
export class Arrived {
  constructor(readonly id: number) {}
}

interface Known {
  object: WeakRef<Shareable>;
  life: number;
}
const known: (Known | undefined)[] = [];
let lives = 0;

const registry = new FinalizationRegistry<{ id: number; life: number }>(({ id, life }) => {
  if (known[id]?.life !== life) return;
  known[id] = undefined;
  binding.dropHandle(id);
  settleLocal(); // it may have been the last one but those of waits
});

/** From now on the handle lives as long as the object. */
export function adopt<T extends Shareable>(object: T, id: number): T {
  lives += 1;
  known[id] = { object: new WeakRef(object), life: lives };
  registry.register(object, { id, life: lives });
  return object;
}

const makers: ((handle: Arrived) => Shareable)[] = [];

/** How the object of a handle from elsewhere is made. */
export function onHandle(kind: number, make: (handle: Arrived) => Shareable): void {
  makers[kind] = make;
}

/** The object of a (handle, kind) as native code writes it. */
export function handleOf(word: number): Shareable {
  const id = Math.floor(word / 16);
  return known[id]?.object.deref() ?? adopt(makers[word & 15]!(new Arrived(id)), id);
}

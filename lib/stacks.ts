// Who awaits a task, for the errors that come from another isolate: their stacks tell what happened
// there, not on whose behalf.

const kTurn = Promise.resolve();
const ownFolder = new URL('.', import.meta.url).href;

/**
 * Rejects with the error, when who awaits the promise that this is given to is at the end of its
 * stack. V8 finds them from within a reaction that leads there, so looking costs nothing before.
 */
export async function rejectedForCaller(error: unknown): Promise<never> {
  // In the first turn nobody waits for this promise yet.
  await kTurn;
  await kTurn;
  addCaller(error);
  throw error;
}

function addCaller(error: unknown): void {
  if (!(error instanceof Error) || typeof error.stack !== 'string') return;
  const here: { stack?: string } = {};
  Error.captureStackTrace(here, rejectedForCaller);
  const frames = here.stack!.split('\n').slice(1);
  const theirs = frames.filter((frame) => !frame.includes(ownFolder));
  if (theirs.length === 0) return;
  Object.defineProperty(error, 'stack', {
    value: `${error.stack}\n    at -- awaited by --\n${theirs.join('\n')}`,
    configurable: true,
    writable: true,
  });
}

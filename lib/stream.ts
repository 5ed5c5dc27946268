// Tasks that are generators: what they yield comes through a channel, whose places are the credit
// that the producer has. When they are used up it waits.
import { Channel } from './channel.js';
import { HeddleError } from './errors.js';
import type { Task } from './task.js';

/** A task that yields: what it yields can be iterated, once; as a promise it is its end. */
export interface StreamTask<R> extends Task<undefined>, AsyncIterable<R> {}

/** How many values a producer may be ahead of its consumer. */
export const kCredit = 16;

export function newStream(): Channel<unknown> {
  return new Channel<unknown>(kCredit, { name: 'stream' });
}

/** The task with what comes through the channel. */
export function withStream(task: Task<unknown>, channel: Channel<unknown>): StreamTask<unknown> {
  const iterate = { value: () => values(task, channel) };
  return Object.defineProperty(task, Symbol.asyncIterator, iterate) as StreamTask<unknown>;
}

async function* values(task: Task<unknown>, channel: Channel<unknown>): AsyncGenerator<unknown> {
  // Whoever iterates learns of a failure after the values before it, so it may not be awaited yet.
  task.catch(() => {});
  try {
    for await (const value of channel) yield value;
    await task;
  } finally {
    // Whoever stops early wants no more of it; after the end this does nothing. In this order, so
    // that the producer, when it notices, knows why.
    closeQuietly(channel);
    task.cancel();
  }
}

export function closeQuietly(channel: Channel<unknown>): void {
  if (channel.closed) return;
  try {
    channel.close();
  } catch {
    // The other side has closed it just now.
  }
}

/** What is thrown where nobody wants more. */
function isEnd(error: unknown, signal: AbortSignal): boolean {
  if (error === signal.reason) return true;
  if (error instanceof HeddleError) return error.code === 'ERR_HEDDLE_CLOSED';
  return error instanceof Error && error.name === 'AbortError';
}

/** In the isolate: sends what the generator yields, as fast as there is credit. */
export async function sendAll(
  generator: AsyncGenerator<unknown> | Generator<unknown>,
  channel: Channel<unknown>,
  signal: AbortSignal,
): Promise<void> {
  try {
    for await (const value of generator) {
      if (channel.closed) return; // nobody wants more
      await channel.send(value, { signal });
    }
  } catch (error) {
    if (!channel.closed || !isEnd(error, signal)) throw error;
  } finally {
    closeQuietly(channel);
  }
}

// Tasks that are generators: what they yield comes through a channel, whose places are the credit
// that the producer has. When they are used up it waits.
import { Channel } from './channel.js';
import type { Context } from './context.js';
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
  try {
    for await (const value of channel) yield value;
    await task;
  } finally {
    // Whoever stops early wants no more of it; after the end this does nothing.
    task.cancel();
    closeQuietly(channel);
  }
}

export function closeQuietly(channel: Channel<unknown>): void {
  if (!channel.closed) channel.close();
}

/** In the isolate: sends what the generator yields, as fast as there is credit. */
export async function sendAll(
  generator: AsyncGenerator<unknown> | Generator<unknown>,
  channel: Channel<unknown>,
  ctx: Context,
): Promise<void> {
  const { signal } = ctx;
  try {
    for await (const value of generator) {
      if (channel.closed) throw ctx.err; // nobody wants more
      await channel.send(value, { signal });
    }
  } catch (error) {
    throw channel.closed ? ctx.err : error;
  } finally {
    closeQuietly(channel);
  }
}

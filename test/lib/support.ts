// What several of the tests need: refusals, conditions to wait for, channels of both kinds, and
// programs of their own.
import { spawn as startProcess } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Channel, HeddleError, runtime } from 'heddle';
import type { ErrorCode } from 'heddle';
import { expect } from 'vitest';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** Longer than any test lasts: a task of that many milliseconds only ends by being cancelled. */
export const kHourMs = 3_600_000;

export function thrownBy(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new Error('expected the call to throw, but it returned');
}

/**
 * The call throws at once, with this code and a message that says what was expected, what was got
 * (`words` are in it) and what to do; and nothing has been queued.
 */
export function expectRefusal(code: ErrorCode, call: () => unknown, ...words: string[]): void {
  const before = runtime.stats();
  const error = thrownBy(call);
  const after = runtime.stats();
  expect(error).toBeInstanceOf(HeddleError);
  const { code: got, message } = error as HeddleError;
  expect(got, message).toBe(code);
  expect(message).toMatch(/expected .+, got .+; .+/s);
  for (const word of words) expect(message).toContain(word);
  expect(after.spawned).toBe(before.spawned);
  expect(after.threads.started).toBe(before.threads.started);
}

/** Lets the event loop turn until the condition holds; throws if it has not within 20 s. */
export async function until(holds: () => boolean): Promise<void> {
  const limit = performance.now() + 20_000;
  while (!holds()) {
    if (performance.now() > limit) throw new Error(`expected to come true: ${String(holds)}`);
    await setImmediate();
  }
}

/** What became of a promise, as a value. */
export async function rejectionOf(promise: Promise<unknown>): Promise<unknown> {
  const settled = await promise.then(
    (value) => ({ value }),
    (reason: unknown) => ({ reason }),
  );
  if ('reason' in settled) return settled.reason;
  throw new Error(`expected a rejection, got the value ${String(settled.value)}`);
}

/** The promise has been rejected with a failure of heddle's own, in the words of all of them. */
export async function expectRejection(
  code: ErrorCode,
  promise: Promise<unknown>,
  ...words: string[]
): Promise<void> {
  const error = await rejectionOf(promise);
  expect(error).toBeInstanceOf(HeddleError);
  const { code: got, message } = error as HeddleError;
  expect(got, message).toBe(code);
  expect(message).toMatch(/.+; .+/s);
  for (const word of words) expect(message).toContain(word);
}

/** Lets all reactions run that can run now. */
export async function reactions(): Promise<void> {
  for (let i = 0; i < 8; i += 1) await Promise.resolve();
}

/** 'pending' after all reactions have run that can run now, else 'settled'. */
export async function stateOf(promise: Promise<unknown>): Promise<string> {
  let state = 'pending';
  const settle = (): void => void (state = 'settled');
  promise.then(settle, settle);
  await reactions();
  return state;
}

export type MakeChannel = <T>(capacity?: number) => Channel<T>;

/** A channel that others know as well. */
export function sharedChannel<T>(capacity?: number): Channel<T> {
  const channel = new Channel<T>(capacity);
  channel.toHandle();
  return channel;
}

/** The two kinds of channels, which differ in nothing but speed and the identity of objects. */
export const channelKinds: [kind: string, make: MakeChannel][] = [
  ['local', (capacity) => new Channel(capacity)],
  ['shared', sharedChannel],
];

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

const kMostMsOfProcess = 170_000;

/** Runs a program file, or Node's own options, in a process of its own until it has ended. */
export async function runNode(args: readonly string[], environment = {}): Promise<Ended> {
  const child = startProcess(process.execPath, args, {
    cwd: root,
    env: { ...process.env, NO_COLOR: '1', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    // One that hangs must not outlive its test, however long that may take.
    timeout: kMostMsOfProcess,
    killSignal: 'SIGKILL',
  });
  const [stdout, stderr, ended] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>,
  ]);
  return { code: ended[0], signal: ended[1], stdout, stderr };
}

/** Runs the text of a module, in which `heddle` and everything of `node:` can be imported. */
export function runScript(source: string, ...options: string[]): Promise<Ended> {
  return runNode([...options, '--input-type=module', '--eval', source]);
}

/** The standard output of a script that must end by itself, with exit code 0 and no complaint. */
export async function outputOf(source: string): Promise<string> {
  const { code, signal, stdout, stderr } = await runScript(source);
  expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' });
  return stdout.trim();
}

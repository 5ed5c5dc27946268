// One listener per AbortSignal, however many tasks and waits follow it; it is gone when the last of
// them has settled.
import { refuse } from './refuse.js';

/** What ends when a signal fires. */
export interface Follower {
  cancel(reason: unknown): void;
}

interface Following {
  followers: Set<Follower>;
  onAbort: () => void;
}
const followings = new WeakMap<AbortSignal, Following>();

export function follow(signal: AbortSignal, follower: Follower): void {
  let following = followings.get(signal);
  if (following === undefined) {
    const followers = new Set<Follower>();
    const onAbort = (): void => {
      for (const each of followers) each.cancel(signal.reason);
    };
    following = { followers, onAbort };
    followings.set(signal, following);
    signal.addEventListener('abort', onAbort, { once: true });
  }
  following.followers.add(follower);
}

export function unfollow(signal: AbortSignal, follower: Follower): void {
  const following = followings.get(signal);
  if (following === undefined) return;
  following.followers.delete(follower);
  if (following.followers.size > 0) return;
  followings.delete(signal);
  signal.removeEventListener('abort', following.onAbort);
}

/** Throws unless it is an AbortSignal, or undefined. */
export function checkSignal(signal: unknown): void {
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    refuse('signal', 'an AbortSignal', signal);
  }
}

export interface WaitOptions {
  /** Ends the wait; its reason is the rejection. */
  signal?: AbortSignal;
}

/** The signal of the options of something that waits, checked. */
export function signalOf(options: WaitOptions | undefined): AbortSignal | undefined {
  if (options === undefined) return undefined;
  if (typeof options !== 'object' || options === null) refuse('options', 'an object', options);
  checkSignal(options.signal);
  return options.signal;
}

// Short ways to write down who takes part in a group.
//
// Settings of Go: `processors` is GOMAXPROCS, and gcPercent -1 switches collections off. Each
// scenario uses the pair that was Go's fastest of {1, all} × {default, off}, 5 alternating runs, Go
// 1.26. Where a metric names its processors, Go and threads have as many.
import type { Entrant, Params, Skipped } from '../harness/types.js';

type Native =
  | 'heddle fiber'
  | 'heddle compact'
  | 'heddle standard'
  | 'heddle queue'
  | 'heddle'
  | 'pthread'
  | 'pthread queue';

/** A row measured by the addon; `pthread` rows belong to the peer `threads`. */
export function native(impl: Native, name: string, params: Params, n?: number): Entrant {
  const peer = impl.startsWith('pthread') ? 'threads' : 'heddle';
  const trial = { program: 'native', name, params } as const;
  return n === undefined ? { impl, peer, trial } : { impl, peer, trial, n };
}

export function go(name: string, params: Params): Entrant {
  return { impl: 'go goroutine', peer: 'go', trial: { program: 'go', name, params } };
}

export function promise(name: string, params: Params): Entrant {
  return { impl: 'js promise', peer: 'promise', trial: { program: 'promise', name, params } };
}

/** Workers are few: the row states its own n wherever that is not the group's. */
export function worker(name: string, params: Params, n: number, groupN: number): Entrant {
  const own = Math.min(n, groupN);
  const trial = { program: 'worker', name, params: { ...params, n: own } } as const;
  const entrant = { impl: 'node worker', peer: 'worker', trial } as const;
  return own === groupN ? entrant : { ...entrant, n: own };
}

/** A lock-free queue of others, between OS threads. */
export function moodycamel(name: string, params: Params): Entrant {
  const trial = { program: 'moodycamel', name, params } as const;
  return { impl: 'moodycamel queue', peer: 'moodycamel', trial };
}

export function python(name: string, params: Params): Entrant {
  return { impl: 'python asyncio', peer: 'python', trial: { program: 'python', name, params } };
}

export function absent(impl: string, reason: string): Skipped {
  return { impl, reason };
}

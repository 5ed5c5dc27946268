// FEATURES B9, E5: what a connection costs a server, in CPU time and memory.
import type { Entrant, Group, Plan, Scenario } from '../harness/types.js';

const kMs = 800;

function entrant(impl: string, peer: Entrant['peer'], server: string, n: number): Entrant {
  return { impl, peer, trial: { program: 'echo', name: 'echo', params: { server, n, ms: kMs } } };
}

function group(n: number): Group {
  return {
    n,
    metrics: [
      { text: 'CPU us per round trip', better: 'lower', key: 'us' },
      { text: 'round trips per second', better: 'higher', key: 'perSecond', whole: true },
      { text: 'bytes per connection', better: 'lower', key: 'growth', whole: true },
    ],
    entrants: [
      entrant('heddle', 'heddle', 'heddle', n),
      entrant('go', 'go', 'go', n),
      entrant('node:net', 'node:net', 'node:net', n),
      entrant('epoll c', 'epoll', 'epoll', n),
    ],
  };
}

export const echo: Scenario = {
  name: 'echo',
  title: 'TCP connections that echo',
  measures:
    'CPU microseconds of the server for each round trip of 64 bytes, round trips per second, ' +
    'and how many bytes a connection adds to the memory of the process.',
  how:
    'n connections over the loopback, each with one message on its way at a time. The clients ' +
    'are one C program in a process of its own; server and clients have a CPU each where there ' +
    'are two. heddle: the echo service, a fiber for each connection; Go: a goroutine for each; ' +
    'node:net: the data event; epoll c: a bare loop over epoll_wait, read and send.',
  counts: 'connections',
  takesN: true,
  groups(plan: Plan): Group[] {
    const all = plan.quick ? [100, 10_000] : [100, 1_000, 10_000];
    return (plan.n === undefined ? all : [plan.n]).map(group);
  },
};

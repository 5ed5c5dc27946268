// Where things are, seen from dist/bench/harness: the same in the repository and in the package.
import { fileURLToPath } from 'node:url';

export const packageRoot = fileURLToPath(new URL('../../..', import.meta.url));
export const trialProgram = fileURLToPath(new URL('trial.js', import.meta.url));
export const goSources = fileURLToPath(new URL('../../../bench/peers/go', import.meta.url));
export const pythonProgram = fileURLToPath(
  new URL('../../../bench/peers/python/asyncio_peer.py', import.meta.url),
);
export const goBinary = fileURLToPath(new URL('../../../build/bench/go-peer', import.meta.url));
export const moodycamelSource = fileURLToPath(
  new URL('../../../bench/peers/native/moodycamel.cc', import.meta.url),
);
export const moodycamelBinary = fileURLToPath(
  new URL('../../../build/bench/moodycamel-peer', import.meta.url),
);
export const epollSource = fileURLToPath(
  new URL('../../../bench/peers/native/epoll.c', import.meta.url),
);
/** A server, and the clients of all servers. */
export const epollBinary = fileURLToPath(
  new URL('../../../build/bench/epoll-peer', import.meta.url),
);
export const echoServer = fileURLToPath(new URL('../peers/node/echo-server.js', import.meta.url));
/** Where peers from npm are installed. */
export const npmPeers = fileURLToPath(new URL('../../../bench/peers', import.meta.url));

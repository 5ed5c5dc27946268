// Echoes whatever comes, on fibers or with node:net, until it is killed. Prints its port.
//   node echo-server.js heddle|node:net
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';

const backlog = 4096;
const host = '127.0.0.1';

async function onFibers(): Promise<void> {
  const { listen } = await import('../../../lib/index.js');
  const listener = await listen({ host, port: 0, backlog });
  console.log(listener.port);
  await listener.echo();
}

function withNet(): void {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    socket.on('data', (bytes) => socket.write(bytes));
  });
  server.listen({ host, port: 0, backlog }, () => {
    console.log((server.address() as AddressInfo).port);
  });
}

if (process.argv[2] === 'heddle') await onFibers();
else withNet();

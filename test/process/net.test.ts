// Sockets and the life of a process: what keeps it alive, what it does without descriptors, what a
// Worker leaves behind.
import { spawn as startProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { text as textOf } from 'node:stream/consumers';
import { dial } from 'heddle';
import { describe, expect, test } from 'vitest';
import { outputOf, root } from '../lib/support.js';

const kImports = `
  import { readdirSync } from 'node:fs';
  import { once } from 'node:events';
  import { dial, listen, runtime } from 'heddle';
  const descriptors = () => readdirSync('/proc/self/fd').length;
  const turn = () => new Promise(setImmediate);
  const host = '127.0.0.1';`;

/** The output of a script whose process can open so many files. */
async function outputWithin(files: number, source: string): Promise<string> {
  const line = `ulimit -n ${files}; exec "$0" --input-type=module --eval "$1"`;
  const child = startProcess('bash', ['-c', line, process.execPath, source], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
    killSignal: 'SIGKILL',
  });
  const [stdout, stderr, [code, signal]] = await Promise.all([
    textOf(child.stdout),
    textOf(child.stderr),
    once(child, 'close') as Promise<[number | null, string | null]>,
  ]);
  expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' });
  return stdout.trim();
}

describe('without descriptors', () => {
  // Clients wait in the backlog: they are connected, but not accepted.
  const exhaust = `${kImports}
    import { openSync, closeSync } from 'node:fs';
    const listener = await listen({ port: 0, host });
    const to = { port: listener.port, host };
    const clients = await Promise.all(Array.from({ length: 5 }, () => dial(to)));
    const held = [];
    for (;;) {
      try { held.push(openSync('/dev/null')); } catch (error) { console.log(error.code); break; }
    }`;

  test('accept backs off, and serves again when there are some', async () => {
    const script = `${exhaust}
      const accepting = listener.accept();
      let isAccepted = false;
      accepting.then(() => { isAccepted = true; });
      const before = process.cpuUsage();
      await new Promise((resolve) => setTimeout(resolve, 1000));
      const { user, system } = process.cpuUsage(before);
      console.log('accepted', isAccepted, 'spun', (user + system) / 1000 > 200);
      for (const file of held.splice(0, 5)) closeSync(file);
      const conns = [await accepting];
      while (conns.length < 5) conns.push(await listener.accept());
      for (const conn of conns) conn.end('served');
      for (const client of clients) {
        const buffer = Buffer.alloc(6);
        await client.readInto(buffer);
        console.log(String(buffer));
      }
      for (const conn of [...conns, ...clients]) conn.destroy();
      listener.close();`;
    const served = Array.from({ length: 5 }, () => 'served');
    expect((await outputWithin(60, script)).split('\n')).toEqual([
      'EMFILE',
      'accepted false spun false',
      ...served,
    ]);
  });

  test('close ends an accept that backs off, at once', async () => {
    const script = `${exhaust}
      const accepting = listener.accept().catch(({ code }) => code);
      // Pauses grow to a second: by now they are longer than what is measured.
      await new Promise((resolve) => setTimeout(resolve, 700));
      const start = performance.now();
      listener.close();
      console.log(await accepting, performance.now() - start < 150);
      for (const client of clients) client.destroy();`;
    expect(await outputWithin(60, script)).toBe('EMFILE\nERR_HEDDLE_CLOSED true');
  });

  test('dial and listen say so', async () => {
    const script = `${exhaust}
      const codeOf = (promise) => promise.then(() => 'none', ({ code }) => code);
      console.log(await codeOf(dial(to)), await codeOf(listen({ port: 0 })));
      for (const file of held) closeSync(file);
      console.log(await codeOf(dial(to)), await codeOf(listen({ port: 0 })));
      process.exit();`;
    expect(await outputWithin(60, script)).toBe('EMFILE\nEMFILE EMFILE\nnone none');
  });

  test('an echo service serves again', async () => {
    const script = `${exhaust}
      const serving = listener.echo();
      for (const client of clients) await client.writeAll(Buffer.from('hello'));
      for (const file of held) closeSync(file);
      for (const client of clients) {
        const buffer = Buffer.alloc(5);
        await client.readInto(buffer);
        console.log(String(buffer));
        client.destroy();
      }
      listener.close();
      console.log(await serving);`;
    const lines = ['EMFILE', ...Array.from({ length: 5 }, () => 'hello'), '5'];
    expect((await outputWithin(60, script)).split('\n')).toEqual(lines);
  });
});

describe('a process ends by itself', () => {
  const table: [string, string][] = [
    ['after the close of its listener', 'const l = await listen({ port: 0 }); l.close();'],
    [
      'after the close of a listener that accepts',
      `const l = await listen({ port: 0 });
       l.accept().catch(() => {});
       setImmediate(() => l.close());`,
    ],
    ['with a listener that nobody asks', 'await listen({ port: 0 });'],
    [
      'after the close of one that serves',
      'const l = await listen({ port: 0 }); l.echo(); setImmediate(() => l.close());',
    ],
    [
      'with a connection that nobody reads',
      `const l = await listen({ port: 0, host });
       await Promise.all([l.accept(), dial({ port: l.port, host })]);`,
    ],
    [
      'after the end of both sides',
      `const l = await listen({ port: 0, host });
       const [a, b] = await Promise.all([l.accept(), dial({ port: l.port, host })]);
       for (const conn of [a, b]) conn.resume().end('bye');`,
    ],
    ['after a dial that failed', "await dial({ path: '@nobody' }).catch(() => {});"],
  ];
  test.concurrent.each(table)('%s', async (_, body) => {
    const script = `${kImports} ${body} process.on('exit', (code) => console.log('exit', code));`;
    expect(await outputOf(script)).toBe('exit 0');
  });
});

describe('a process stays alive', () => {
  const table: [string, string][] = [
    ['while accept waits', 'listener.accept().then((conn) => conn.pipe(conn));'],
    ['in its loop over connections', 'for await (const conn of listener) conn.pipe(conn);'],
    ['while its service goes on', 'listener.echo();'],
  ];
  test.each(table)('%s', async (_, body) => {
    const script = `${kImports}
      const listener = await listen({ port: 0, host });
      await turn();
      setImmediate(() => console.log(listener.port));
      ${body}`;
    const child = startProcess(process.execPath, ['--input-type=module', '--eval', script], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [port] = (await once(child.stdout, 'data')) as [Buffer];
    const conn = await dial({ port: Number(port), host: '127.0.0.1' });
    conn.write('alive');
    expect(String((await once(conn, 'data'))[0])).toBe('alive');
    conn.destroy();
    const closed = once(child, 'close');
    child.kill();
    expect(await closed).toEqual([null, 'SIGTERM']);
  });
});

test('a descriptor of node:net that a process inherits can be listened on', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const { fd } = (server as unknown as { _handle: { fd: number } })._handle;
  const script = `${kImports}
    const listener = await listen({ fd: 3 });
    console.log(listener.port);
    const conn = await listener.accept();
    conn.end('by the child');
    listener.close();
    await conn.readInto(Buffer.alloc(1)); // until the other end has closed, too`;
  const child = startProcess(process.execPath, ['--input-type=module', '--eval', script], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit', fd],
  });
  const closed = once(child, 'close');
  server.close(); // the child has its own by now
  expect(Number((await once(child.stdout!, 'data'))[0])).toBe(port);
  const conn = await dial({ port, host: '127.0.0.1' });
  expect(await textOf(conn)).toBe('by the child');
  expect(await closed).toEqual([0, null]);
});

test('a Worker that is terminated closes its connections and listeners', async () => {
  const script = `${kImports}
    import { Worker } from 'node:worker_threads';
    const work = ${JSON.stringify(`
      import { parentPort, workerData } from 'node:worker_threads';
      const { dial, listen } = await import(workerData.heddle);
      const host = '127.0.0.1';
      const accepting = await listen({ port: 0, host });
      const serving = await listen({ port: 0, host });
      const ignore = () => {};
      serving.echo().catch(ignore);
      const conns = [];
      for (let i = 0; i < 25; i += 1) {
        const to = { port: accepting.port, host };
        conns.push(...(await Promise.all([dial(to), accepting.accept()])));
        conns.push(await dial({ port: serving.port, host }));
        conns.push(await dial({ port: workerData.port, host }));
      }
      accepting.accept().catch(ignore);
      for (const [i, conn] of conns.entries()) {
        conn.on('error', ignore);
        if (i % 2 === 0) conn.readInto(Buffer.alloc(10)).catch(ignore);
        if (i % 3 === 0) conn.write(Buffer.alloc(1 << 20));
        if (i % 5 === 0) conn.resume();
      }
      parentPort.postMessage(conns.length);
      setInterval(ignore, 1000);`)};
    const url = new URL('data:text/javascript,' + encodeURIComponent(work));
    const listener = await listen({ port: 0, host });
    const fibers = () => runtime.stats().spawned - runtime.stats().exited;
    const heddle = import.meta.resolve('heddle');
    const round = async () => {
      const worker = new Worker(url, { workerData: { heddle, port: listener.port } });
      const ended = once(worker, 'exit');
      const [count] = await once(worker, 'message');
      const ours = [];
      for (let i = 0; i < 25; i += 1) ours.push(await listener.accept());
      await worker.terminate();
      await ended;
      // Each of ours hears of it: by an end, or by a reset if something was left unread.
      const heard = ours.map(async (conn) => {
        try { for await (const chunk of conn); } catch {}
      });
      await Promise.all(heard);
      return count;
    };
    await round();
    const before = [descriptors(), fibers()];
    console.log(await round());
    const limit = performance.now() + 20_000;
    while (descriptors() > before[0] || fibers() > before[1]) {
      if (performance.now() > limit) {
        throw new Error(before + ' before, now ' + [descriptors(), fibers()]);
      }
      await turn();
    }
    console.log('back');
    listener.close();`;
  expect(await outputOf(script)).toBe('100\nback');
});

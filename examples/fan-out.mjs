// Fan out, fan in, and stop at the first failure: checks the blocks of a file on all cores.
//   node examples/fan-out.mjs
import { group, kernels, spawn } from 'heddle';

const kBlockBytes = 64 * 1024;
const blocks = Array.from({ length: 32 }, (_, i) => new Uint8Array(kBlockBytes).fill(i));
const sums = await Promise.all(blocks.map((block) => spawn(kernels.crc32, block)));

/** Runs in an isolate: so it takes all that it needs as arguments. */
async function check(ctx, block, sum, number) {
  const { kernels, spawn } = await import('heddle');
  const got = await spawn({ context: ctx }, kernels.crc32, block);
  if (got !== sum) throw new Error(`block ${number} is damaged`);
  // A slow archive, say. Whoever waits here hears of the end of the group.
  const { setTimeout } = await import('node:timers/promises');
  await setTimeout(100, undefined, { signal: ctx.signal });
  return block.length;
}

async function checkAll(what) {
  const start = performance.now();
  const g = group();
  const tasks = blocks.map((block, i) => g.spawn(check, block, sums[i], i));
  try {
    const lengths = await g.wait(); // in the order of the spawns
    console.log(`${what}: ${lengths.reduce((sum, length) => sum + length)} bytes are in order`);
  } catch (error) {
    // All of them have ended by now: nothing goes on in the background.
    const cancelled = tasks.filter(({ state }) => state === 'cancelled').length;
    console.log(`${what}: ${error.message}; ${cancelled} other checks were cancelled`);
  }
  console.log(`  after ${(performance.now() - start).toFixed()} ms`);
}

await checkAll('as written');
blocks[7][100] ^= 1;
await checkAll('one bit later');

// SHA-256 of files on every core, while the JavaScript thread stays free:
//   node examples/hash-files.mjs README.md package.json
import { Buffer } from 'node:buffer';
import { kernels, spawn } from 'heddle';

const paths = process.argv.slice(2);
if (paths.length === 0) {
  console.error('Usage: node examples/hash-files.mjs <file>...');
  process.exit(2);
}

async function hash(path) {
  const bytes = await spawn(kernels.readFile, path);
  const digest = await spawn(kernels.sha256, bytes);
  return Buffer.from(digest).toString('hex');
}

const results = await Promise.allSettled(paths.map(hash));
for (const [i, result] of results.entries()) {
  if (result.status === 'fulfilled') {
    console.log(`${result.value}  ${paths[i]}`);
  } else {
    console.error(`${paths[i]}: ${result.reason.message}`);
    process.exitCode = 1;
  }
}

// The child process of one trial: `node trial.js
// '{"program":"native","name":"spawn","params":{…}}'`.
// It measures once, prints one JSON object and ends by itself.
import { writeSync } from 'node:fs';
import type { Output, Params, Trial } from './types.js';

type Benchmarks = Readonly<Record<string, (params: Params) => Output | Promise<Output>>>;

// The measured loops are C++ inside the addon; heddle and pthread rows come from there.
async function runNative(name: string, params: Params): Promise<Output> {
  const { binding } = await import('../../lib/binding.js');
  return binding.benchmark(name, params);
}

async function load(program: Trial['program']): Promise<Benchmarks> {
  switch (program) {
    case 'javascript':
      return (await import('./javascript.js')).benchmarks;
    case 'messages':
      return (await import('./messages.js')).benchmarks;
    case 'tasks':
      return (await import('./tasks.js')).benchmarks;
    case 'burst':
      return (await import('./burst.js')).benchmarks;
    case 'echo':
      return (await import('./echo.js')).benchmarks;
    case 'promise':
      return (await import('../peers/node/promise.js')).benchmarks;
    case 'worker':
      return (await import('../peers/node/worker.js')).benchmarks;
    default:
      throw new Error(`expected a program that runs on Node, got ${program}`);
  }
}

async function main(): Promise<void> {
  const trial = JSON.parse(process.argv[2] ?? 'null') as Trial | null;
  if (trial === null) throw new Error('expected a trial as JSON, got no argument');
  let output: Output;
  if (trial.program === 'native') {
    output = await runNative(trial.name, trial.params);
  } else {
    const benchmark = (await load(trial.program))[trial.name];
    if (benchmark === undefined) throw new Error(`${trial.program} has no ${trial.name}`);
    output = await benchmark(trial.params);
  }
  writeSync(1, `${JSON.stringify(output)}\n`);
}

main().catch((error: unknown) => {
  const { code, message } = error as Error & { code?: string };
  writeSync(2, `${code === undefined ? '' : `${code}: `}${message}\n`);
  process.exitCode = 1;
});

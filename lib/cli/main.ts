#!/usr/bin/env node
// `heddle`: the command line. Each command has a file of its own; this one adds them up and turns
// mistakes into one line on stderr and an honest exit code.
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { benchCommand } from './bench.js';
import { kExit, UsageError } from './usage.js';

function version(): string {
  const url = new URL('../../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(url, 'utf8')) as { version: string }).version;
}

function complain(message: string): void {
  process.stderr.write(`heddle: ${message}\n`);
}

function program(): Command {
  const heddle = new Command('heddle')
    .description('Fibers and Go-style concurrency for Node.js: tools')
    .version(version());
  heddle.addCommand(benchCommand());
  for (const command of [heddle, ...heddle.commands]) {
    command.exitOverride().showHelpAfterError('(see --help)').showSuggestionAfterError(true);
  }
  return heddle;
}

async function main(): Promise<void> {
  try {
    await program().parseAsync(process.argv);
  } catch (error) {
    if (error instanceof CommanderError) {
      // commander has printed it: exit code 0 is for --help and --version only.
      process.exitCode = error.exitCode === 0 ? kExit.ok : kExit.usage;
    } else if (error instanceof UsageError) {
      complain(error.message);
      process.exitCode = kExit.usage;
    } else {
      complain(error instanceof Error ? (error.stack ?? error.message) : String(error));
      process.exitCode = kExit.failed;
    }
  }
}

await main();

// `heddle bench`: measures heddle beside its peers and writes tables, JSON and an HTML report.
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { Command } from 'commander';
import pc from 'picocolors';
import { killChildren } from '../../bench/harness/child.js';
import { machineInfo } from '../../bench/harness/machine.js';
import { findPeers } from '../../bench/harness/peers.js';
import type { Availability } from '../../bench/harness/peers.js';
import { runTrial } from '../../bench/harness/program.js';
import { admit, runGroup } from '../../bench/harness/run.js';
import type { Settings } from '../../bench/harness/run.js';
import { isFailed, kPeers } from '../../bench/harness/types.js';
import type { Group, GroupResult, Machine, Peer, Report } from '../../bench/harness/types.js';
import type { Plan, Scenario } from '../../bench/harness/types.js';
import { formatDuration } from '../../bench/report/format.js';
import { renderReport } from '../../bench/report/html.js';
import { sectionsOf } from '../../bench/report/sections.js';
import { renderMachine, renderSection } from '../../bench/report/terminal.js';
import { scenarios } from '../../bench/scenarios/index.js';
import { startProgress } from './progress.js';
import { chooseFrom, kExit, parseCount, UsageError } from './usage.js';

const kDefaultRuns = 3; // all scenarios together stay below 8 minutes
const kDefaultReport = 'heddle-bench.html';
const kMaxRuns = 1_000;
const kMaxCount = 10_000_000;

interface Flags {
  readonly json?: boolean;
  readonly quick?: boolean;
  readonly runs?: number;
  readonly n?: number;
  readonly peers?: string;
  readonly out?: string;
}

interface Work {
  readonly scenario: Scenario;
  readonly groups: readonly Group[];
}

function chooseScenarios(names: readonly string[], flags: Flags): Scenario[] {
  const known = scenarios.map((scenario) => scenario.name);
  const wanted = new Set(chooseFrom('a scenario', names, known));
  const chosen = scenarios.filter((scenario) => wanted.size === 0 || wanted.has(scenario.name));
  if (flags.n !== undefined && !chosen.some((scenario) => scenario.takesN)) {
    const takes = scenarios.filter((scenario) => scenario.takesN).map((scenario) => scenario.name);
    const got = chosen.map((scenario) => scenario.name).join(', ');
    throw new UsageError(
      `a scenario that --n applies to (${takes.join(', ')})`,
      `${got}, which has a sweep of its own`,
      'leave --n out',
    );
  }
  return chosen;
}

function choosePeers(list: string | undefined): ReadonlySet<Peer> {
  if (list === undefined) return new Set(kPeers);
  if (list === 'none') return new Set();
  const names = list.split(',').map((name) => name.trim());
  return new Set(chooseFrom('peers (or none)', names, kPeers));
}

function planWork(chosen: readonly Scenario[], flags: Flags): Work[] {
  const quick = flags.quick ?? false;
  const processors = availableParallelism();
  return chosen.map((scenario) => {
    const plan: Plan =
      flags.n !== undefined && scenario.takesN
        ? { quick, processors, n: flags.n }
        : { quick, processors };
    return { scenario, groups: scenario.groups(plan) };
  });
}

/** What a machine reads: the results that have anything to say, in the order they were measured. */
export function toReport(machine: Machine, groups: readonly GroupResult[]): Report {
  const results = groups.flatMap((group) =>
    group.results.filter((result, index) => index === 0 || result.rows.some((r) => !isFailed(r))),
  );
  return { machine, results };
}

/** Whether one of our own rows failed: the bench is then not a success. */
function oursFailed(groups: readonly GroupResult[]): boolean {
  const rows = groups.flatMap((group) => group.results[0]!.rows);
  return rows.some((row) => isFailed(row) && row.impl.startsWith('heddle'));
}

interface Session {
  readonly work: readonly Work[];
  readonly settings: Omit<Settings, 'onStep'>;
  /** Writes finished tables; absent with --json. */
  readonly print?: (text: string) => void;
  readonly color: boolean;
}

async function measure(session: Session): Promise<GroupResult[]> {
  const { settings, work } = session;
  const progress = startProgress(process.stderr);
  const perGroup = (group: Group): number => admit(group, settings.available).entrants.length;
  const trials = work.flatMap(({ groups }) => groups.map(perGroup));
  const total = trials.reduce((sum, count) => sum + count, 0) * settings.runs;
  const all: GroupResult[] = [];
  let done = 0;
  try {
    for (const { scenario, groups } of work) {
      const own: GroupResult[] = [];
      for (const group of groups) {
        const before = done;
        const onStep: Settings['onStep'] = ({ impl, n, run, runs }) => {
          done += 1;
          const share = Math.floor((100 * done) / total);
          const what = `${impl}, n=${n.toLocaleString('en-US')}, run ${run} of ${runs}`;
          progress.say(`${share} %  ${scenario.name}: ${what}`);
        };
        own.push(await runGroup(scenario.name, group, { ...settings, onStep }));
        // Runs that a failure made needless count as done.
        done = before + perGroup(group) * settings.runs;
      }
      all.push(...own);
      progress.clear();
      for (const section of sectionsOf(own)) {
        session.print?.(renderSection(section, scenario.counts, { color: session.color }));
      }
    }
  } finally {
    progress.clear();
  }
  return all;
}

/** Only those that take part: to build or to install the others would be for nothing. */
async function lookForPeers(
  work: readonly Work[],
  wanted: ReadonlySet<Peer>,
  machine: Machine,
): Promise<Availability> {
  const entrants = work.flatMap(({ groups }) => groups.flatMap((group) => group.entrants));
  const taking = new Set(entrants.map(({ peer }) => peer).filter((peer) => peer !== 'heddle'));
  const progress = startProgress(process.stderr);
  try {
    return await findPeers(taking, wanted, machine, (peer) => progress.say(`looking for ${peer}`));
  } finally {
    progress.clear();
  }
}

function commandLine(names: readonly string[], flags: Flags): string {
  const words = ['npx heddle bench', ...names];
  if (flags.quick) words.push('--quick');
  if (flags.runs !== undefined) words.push(`--runs ${flags.runs}`);
  if (flags.n !== undefined) words.push(`--n ${flags.n}`);
  if (flags.peers !== undefined) words.push(`--peers ${flags.peers}`);
  return words.join(' ');
}

/** Fails before minutes of measuring, not after them. */
function checkWritable(path: string): void {
  try {
    writeFileSync(path, '', { flag: 'a' });
  } catch (error) {
    const got = `'${path}' (${(error as Error).message})`;
    throw new UsageError('--out to be a file that can be written', got, 'choose another place');
  }
}

function announce(work: readonly Work[], runs: number, machine: Machine): string {
  const names = work.map(({ scenario }) => scenario.name).join(', ');
  const times = `${runs} run${runs === 1 ? '' : 's'} of each, one process per run`;
  return `heddle bench: ${names}; ${times}\n${renderMachine(machine)}\n`;
}

async function bench(names: readonly string[], flags: Flags): Promise<number> {
  const begin = performance.now();
  const work = planWork(chooseScenarios(names, flags), flags);
  const wanted = choosePeers(flags.peers);
  const runs = flags.runs ?? kDefaultRuns;
  const out = flags.out ?? (flags.json ? undefined : kDefaultReport);
  if (out !== undefined) checkWritable(out);
  const color = pc.isColorSupported && process.stdout.isTTY;
  const print = flags.json ? undefined : (text: string): void => void process.stdout.write(text);
  const machine = await machineInfo();
  print?.(announce(work, runs, machine));
  const available = await lookForPeers(work, wanted, machine);
  const settings = { runs, runner: runTrial, available };
  const session = print ? { work, settings, color, print } : { work, settings, color };
  const groups = await measure(session);
  if (flags.json) process.stdout.write(`${JSON.stringify(toReport(machine, groups), null, 1)}\n`);
  const seconds = (performance.now() - begin) / 1000;
  if (out !== undefined) {
    const rerun = commandLine(names, flags);
    writeFileSync(out, await renderReport({ machine, groups, scenarios, runs, rerun, seconds }));
    print?.(`\nReport: ${resolve(out)}\n`);
  }
  print?.(`Took ${formatDuration(seconds)}.\n`);
  return oursFailed(groups) ? kExit.failed : kExit.ok;
}

function interrupt(): void {
  killChildren();
  process.exit(kExit.interrupted);
}

function scenarioHelp(): string {
  const lines = scenarios.map(({ name, measures }) => `  ${name.padEnd(9)} ${measures}`);
  return `\nScenarios:\n${lines.join('\n')}
\nPeers: ${kPeers.join(', ')}. Those that this machine lacks are skipped, with the reason.
Exit code: 0 measured; 1 a heddle row failed or the bench broke; 2 bad arguments.`;
}

/** The `bench` command, for `heddle` to add. */
export function benchCommand(): Command {
  return new Command('bench')
    .description('measure heddle beside threads, Workers, promises and Go on this machine')
    .argument('[scenario...]', 'what to measure; all of them if none is named')
    .option('--json', 'print one JSON object and nothing else')
    .option('--quick', 'smaller counts: a first look')
    .option('--runs <count>', 'runs of each', parseCount(kMaxRuns))
    .option('--n <count>', 'units, where a scenario has no sweep of its own', parseCount(kMaxCount))
    .option('--peers <list>', 'only these peers, separated by commas, or none')
    .option('--out <file>', `where the HTML report goes (default: ${kDefaultReport})`)
    .addHelpText('after', scenarioHelp())
    .action(async (names: string[], flags: Flags) => {
      process.once('SIGINT', interrupt);
      process.once('SIGTERM', interrupt);
      process.exitCode = await bench(names, flags);
    });
}

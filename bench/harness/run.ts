// Runs the trials of one group in alternation and turns their outputs into results.
import { ChildError } from './child.js';
import type { Availability } from './peers.js';
import type { Runner } from './program.js';
import { alternate } from './schedule.js';
import { summarize, typicalIndex } from './statistics.js';
import type {
  Entrant,
  FailedRow,
  Group,
  GroupResult,
  Metric,
  Output,
  Result,
  Row,
  Skipped,
} from './types.js';

export interface Step {
  readonly scenario: string;
  readonly n: number;
  readonly impl: string;
  /** From 1. */
  readonly run: number;
  readonly runs: number;
}

export interface Settings {
  readonly runs: number;
  readonly runner: Runner;
  readonly available: Availability;
  /** Called before each trial. */
  readonly onStep?: (step: Step) => void;
}

interface Outcome {
  readonly outputs: Output[];
  failed?: string;
}

/** Entrants that can run here, and why the others cannot. */
export function admit(
  group: Group,
  available: Availability,
): { entrants: Entrant[]; skipped: Skipped[] } {
  const entrants: Entrant[] = [];
  const skipped: Skipped[] = [];
  for (const entrant of group.entrants) {
    const reason = entrant.peer === 'heddle' ? undefined : available.get(entrant.peer);
    if (reason === undefined) entrants.push(entrant);
    else skipped.push({ impl: entrant.impl, reason });
  }
  return { entrants, skipped: [...skipped, ...(group.absent ?? [])] };
}

function failureIn(output: Output): string | undefined {
  const at = output['failedAt'];
  if (typeof at !== 'number') return undefined;
  const reason = output['reason'];
  const words = typeof reason === 'string' ? reason : 'no reason given';
  return `failed at ${at.toLocaleString('en-US')}: ${words}`;
}

// A refusal or a crash ends that entrant's runs: it would only be the same again, slower.
async function tryOnce(entrant: Entrant, outcome: Outcome, runner: Runner): Promise<void> {
  try {
    const output = await runner(entrant.trial);
    const failed = failureIn(output);
    if (failed === undefined) outcome.outputs.push(output);
    else outcome.failed = failed;
  } catch (error) {
    if (!(error instanceof ChildError)) throw error;
    outcome.failed = `failed: the process ${error.message}`;
  }
}

function valuesOf(metric: Metric, outputs: readonly Output[]): number[] {
  const scale = metric.scale ?? 1;
  const numbers = outputs.map((output) => output[metric.key]);
  return numbers
    .filter((value): value is number => typeof value === 'number')
    .map((value) => value * scale);
}

function rowOf(entrant: Entrant, metric: Metric, outcome: Outcome): Row | undefined {
  if (outcome.failed !== undefined) {
    const row: FailedRow = { impl: entrant.impl, failed: outcome.failed };
    return entrant.n === undefined ? row : { ...row, n: entrant.n };
  }
  const values = valuesOf(metric, outcome.outputs);
  return values.length === 0 ? undefined : summarize(entrant.impl, values, entrant.n);
}

/** The run shown where only one can be: nearest to the median of the group's first metric. */
function typicalOf(metric: Metric, outputs: readonly Output[]): Output | undefined {
  const values = valuesOf(metric, outputs);
  return values.length === outputs.length && values.length > 0
    ? outputs[typicalIndex(values)]
    : undefined;
}

/** Runs every trial of a group. Rejects only for faults of the bench itself. */
export async function runGroup(
  scenario: string,
  group: Group,
  settings: Settings,
): Promise<GroupResult> {
  const { entrants, skipped } = admit(group, settings.available);
  const outcomes = new Map(
    entrants.map((entrant): [Entrant, Outcome] => [entrant, { outputs: [] }]),
  );
  const { runs, runner, onStep } = settings;
  for (const { entrant, run } of alternate(entrants, runs)) {
    const outcome = outcomes.get(entrant)!;
    if (outcome.failed !== undefined) continue;
    onStep?.({ scenario, n: entrant.n ?? group.n, impl: entrant.impl, run: run + 1, runs });
    await tryOnce(entrant, outcome, runner);
  }
  const results = group.metrics.map((metric): Result => {
    const rows = entrants.map((entrant) => rowOf(entrant, metric, outcomes.get(entrant)!));
    return {
      scenario,
      metric: metric.text,
      better: metric.better,
      n: group.n,
      rows: rows.filter((row): row is Row => row !== undefined),
      skipped,
    };
  });
  const typical = new Map<string, Output>();
  for (const [entrant, { outputs }] of outcomes) {
    const output = typicalOf(group.metrics[0], outputs);
    if (output !== undefined) typical.set(entrant.impl, output);
  }
  return { scenario, n: group.n, metrics: group.metrics, results, typical };
}

// The words of the bench: what a scenario asks for, what a trial answers, what a report shows.
//
// A *scenario* (spawn, memory, …) has *groups*; a group is one count `n` for which every *entrant*
// (heddle fiber, go goroutine, …) is tried. One *trial* is one child process that measures once and
// answers one *output*, an object from which each *metric* of the group takes one number.

/** Worker pools that bench/peers/package.json names. */
export const kNpmPeers = ['piscina', 'tinypool', 'workerpool'] as const;

/** A family of peers that can be switched on and off with `--peers`. */
export const kPeers = [
  'go',
  'threads',
  'promise',
  'worker',
  'python',
  'moodycamel',
  'node:net',
  'epoll',
  ...kNpmPeers,
] as const;
export type Peer = (typeof kPeers)[number];

/** Who carries a trial out: the addon (heddle and pthread rows), or a peer's program. */
export type Program =
  | 'native'
  | 'javascript'
  | 'messages'
  | 'tasks'
  | 'burst'
  | 'echo'
  | 'promise'
  | 'worker'
  | 'go'
  | 'python'
  | 'moodycamel';

export type Params = Readonly<Record<string, number | string>>;

/** What a trial prints: numbers by key, and for memory the residency curve and components. */
export type Output = Readonly<Record<string, unknown>>;

export interface Trial {
  readonly program: Program;
  /** Name of the benchmark inside the program. */
  readonly name: string;
  readonly params: Params;
}

export interface Metric {
  /** Exact text, unit first, as in the contract of `--json`. */
  readonly text: string;
  readonly better: 'lower' | 'higher';
  /** Key of the trial's output. */
  readonly key: string;
  /** Multiplies the output, to get the unit of `text`. */
  readonly scale?: number;
  /** A total for n units: rows with an n of their own cannot be compared with the others. */
  readonly total?: boolean;
  /** Decimals are not worth showing (bytes). */
  readonly whole?: boolean;
  /** Not the group's first, but of its kind: drawn dashed in the same chart, under this name. */
  readonly dashed?: string;
}

export interface Entrant {
  /** Start of the row, e.g. `heddle fiber`. */
  readonly impl: string;
  /** The switch of `--peers` it belongs to; ours cannot be switched off. */
  readonly peer: Peer | 'heddle';
  readonly trial: Trial;
  /** Its own, smaller count, where the group's would take minutes. */
  readonly n?: number;
}

export interface Skipped {
  readonly impl: string;
  readonly reason: string;
}

export interface Group {
  /** The count all entrants share (units, fibers, bytes of stack or processors). */
  readonly n: number;
  /** The first is the one that tables and charts compare. */
  readonly metrics: readonly [Metric, ...Metric[]];
  readonly entrants: readonly Entrant[];
  /** Peers that have no such operation. */
  readonly absent?: readonly Skipped[];
}

/** The user's choices that change what a scenario measures. */
export interface Plan {
  /** Overrides the counts of units. */
  readonly n?: number;
  readonly quick: boolean;
  /** Usable CPUs. */
  readonly processors: number;
}

export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** One sentence each: what is measured, and how. Shown by `--help` and in the report. */
  readonly measures: string;
  readonly how: string;
  /** What `n` counts, as the head of a column. */
  readonly counts: string;
  /** Whether `--n` applies; a scenario that sweeps something else keeps its sweep. */
  readonly takesN: boolean;
  groups(plan: Plan): Group[];
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly kernel: string;
  readonly node: string;
  readonly go: string | null;
}

export interface MeasuredRow {
  readonly impl: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly runs: number;
  /** Only where it differs from the result's. */
  readonly n?: number;
}

export interface FailedRow {
  readonly impl: string;
  /** `failed at N: reason`. */
  readonly failed: string;
  readonly n?: number;
}

export type Row = MeasuredRow | FailedRow;

export interface Result {
  readonly scenario: string;
  readonly metric: string;
  readonly better: 'lower' | 'higher';
  readonly n: number;
  readonly rows: readonly Row[];
  readonly skipped: readonly Skipped[];
}

/** Everything that `--json` prints. */
export interface Report {
  readonly machine: Machine;
  readonly results: readonly Result[];
}

/** Beyond the numbers, what the report draws: the output whose value was the median, by entrant. */
export interface GroupResult {
  readonly scenario: string;
  readonly n: number;
  readonly metrics: readonly Metric[];
  /** One per metric, in the same order. */
  readonly results: readonly Result[];
  readonly typical: ReadonlyMap<string, Output>;
}

export function isFailed(row: Row): row is FailedRow {
  return 'failed' in row;
}

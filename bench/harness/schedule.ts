// The order of trials. Implementations alternate (A B C A B C …), so that a machine that warms up,
// throttles or is shared gets no chance to favour one of them.
import type { Entrant } from './types.js';

export interface Turn {
  readonly entrant: Entrant;
  /** From 0. */
  readonly run: number;
}

/**
 * Every entrant once per run; each run starts with the next entrant, so that none is always
 * first.
 */
export function alternate(entrants: readonly Entrant[], runs: number): Turn[] {
  const turns: Turn[] = [];
  for (let run = 0; run < runs; run += 1) {
    for (let place = 0; place < entrants.length; place += 1) {
      turns.push({ entrant: entrants[(place + run) % entrants.length]!, run });
    }
  }
  return turns;
}

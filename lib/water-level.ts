// How full memory is, asked now and then while somebody works.
//
// The marks: at 80 % of the limit half of the work goes on, at 90 % a quarter, as it falls all of
// it again. What counts is the resident memory of this process.
import { totalmem } from 'node:os';

const kPollMs = 100;
const kHalfAt = 0.8;
const kQuarterAt = 0.9;

/** The memory that this process may use: its cgroup's limit or, without one, the machine's. */
export function memoryLimit(): number {
  const machine = totalmem();
  const constrained = process.constrainedMemory();
  // Without a limit it is 0, or a number above all memory.
  return constrained > 0 && constrained < machine ? constrained : machine;
}

export class WaterLevel {
  /** The part of the work that may go on: 1, 0.5 or 0.25. */
  share = 1;
  readonly #limitBytes: number;
  readonly #isBusy: () => boolean;
  readonly #changed: () => void;
  #timer: NodeJS.Timeout | undefined;

  /** `changed` is called when the share is another; the watch ends when `isBusy` says no. */
  constructor(limitBytes: number, isBusy: () => boolean, changed: () => void) {
    this.#limitBytes = limitBytes;
    this.#isBusy = isBusy;
    this.#changed = changed;
  }

  /** Looks now, and every 100 ms from now on. */
  watch(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setInterval(() => this.#tick(), kPollMs).unref();
    this.#look();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    if (this.#isBusy()) this.#look();
    else this.stop();
  }

  #look(): void {
    const level = process.memoryUsage.rss() / this.#limitBytes;
    const share = level >= kQuarterAt ? 0.25 : level >= kHalfAt ? 0.5 : 1;
    if (share === this.share) return;
    this.share = share;
    this.#changed();
  }
}

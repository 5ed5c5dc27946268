import { Channel } from './channel.js';
import { refuse } from './refuse.js';
import { sleep } from './sleep.js';

/**
 * Ticks: its channel has room for one, so a slow receiver misses ticks instead of getting them
 * late. It keeps the process alive until it is stopped, as an interval does.
 *
 * @example
 * const ticker = new Ticker(1000);
 * for await (const n of ticker.ticks) console.log(`tick ${n}`);
 */
export class Ticker implements Disposable {
  /** The number of each tick, from 1; closed by `stop`. */
  readonly ticks = new Channel<number>(1, { name: 'ticker' });
  readonly #end = new AbortController();

  /** `ms`: the period, more than 0. */
  constructor(ms: number) {
    if (typeof ms !== 'number' || !(ms > 0) || ms === Infinity) {
      refuse('ms', 'a finite number of milliseconds above 0', ms);
    }
    void this.#run(ms);
  }

  async #run(ms: number): Promise<void> {
    const begin = performance.now();
    for (let n = 1; ; n += 1) {
      try {
        await sleep(begin + n * ms - performance.now(), { signal: this.#end.signal });
      } catch {
        return; // stopped
      }
      if (!this.ticks.closed) this.ticks.trySend(n);
    }
  }

  /** No more ticks. May be called again. */
  stop(): void {
    if (this.#end.signal.aborted) return;
    this.#end.abort();
    if (!this.ticks.closed) this.ticks.close();
  }

  [Symbol.dispose](): void {
    this.stop();
  }
}

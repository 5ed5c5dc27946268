// Ticker: a period as a channel.
import { setTimeout as wait } from 'node:timers/promises';
import { after, kernels, recv, select, spawn, Ticker } from 'heddle';
import { describe, expect, test } from 'vitest';
import { expectRefusal, kHourMs, outputOf } from './support.js';

describe('a ticker', () => {
  test('counts its ticks, none of them early', async () => {
    const begin = performance.now();
    const ticker = new Ticker(5);
    for await (const n of ticker.ticks) {
      expect(performance.now() - begin).toBeGreaterThanOrEqual(5 * n);
      if (n >= 10) break;
    }
    ticker.stop();
  });

  test('drops ticks for which a slow receiver was not there', async () => {
    const ticker = new Ticker(2);
    await wait(40);
    const { value: first } = await ticker.ticks.recv();
    const { value: second } = await ticker.ticks.recv();
    expect(first).toBe(1);
    expect(second).toBeGreaterThan(2);
    ticker.stop();
  });

  test('ends its channel when it is stopped, and may be stopped again', async () => {
    const ticker = new Ticker(kHourMs);
    const tick = ticker.ticks.recv();
    ticker.stop();
    ticker.stop();
    ticker[Symbol.dispose]();
    expect([await tick, ticker.ticks.closed]).toEqual([{ ok: false }, true]);
  });

  test('may have its channel closed by others', async () => {
    const ticker = new Ticker(1);
    ticker.ticks.close();
    await wait(5);
    ticker.stop();
    expect(await ticker.ticks.recv()).toEqual({ ok: false });
  });

  test('ticks in a select, and for fibers', async () => {
    const ticker = new Ticker(3);
    const chosen = await select({ tick: recv(ticker.ticks), late: after(kHourMs) });
    expect(chosen).toEqual({ key: 'tick', ok: true, value: 1 });
    const counted = spawn(kernels.consume, ticker.ticks);
    await wait(30);
    ticker.stop();
    expect(await counted).toBeGreaterThan(0);
  });

  test('keeps the process until it is stopped', async () => {
    const script = `
      import { Ticker } from 'heddle';
      const ticker = new Ticker(5);
      void (async () => {
        for await (const n of ticker.ticks) if (n >= 3) ticker.stop();
        console.log('stopped');
      })();`;
    expect(await outputOf(script)).toBe('stopped');
  });

  test.each([0, -1, NaN, Infinity, '5', undefined, null])('refuses %o for its period', (ms) => {
    const words = 'ms: expected a finite number of milliseconds above 0, got';
    expectRefusal('ERR_HEDDLE_OPTION', () => new Ticker(ms as number), words);
  });
});

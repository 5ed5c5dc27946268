// Every scenario of `heddle bench`, in the order in which they run.
import type { Scenario } from '../harness/types.js';
import { capacity } from './capacity.js';
import { channel } from './channel.js';
import { create } from './create.js';
import { echo } from './echo.js';
import { memory } from './memory.js';
import { messages } from './messages.js';
import { pingpong } from './pingpong.js';
import { pool } from './pool.js';
import { preempt } from './preempt.js';
import { selectAmong } from './select.js';
import { spawn } from './spawn.js';
import { stack } from './stack.js';
import { steal } from './steal.js';
import { yieldAround } from './switch.js';
import { tasks } from './tasks.js';
import { timer } from './timer.js';

export const scenarios: readonly Scenario[] = [
  create,
  spawn,
  memory,
  yieldAround,
  stack,
  steal,
  timer,
  preempt,
  pingpong,
  channel,
  capacity,
  selectAmong,
  messages,
  tasks,
  pool,
  echo,
];

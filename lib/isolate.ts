// What a Worker of heddle's runs: it joins its set and takes tasks until it is ended.
import { role } from './binding.js';
import { joinSet } from './isolates.js';
import './locks.js'; // an argument may be a lock
import { startRunning } from './run-tasks.js';

startRunning();
// The set may be gone: its root has ended meanwhile, and this Worker ends as well.
if (role !== undefined) joinSet(role);

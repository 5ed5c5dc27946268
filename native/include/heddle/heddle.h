// Everything that a native addon may use.
#pragma once

#include <type_traits>
#include <utility>

#include "core/blocking.h"
#include "core/park.h"
#include "core/scheduler.h"
#include "heddle/channel.h"
#include "heddle/context.h"
#include "heddle/error.h"
#include "heddle/select.h"
#include "heddle/sync.h"
#include "sync/queue.h"

namespace heddle {

// Runs a callable on a fiber of its own. Throws Error when nothing could be queued.
template <typename F>
void go(F&& callable, const SpawnOptions& options = {}) {
  const SpawnError error = Scheduler::running().go(std::forward<F>(callable), options);
  if (error == SpawnError::kNone) return;
  const bool memory = error == SpawnError::kOutOfMemory;
  throw Error(memory ? "ERR_HEDDLE_MEMORY" : "ERR_HEDDLE_SHUT_DOWN", spawn_error_name(error));
}

}  // namespace heddle

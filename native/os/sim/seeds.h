// Runs a scenario with many seeds, each in a child process of its own: pools of the core are
// process-wide, so only a fresh process makes a seed mean the same every time.
//
// Environment:
//   HEDDLE_SIM_SEEDS=n        this many seeds per scenario
//   HEDDLE_SIM_FIRST=n        the first of them (default 1)
//   HEDDLE_SIM_SCENARIO=name  no other scenario
//   HEDDLE_SIM_SEED=n         this seed alone, and its whole interleaving is printed
#pragma once

#include "os/sim/simulation.h"

namespace heddle::sim {

struct Scenario {
  const char* name;
  void (*body)();
  uint32_t seeds;  // by default
  Settings settings;
};

// True if every seed passed. The first that fails is reported, and ends the scenario.
bool run_seeds(const Scenario& scenario);

// Runs one seed in a child; false if it failed, after printing its report.
bool run_seed(const Scenario& scenario, uint64_t seed, Summary* summary);

}  // namespace heddle::sim

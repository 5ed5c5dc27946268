// The pool of threads for blocking calls, alone: every job runs once, and soon.
#include "core/blocking_pool.h"
#include "test/sim/scenario.h"

namespace heddle::sim {
namespace {

constexpr uint32_t kJobs = 8;

struct Job : BlockingPool::Job {
  Plain<uint32_t> input;
  Plain<uint32_t> runs;
};

struct Pool {
  BlockingPool pool;
  Job jobs[kJobs];
  Countdown left{kJobs};
  Unserved unserved;
};
Pool* pool;

void submit_some(void* raw) {
  for (auto i = reinterpret_cast<uintptr_t>(raw); i < kJobs; i += 2) {
    Job* job = &pool->jobs[i];
    job->run = [](BlockingPool::Job* base) {
      auto* self = static_cast<Job*>(base);
      SIM_CHECK(self->input.read("a job") == 7, "a job runs without its input");
      SIM_CHECK(self->runs.read("a job's run count") == 0, "a job runs twice");
      self->runs.write(1, "a job's run count");
      pool->unserved.serve();
      if (one_in(2)) pause_thread(100'000);
      pool->left.arrive();
    };
    job->input.write(7, "a job");
    pool->unserved.add();
    // Refused: nobody else has it then.
    if (pool->pool.submit(job) != 0) job->run(job);
    // Sometimes for so long that idle threads end.
    if (one_in(3)) os::sleep_until(os::now_ns() + (one_in(3) ? 6'000'000'000 : 50'000));
  }
}

bool must_be_awake = false;

void pool_runs_jobs() {
  Pool all;
  pool = &all;
  if (must_be_awake) on_everybody_asleep([](uint64_t left_ns) { pool->unserved.check(left_ns); });
  os::Thread threads[2];
  for (uintptr_t i = 0; i < 2; ++i) {
    while (os::start_thread(&threads[i], "caller", 0, submit_some, reinterpret_cast<void*>(i)) !=
           0) {
    }
  }
  for (os::Thread thread : threads) os::join_thread(thread);
  all.left.wait();
  for (Job& job : all.jobs) SIM_CHECK(job.runs.read("a job's run count") == 1, "a job was lost");
  all.pool.shutdown();
  SIM_CHECK(all.pool.threads() == 0 && all.pool.pending() == 0, "the pool is not empty");
}

void pool_is_awake() {
  must_be_awake = true;
  pool_runs_jobs();
}

Settings refusing(Settings settings, uint32_t threads_one_in) noexcept {
  settings.refused_thread_one_in = threads_one_in;
  return settings;
}

}  // namespace

TEST_CASE("a blocking pool runs every job once, also when threads are refused") {
  CHECK(run_seeds({"blocking pool", pool_runs_jobs, 500, {}}));
  CHECK(run_seeds({"blocking pool, refused", pool_runs_jobs, 500, refusing({}, 2)}));
}

TEST_CASE("no job waits while a thread of the pool sleeps") {
  CHECK(run_seeds({"blocking pool, awake", pool_is_awake, 500, exact_time()}));
  CHECK(
      run_seeds({"blocking pool, awake, refused", pool_is_awake, 500, refusing(exact_time(), 2)}));
}

}  // namespace heddle::sim

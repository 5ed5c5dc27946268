// What a load may return: the C++ memory model, executed.
//
// Operational, in the manner of Relacy (D. Vyukov) and loom (tokio), with fences as in the
// promising semantics (Kang et al., POPL 2017):
// - Every location keeps its latest stores in modification order, which is the order in which they
//   were executed. Each knows when each thread first saw it, and the clock that its release
//   carries. A load returns any store that is not older than one its thread must have seen: by
//   its own past, by happens-before, by coherence, by the total order of sequentially consistent
//   operations (which is the order of execution).
// - Acquire joins the clock of the store that was read; relaxed loads keep it for a later acquire
//   fence. A read-modify-write reads the newest store and continues its release sequence.
// - A sequentially consistent fence exchanges everything with one global clock.
// Not modelled: values out of thin air, stores that enter the modification order in another order
// than they were executed in.
#pragma once

#include <cstddef>
#include <cstdint>

#include "os/sim/model_atomic.h"
#include "os/sim/vector_clock.h"

namespace heddle::sim {

// A clock that several stores carry.
struct SharedClock {
  VectorClock clock;
  uint32_t holders;
  SharedClock* next_free;
};

struct Store {
  uint64_t value;
  uint64_t serial;       // position in the order of execution; 0 = older than the simulation
  SharedClock* carries;  // what an acquire load learns; nullptr = nothing
  bool is_seq_cst;
  uint32_t first_seen[kMaxThreads];  // the thread's own clock then; 0 = never
};

struct Location {
  static constexpr uint32_t kHistory = 8;

  const void* address;
  uint32_t bytes;
  uint32_t number;  // in order of first use: the same in every run of a seed
  uint32_t newest;  // place in `stores`
  uint32_t count;
  bool is_over;        // its object has ended
  uint32_t only_user;  // kShared once a second thread has come
  Location* next_free;
  Store* stores[kHistory];

  static constexpr uint32_t kShared = UINT32_MAX;
};

struct ThreadView {
  VectorClock now;       // what happened before the thread's next operation
  VectorClock pending;   // ... if an acquire fence came first
  VectorClock released;  // `now` at the latest release fence
  bool has_released = false;
  uint64_t fence_serial = 0;  // of the latest sequentially consistent fence
};

class MemoryModel {
 public:
  // Chooses among `count` stores that may be read; 0 is the newest.
  using Choose = uint32_t (*)(uint32_t count) noexcept;

  void reset(Choose choose) noexcept;
  void begin_thread(uint32_t thread, uint32_t parent) noexcept;
  void join_thread(uint32_t thread, uint32_t ended) noexcept;
  uint32_t thread_count() const noexcept { return threads_; }
  ThreadView& view(uint32_t thread) noexcept { return views_[thread]; }

  Location* find(const void* address) noexcept;
  Location* find_or_add(const void* address, uint32_t bytes, uint32_t thread) noexcept;
  // True if only this thread has ever used the location, so that order does not matter yet.
  bool is_private(const void* address, uint32_t thread) noexcept;
  void forget(const void* address) noexcept;
  void forget_range(const void* address, size_t bytes) noexcept;

  uint64_t load(Location* location, uint32_t thread, Order order) noexcept;
  void store(Location* location, uint32_t thread, uint64_t value, Order order) noexcept;
  // Stores `after` behind the newest store, which it returns.
  uint64_t read_modify_write(Location* location, uint32_t thread, uint64_t after,
                             Order order) noexcept;
  bool compare_exchange(Location* location, uint32_t thread, uint64_t* expected, uint64_t desired,
                        Order order) noexcept;
  void fence(uint32_t thread, Order order) noexcept;
  void fence_everybody(uint32_t thread) noexcept;
  // Enough time has passed for every store so far to have reached every thread.
  void settle() noexcept { settled_serial_ = serial_; }
  uint32_t last_choice() const noexcept { return last_choice_; }

 private:
  static constexpr uint32_t kTableSlots = 1u << 15;

  bool is_known(const Store& store, const VectorClock& clock) const noexcept;
  uint32_t readable(const Location* location, uint32_t thread, Order order) const noexcept;
  uint64_t read(Location* location, uint32_t age, uint32_t thread, Order order) noexcept;
  Store* append(Location* location, uint32_t thread, uint64_t value, SharedClock* carries,
                Order order) noexcept;
  SharedClock* clock_to_carry(uint32_t thread, Order order, SharedClock* continued) noexcept;
  SharedClock* new_clock() noexcept;
  void drop_clock(SharedClock* clock) noexcept;
  void remove_slot(uint32_t slot) noexcept;
  static uint32_t slot_of(const void* address) noexcept;

  Choose choose_ = nullptr;
  ThreadView views_[kMaxThreads];
  VectorClock fences_;  // what sequentially consistent fences have passed on
  uint32_t threads_ = 0;
  uint64_t serial_ = 0;
  uint64_t settled_serial_ = 0;
  uint32_t numbers_ = 0;
  uint32_t used_slots_ = 0;
  uint32_t last_choice_ = 0;
  Location* table_[kTableSlots];
  Location* free_locations_ = nullptr;
  SharedClock* free_clocks_ = nullptr;
};

}  // namespace heddle::sim

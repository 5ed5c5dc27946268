// Atomic<T> of the model build: the interface of core/atomic.h over a simulated memory.
//
// The object holds the newest value and nothing else, so its size and its meaning as zeroed memory
// are those of the real one. Older stores that a load may still return are kept aside, by address
// (memory_model.h), while a simulation runs; outside of one these are plain values.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace heddle {

namespace sim {

enum class Order : uint8_t { kRelaxed, kAcquire, kRelease, kAcqRel, kSeqCst };
enum class Change : uint8_t { kExchange, kAdd, kSubtract, kOr, kAnd };

// Values travel as their low `bytes` bytes.
uint64_t load(const void* address, uint32_t bytes, Order order) noexcept;
void store(void* address, uint32_t bytes, uint64_t value, Order order) noexcept;
uint64_t read_modify_write(void* address, uint32_t bytes, Change change, uint64_t operand,
                           Order order) noexcept;
// Strong; a failure is an acquire load.
bool compare_exchange(void* address, uint32_t bytes, uint64_t* expected, uint64_t desired,
                      Order order) noexcept;
void fence(Order order) noexcept;
void turn_of_spin_loop() noexcept;

extern bool running;                                // inside a simulation
void begin_lifetime(const void* address) noexcept;  // a new object: nothing older can be read
void end_lifetime(const void* address) noexcept;    // whoever uses it from here on is reported

}  // namespace sim

template <typename T>
class Atomic {
 public:
  constexpr Atomic() noexcept : value_(T{}) { begin(); }
  constexpr explicit Atomic(T value) noexcept : value_(value) { begin(); }
  ~Atomic() {
    if (sim::running) sim::end_lifetime(&value_);
  }
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;

  T load_relaxed() const noexcept { return load(sim::Order::kRelaxed); }
  T load_acquire() const noexcept { return load(sim::Order::kAcquire); }
  T load_seq_cst() const noexcept { return load(sim::Order::kSeqCst); }
  void store_relaxed(T value) noexcept { store(value, sim::Order::kRelaxed); }
  void store_release(T value) noexcept { store(value, sim::Order::kRelease); }
  void store_seq_cst(T value) noexcept { store(value, sim::Order::kSeqCst); }

  T exchange_relaxed(T value) noexcept { return exchange(value, sim::Order::kRelaxed); }
  T exchange_acquire(T value) noexcept { return exchange(value, sim::Order::kAcquire); }
  T exchange_acq_rel(T value) noexcept { return exchange(value, sim::Order::kAcqRel); }
  T exchange_seq_cst(T value) noexcept { return exchange(value, sim::Order::kSeqCst); }

  T fetch_add_relaxed(T delta) noexcept {
    return change(sim::Change::kAdd, delta, sim::Order::kRelaxed);
  }
  T fetch_add_acq_rel(T delta) noexcept {
    return change(sim::Change::kAdd, delta, sim::Order::kAcqRel);
  }
  T fetch_add_seq_cst(T delta) noexcept {
    return change(sim::Change::kAdd, delta, sim::Order::kSeqCst);
  }
  T fetch_sub_acq_rel(T delta) noexcept {
    return change(sim::Change::kSubtract, delta, sim::Order::kAcqRel);
  }
  T fetch_sub_seq_cst(T delta) noexcept {
    return change(sim::Change::kSubtract, delta, sim::Order::kSeqCst);
  }
  T fetch_or_acq_rel(T bits) noexcept {
    return change(sim::Change::kOr, bits, sim::Order::kAcqRel);
  }
  T fetch_or_seq_cst(T bits) noexcept {
    return change(sim::Change::kOr, bits, sim::Order::kSeqCst);
  }
  T fetch_and_acq_rel(T bits) noexcept {
    return change(sim::Change::kAnd, bits, sim::Order::kAcqRel);
  }

  bool compare_exchange_acq_rel(T& expected, T desired) noexcept {
    return compare_exchange(expected, desired, sim::Order::kAcqRel);
  }
  bool compare_exchange_seq_cst(T& expected, T desired) noexcept {
    return compare_exchange(expected, desired, sim::Order::kSeqCst);
  }

  void increment_single_writer(T delta = 1) noexcept { store_relaxed(load_relaxed() + delta); }

 private:
  struct Holder {
    T value;
  };
  static_assert(std::is_trivially_copyable_v<T> && sizeof(Holder) <= sizeof(uint64_t),
                "an atomic fits in a machine word");
  static constexpr uint32_t kBytes = sizeof(Holder);

  static uint64_t to_bits(T value) noexcept {
    uint64_t bits = 0;
    std::memcpy(&bits, &value, kBytes);
    return bits;
  }
  static T from_bits(uint64_t bits) noexcept {
    T value;
    std::memcpy(&value, &bits, kBytes);
    return value;
  }

  constexpr void begin() noexcept {
    if (!__builtin_is_constant_evaluated() && sim::running) sim::begin_lifetime(&value_);
  }
  // Inlined, so that the address a call returns to names the line of the core in a trace.
  [[gnu::always_inline]] T load(sim::Order order) const noexcept {
    return from_bits(sim::load(&value_, kBytes, order));
  }
  [[gnu::always_inline]] void store(T value, sim::Order order) noexcept {
    sim::store(&value_, kBytes, to_bits(value), order);
  }
  [[gnu::always_inline]] T change(sim::Change kind, T operand, sim::Order order) noexcept {
    return from_bits(sim::read_modify_write(&value_, kBytes, kind, to_bits(operand), order));
  }
  [[gnu::always_inline]] T exchange(T value, sim::Order order) noexcept {
    return change(sim::Change::kExchange, value, order);
  }
  [[gnu::always_inline]] bool compare_exchange(T& expected, T desired, sim::Order order) noexcept {
    uint64_t found = to_bits(expected);
    const bool done = sim::compare_exchange(&value_, kBytes, &found, to_bits(desired), order);
    expected = from_bits(found);
    return done;
  }

  T value_;
};

inline void fence_acquire() noexcept { sim::fence(sim::Order::kAcquire); }
inline void fence_release() noexcept { sim::fence(sim::Order::kRelease); }
inline void fence_seq_cst() noexcept { sim::fence(sim::Order::kSeqCst); }

extern bool light_fence_is_full;

// Orders nothing by itself: fence_heavy makes every simulated thread execute a full fence.
inline void fence_light() noexcept {
  if (light_fence_is_full) {
    fence_seq_cst();
  } else {
    sim::fence(sim::Order::kRelaxed);
  }
}
void fence_heavy() noexcept;

inline void spin_hint() noexcept { sim::turn_of_spin_loop(); }

}  // namespace heddle

#include "os/sim/memory_model.h"

#include <cstdlib>

#include "core/check.h"

namespace heddle::sim {

namespace {

bool acquires(Order order) noexcept {
  return order == Order::kAcquire || order == Order::kAcqRel || order == Order::kSeqCst;
}
bool releases(Order order) noexcept {
  return order == Order::kRelease || order == Order::kAcqRel || order == Order::kSeqCst;
}

uint64_t read_newest(const void* address, uint32_t bytes) noexcept {
  uint64_t value = 0;
  std::memcpy(&value, address, bytes);
  return value;
}

Store* store_at(const Location* location, uint32_t age) noexcept {
  return location->stores[(location->newest + Location::kHistory - age) % Location::kHistory];
}

template <typename T>
T* allocate() noexcept {
  void* memory = std::calloc(1, sizeof(T));
  HEDDLE_CHECK(memory != nullptr, "memory for the simulation");
  return static_cast<T*>(memory);
}

}  // namespace

void MemoryModel::reset(Choose choose) noexcept {
  for (uint32_t slot = 0; slot < kTableSlots; ++slot) {
    while (table_[slot] != nullptr) remove_slot(slot);
  }
  choose_ = choose;
  for (ThreadView& view : views_) view = ThreadView{};
  fences_ = VectorClock{};
  threads_ = numbers_ = last_choice_ = 0;
  serial_ = settled_serial_ = 0;
}

void MemoryModel::begin_thread(uint32_t thread, uint32_t parent) noexcept {
  ThreadView& view = views_[thread];
  view = ThreadView{};
  if (thread != parent) {
    ++views_[parent].now.at[parent];
    view.now = views_[parent].now;
  }
  view.now.at[thread] = 1;
  if (thread >= threads_) threads_ = thread + 1;
}

void MemoryModel::join_thread(uint32_t thread, uint32_t ended) noexcept {
  views_[thread].now.join(views_[ended].now);
}

// --- the table of locations ---

uint32_t MemoryModel::slot_of(const void* address) noexcept {
  const uint64_t key = reinterpret_cast<uintptr_t>(address) * 0x9E3779B97F4A7C15ULL;
  return static_cast<uint32_t>(key >> 40) % kTableSlots;
}

Location* MemoryModel::find(const void* address) noexcept {
  for (uint32_t slot = slot_of(address); table_[slot] != nullptr; slot = (slot + 1) % kTableSlots) {
    if (table_[slot]->address == address) return table_[slot];
  }
  return nullptr;
}

Location* MemoryModel::find_or_add(const void* address, uint32_t bytes, uint32_t thread) noexcept {
  Location* location = find(address);
  if (location != nullptr && location->bytes != bytes) {
    forget(address);  // the memory has become something else
    location = nullptr;
  }
  if (location == nullptr) {
    ++used_slots_;
    HEDDLE_CHECK(used_slots_ < kTableSlots / 2, "the simulation has room for every atomic");
    location = free_locations_;
    if (location != nullptr) {
      free_locations_ = location->next_free;
    } else {
      location = allocate<Location>();
    }
    location->address = address;
    location->bytes = bytes;
    location->number = ++numbers_;
    location->newest = 0;
    location->count = 1;
    location->is_over = false;
    location->only_user = thread;
    if (location->stores[0] == nullptr) location->stores[0] = allocate<Store>();
    Store* first = location->stores[0];
    std::memset(first, 0, sizeof *first);
    first->value = read_newest(address, bytes);
    uint32_t slot = slot_of(address);
    while (table_[slot] != nullptr) slot = (slot + 1) % kTableSlots;
    table_[slot] = location;
  }
  if (location->only_user != thread) location->only_user = Location::kShared;
  return location;
}

bool MemoryModel::is_private(const void* address, uint32_t thread) noexcept {
  const Location* location = find(address);
  return location == nullptr || location->only_user == thread;
}

void MemoryModel::remove_slot(uint32_t slot) noexcept {
  Location* location = table_[slot];
  for (uint32_t age = 0; age < location->count; ++age) {
    drop_clock(store_at(location, age)->carries);
  }
  location->next_free = free_locations_;
  free_locations_ = location;
  --used_slots_;
  // Linear probing without tombstones: what follows moves up if its own place is before the hole.
  uint32_t hole = slot;
  for (uint32_t at = (slot + 1) % kTableSlots; table_[at] != nullptr; at = (at + 1) % kTableSlots) {
    const uint32_t home = slot_of(table_[at]->address);
    const uint32_t from_home = (at + kTableSlots - home) % kTableSlots;
    const uint32_t from_hole = (at + kTableSlots - hole) % kTableSlots;
    if (from_home < from_hole) continue;
    table_[hole] = table_[at];
    hole = at;
  }
  table_[hole] = nullptr;
}

void MemoryModel::forget(const void* address) noexcept {
  for (uint32_t slot = slot_of(address); table_[slot] != nullptr; slot = (slot + 1) % kTableSlots) {
    if (table_[slot]->address != address) continue;
    remove_slot(slot);
    return;
  }
}

void MemoryModel::forget_range(const void* address, size_t bytes) noexcept {
  const auto first = reinterpret_cast<uintptr_t>(address);
  for (uint32_t slot = 0; slot < kTableSlots; ++slot) {
    while (table_[slot] != nullptr &&
           reinterpret_cast<uintptr_t>(table_[slot]->address) - first < bytes) {
      remove_slot(slot);
    }
  }
}

// --- clocks ---

SharedClock* MemoryModel::new_clock() noexcept {
  SharedClock* clock = free_clocks_;
  if (clock != nullptr) {
    free_clocks_ = clock->next_free;
  } else {
    clock = allocate<SharedClock>();
  }
  clock->holders = 1;
  return clock;
}

void MemoryModel::drop_clock(SharedClock* clock) noexcept {
  if (clock == nullptr || --clock->holders != 0) return;
  clock->next_free = free_clocks_;
  free_clocks_ = clock;
}

SharedClock* MemoryModel::clock_to_carry(uint32_t thread, Order order,
                                         SharedClock* continued) noexcept {
  const ThreadView& view = views_[thread];
  const VectorClock* own = nullptr;
  if (releases(order)) {
    own = &view.now;
  } else if (view.has_released) {
    own = &view.released;
  }
  if (own == nullptr) {
    if (continued != nullptr) ++continued->holders;
    return continued;
  }
  SharedClock* clock = new_clock();
  clock->clock = *own;
  if (continued != nullptr) clock->clock.join(continued->clock);
  return clock;
}

// --- operations ---

bool MemoryModel::is_known(const Store& store, const VectorClock& clock) const noexcept {
  for (uint32_t i = 0; i < threads_; ++i) {
    if (store.first_seen[i] != 0 && store.first_seen[i] <= clock.at[i]) return true;
  }
  return false;
}

// How many of the latest stores this thread may read.
uint32_t MemoryModel::readable(const Location* location, uint32_t thread,
                               Order order) const noexcept {
  const ThreadView& view = views_[thread];
  uint32_t age = 0;
  for (; age + 1 < location->count; ++age) {
    const Store& store = *store_at(location, age);
    if (store.first_seen[thread] != 0 || store.serial <= settled_serial_) break;
    if (is_known(store, view.now)) break;
    if (store.is_seq_cst && store.serial <= view.fence_serial) break;
    if (order == Order::kSeqCst && (store.is_seq_cst || is_known(store, fences_))) break;
  }
  return age + 1;
}

uint64_t MemoryModel::read(Location* location, uint32_t age, uint32_t thread,
                           Order order) noexcept {
  ThreadView& view = views_[thread];
  Store* store = store_at(location, age);
  if (store->first_seen[thread] == 0) store->first_seen[thread] = view.now.at[thread];
  if (store->carries != nullptr) {
    view.pending.join(store->carries->clock);
    if (acquires(order)) view.now.join(store->carries->clock);
  }
  last_choice_ = age;
  return store->value;
}

Store* MemoryModel::append(Location* location, uint32_t thread, uint64_t value,
                           SharedClock* carries, Order order) noexcept {
  const uint32_t place = (location->newest + 1) % Location::kHistory;
  if (location->stores[place] == nullptr) location->stores[place] = allocate<Store>();
  Store* store = location->stores[place];
  if (location->count == Location::kHistory) {
    drop_clock(store->carries);
  } else {
    ++location->count;
  }
  location->newest = place;
  std::memset(store, 0, sizeof *store);
  store->value = value;
  store->serial = ++serial_;
  store->carries = carries;
  store->is_seq_cst = order == Order::kSeqCst;
  store->first_seen[thread] = views_[thread].now.at[thread];
  last_choice_ = 0;
  return store;
}

uint64_t MemoryModel::load(Location* location, uint32_t thread, Order order) noexcept {
  ++views_[thread].now.at[thread];
  const uint32_t count = readable(location, thread, order);
  return read(location, count == 1 ? 0 : choose_(count), thread, order);
}

void MemoryModel::store(Location* location, uint32_t thread, uint64_t value, Order order) noexcept {
  ++views_[thread].now.at[thread];
  append(location, thread, value, clock_to_carry(thread, order, nullptr), order);
}

uint64_t MemoryModel::read_modify_write(Location* location, uint32_t thread, uint64_t after,
                                        Order order) noexcept {
  ++views_[thread].now.at[thread];
  const uint64_t before = read(location, 0, thread, order);
  SharedClock* continued = store_at(location, 0)->carries;
  append(location, thread, after, clock_to_carry(thread, order, continued), order);
  return before;
}

bool MemoryModel::compare_exchange(Location* location, uint32_t thread, uint64_t* expected,
                                   uint64_t desired, Order order) noexcept {
  ++views_[thread].now.at[thread];
  // A failure is only a load, so it may be due to an older value.
  const uint32_t count = readable(location, thread, Order::kAcquire);
  const uint32_t age = count == 1 ? 0 : choose_(count);
  if (age != 0 && store_at(location, age)->value != *expected) {
    *expected = read(location, age, thread, Order::kAcquire);
    return false;
  }
  if (store_at(location, 0)->value != *expected) {
    *expected = read(location, 0, thread, Order::kAcquire);
    return false;
  }
  read(location, 0, thread, order);
  SharedClock* continued = store_at(location, 0)->carries;
  append(location, thread, desired, clock_to_carry(thread, order, continued), order);
  return true;
}

void MemoryModel::fence(uint32_t thread, Order order) noexcept {
  ThreadView& view = views_[thread];
  ++view.now.at[thread];
  if (acquires(order)) view.now.join(view.pending);
  if (order == Order::kSeqCst) {
    view.now.join(fences_);
    fences_ = view.now;
    view.fence_serial = ++serial_;
  }
  if (releases(order)) {
    view.released = view.now;
    view.has_released = true;
  }
}

void MemoryModel::fence_everybody(uint32_t thread) noexcept {
  fence(thread, Order::kSeqCst);
  for (uint32_t i = 0; i < threads_; ++i) {
    if (i != thread) fence(i, Order::kSeqCst);
  }
  fence(thread, Order::kSeqCst);
}

}  // namespace heddle::sim

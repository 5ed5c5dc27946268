#include "observe/event_ring.h"

#include <cstring>
#include <new>

namespace heddle {

EventRing::~EventRing() { delete[] slots_.load_relaxed(); }

void EventRing::enable(bool on) noexcept {
  if (on && slots_.load_acquire() == nullptr) {
    auto* fresh = new (std::nothrow) Slot[kCapacity];
    if (fresh == nullptr) return;
    Slot* none = nullptr;
    if (!slots_.compare_exchange_acq_rel(none, fresh)) delete[] fresh;
  }
  enabled_.store_release(on);
}

void EventRing::append(const Event& event) noexcept {
  Slot* slots = slots_.load_acquire();
  if (slots == nullptr) return;
  const uint64_t position = written_.load_relaxed();
  uint64_t words[3];
  std::memcpy(words, &event, sizeof event);
  begun_.store_relaxed(position + 1);
  fence_release();  // a reader that sees any new word also sees begun_ (its acquire fence)
  Slot& slot = slots[position % kCapacity];
  for (int i = 0; i < 3; ++i) slot.words[i].store_relaxed(words[i]);
  written_.store_release(position + 1);
}

uint32_t EventRing::read(uint64_t* cursor, Event* out, uint32_t capacity,
                         uint64_t* lost) const noexcept {
  Slot* slots = slots_.load_acquire();
  const uint64_t end = written_.load_acquire();
  *lost = 0;
  if (slots == nullptr || *cursor >= end) return 0;
  if (end - *cursor > kCapacity) {
    *lost = end - *cursor - kCapacity;
    *cursor += *lost;
  }
  uint32_t count = 0;
  while (count < capacity && *cursor + count < end) {
    const Slot& slot = slots[(*cursor + count) % kCapacity];
    uint64_t words[3];
    for (int i = 0; i < 3; ++i) words[i] = slot.words[i].load_relaxed();
    std::memcpy(&out[count], words, sizeof(Event));
    ++count;
  }
  fence_acquire();  // pairs with the release fence in append
  const uint64_t begun = begun_.load_relaxed();
  const uint64_t oldest_safe = begun > kCapacity ? begun - kCapacity : 0;
  if (*cursor < oldest_safe) {
    const uint64_t overwritten = oldest_safe - *cursor;
    const auto drop = static_cast<uint32_t>(overwritten < count ? overwritten : count);
    std::memmove(out, out + drop, (count - drop) * sizeof(Event));
    *lost += drop;
    *cursor += drop;
    count -= drop;
  }
  *cursor += count;
  return count;
}

}  // namespace heddle

// What a run queue holds: a fiber, or a run stack with compact fibers that are ready on it.
#pragma once

#include <cstdint>

namespace heddle {

enum class RunnableKind : uint8_t { kFiber, kRunStack };

struct Runnable {
  explicit Runnable(RunnableKind k) noexcept : kind(k) {}

  Runnable* next = nullptr;  // owned by whichever list holds it; meaningless in a ring
  RunnableKind kind;
};

// A first-in first-out list through Runnable::next. One owner at a time.
struct RunnableList {
  Runnable* head = nullptr;
  Runnable* tail = nullptr;
  uint32_t size = 0;

  bool empty() const noexcept { return head == nullptr; }
  void push_back(Runnable* item) noexcept {
    item->next = nullptr;
    if (tail != nullptr) {
      tail->next = item;
    } else {
      head = item;
    }
    tail = item;
    ++size;
  }
  Runnable* pop_front() noexcept {
    Runnable* item = head;
    if (item == nullptr) return nullptr;
    head = item->next;
    if (head == nullptr) tail = nullptr;
    --size;
    return item;
  }
  void append(RunnableList& other) noexcept {
    if (other.empty()) return;
    if (tail != nullptr) {
      tail->next = other.head;
    } else {
      head = other.head;
    }
    tail = other.tail;
    size += other.size;
    other = RunnableList{};
  }
};

}  // namespace heddle

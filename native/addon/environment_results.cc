// What an isolate writes for JavaScript: values, the results of tasks, the ends of waits.
#include <algorithm>
#include <cstring>

#include "addon/environment.h"
#include "addon/translate.h"
#include "arch/context.h"
#include "sync/channel.h"

namespace heddle {

namespace {

// The second number of an entry; lib/task.ts reads it.
enum Status : uint32_t {
  kUndefined = 0,
  kNumber = 1,
  kValue = 2,
  kCancelled = 3,
  kFailed = 4,        // its value is (code, type, message, errno, errno's name, syscall, path)
  kMessage = 5,       // its number is where in the scratch it begins
  kLargeMessage = 6,  // its value is the bytes
  kHandle = 7,        // its number is (handle, kind), see handle_word
  kBlock = 8,         // its value is a view of a block
};
// Of a task, besides: the value is what it has thrown.
constexpr uint32_t kIsThrown = 1u << 5;
constexpr uint32_t kReasonShift = 8;  // of a cancelled one: the kind of its reason
// Of a wait, the second number has more: how it ended, and the index of its case.
constexpr uint32_t kIsWait = 1u << 4;
constexpr uint32_t kWaitStatusShift = 5;
constexpr uint32_t kCaseShift = 8;

}  // namespace

uint32_t Environment::take() {
  napi_value values = nullptr;
  if (batch_ == nullptr) {
    batch_ = std::exchange(local_first_, nullptr);
    local_end_ = &local_first_;
  }
  if (batch_ == nullptr || napi_get_reference_value(env_, values_, &values) != napi_ok) return 0;
  uint32_t count = 0;
  size_t offset = 0;
  while (batch_ != nullptr && count < capacity_) {
    Mail* const mail = batch_;
    batch_ = mail->next;
    arch::prefetch(batch_);
    if (mail->kind == MailKind::kTask) {
      auto* record = static_cast<TaskRecord*>(mail);
      write_result(record, count++, &offset, values);
      retire(record);
    } else {
      write_wait(static_cast<PromiseWait*>(mail), count++, &offset, values);
    }
  }
  return count;
}

void Environment::write_wait(PromiseWait* wait, uint32_t at, size_t* offset, napi_value values) {
  Cell cell;
  const Selected end = wait->finish(&cell);
  const WaitNode* const winner = wait->wait->winner;
  uint32_t status = kUndefined;
  if (end.status == WaitStatus::kDone && winner->queue == ChannelCore::kReceivers &&
      winner->waitable->passes_values()) {
    Value value;
    value.move_from(cell);
    status = write_value(value, at, offset, values);
  } else if (end.status == WaitStatus::kDone) {
    // What a try has written into the cell: who came first or last.
    status = kNumber;
    numbers_[at] = cell.bytes[0];
  }
  entries_[2 * at] = wait->slot;
  entries_[2 * at + 1] = status | kIsWait |
                         (static_cast<uint32_t>(end.status) << kWaitStatusShift) |
                         (end.index << kCaseShift);
  forget_wait(wait);
  wait->free(&wait_stock_);
}

uint32_t Environment::write_value(const Value& value, uint32_t at, size_t* offset,
                                  napi_value values) {
  napi_handle_scope scope = nullptr;
  switch (value.kind()) {
    case ValueKind::kUndefined:
      return kUndefined;
    case ValueKind::kNumber:
      numbers_[at] = value.number();
      return kNumber;
    case ValueKind::kHandle: {
      HandleRef handle = value.handle();
      handle.target->retain();
      numbers_[at] = handle_word(add_handle(handle), handle.kind);
      return kHandle;
    }
    default:
      break;
  }
  napi_open_handle_scope(env_, &scope);
  napi_value result = nullptr;
  uint32_t status = kValue;
  if (value.kind() == ValueKind::kMessage) {
    status = write_message(value, at, offset, &result);
  } else {
    result = decode(env_, value);
    if (value.kind() == ValueKind::kBlock) status = kBlock;
    if (result == nullptr) status = kFailed;  // JavaScript had no memory for it
  }
  if (result != nullptr) napi_set_element(env_, values, at, result);
  napi_close_handle_scope(env_, scope);
  return status;
}

uint32_t Environment::write_message(const Value& message, uint32_t at, size_t* offset,
                                    napi_value* large) {
  uint32_t count = 0;
  const HandleRef* handles = message.handles(&count);
  const ByteSpan bytes = message.bytes();
  const size_t length = (1 + count) * sizeof(uint32_t) + bytes.length;
  unsigned char* to = scratch_ + *offset;
  uint32_t status = kMessage;
  if (length <= scratch_length_ - *offset) {
    numbers_[at] = static_cast<double>(*offset);
    *offset = std::min(scratch_length_, (*offset + length + 7) & ~size_t{7});
  } else {
    napi_value buffer = nullptr;
    void* memory = nullptr;
    if (napi_create_arraybuffer(env_, length, &memory, &buffer) != napi_ok) return kFailed;
    napi_create_typedarray(env_, napi_uint8_array, length, buffer, 0, large);
    to = static_cast<unsigned char*>(memory);
    status = kLargeMessage;
  }
  auto* words = reinterpret_cast<uint32_t*>(to);
  words[0] = count;
  for (uint32_t i = 0; i < count; ++i) {
    handles[i].target->retain();
    words[1 + i] = handle_word(add_handle(handles[i]), handles[i].kind);
  }
  if (bytes.length != 0) std::memcpy(words + 1 + count, bytes.data, bytes.length);
  return status;
}

namespace {

const char* code_of(const TaskRecord& record) {
  if (record.outcome == TaskOutcome::kNoStack) return "ERR_HEDDLE_STACK_MEMORY";
  if (record.outcome == TaskOutcome::kNoMemory) return "ERR_HEDDLE_MEMORY";
  if (record.outcome == TaskOutcome::kLost) return "ERR_HEDDLE_ISOLATE_EXIT";
  return record.failure ? record.failure->code : "";
}

napi_value failure_to_js(napi_env env, const TaskRecord& record) {
  static const Failure kNone;
  const Failure& failure = record.failure ? *record.failure : kNone;
  napi_value parts = nullptr, error = nullptr;
  napi_create_array_with_length(env, 7, &parts);
  napi_set_element(env, parts, 0, string_to_js(env, code_of(record)));
  napi_set_element(env, parts, 1, string_to_js(env, failure.type));
  std::string message = failure.message;
  if (failure.error != 0) message = uv_strerror(-failure.error);
  napi_set_element(env, parts, 2, string_to_js(env, message));
  napi_create_int32(env, -failure.error, &error);  // negative, as in Node's own errors
  napi_set_element(env, parts, 3, error);
  const char* name = failure.error != 0 ? uv_err_name(-failure.error) : "";
  napi_set_element(env, parts, 4, string_to_js(env, name));
  napi_set_element(env, parts, 5, string_to_js(env, failure.syscall));
  napi_set_element(env, parts, 6, string_to_js(env, failure.path));
  return parts;
}

}  // namespace

void Environment::write_result(TaskRecord* record, uint32_t at, size_t* offset, napi_value values) {
  uint32_t status = kFailed;
  if (record->outcome == TaskOutcome::kCancelled) {
    // With what it has thrown then, if it is a task of JavaScript.
    status = kCancelled | (write_value(record->result, at, offset, values) << kReasonShift);
  } else if (record->outcome == TaskOutcome::kValue || record->outcome == TaskOutcome::kThrown) {
    status = write_value(record->result, at, offset, values);
    if (status != kFailed && record->outcome == TaskOutcome::kThrown) status |= kIsThrown;
    if (status == kFailed) {
      napi_value ignored = nullptr;
      napi_get_and_clear_last_exception(env_, &ignored);
      record->outcome = TaskOutcome::kNoMemory;
    }
  }
  if (status == kFailed) {
    napi_handle_scope scope = nullptr;
    napi_open_handle_scope(env_, &scope);
    napi_set_element(env_, values, at, failure_to_js(env_, *record));
    napi_close_handle_scope(env_, scope);
  }
  entries_[2 * at] = record->slot;
  entries_[2 * at + 1] = status;
}

}  // namespace heddle

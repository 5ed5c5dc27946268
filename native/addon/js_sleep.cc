// A promise that sleeps is a timer and a record; no fiber waits for it.
#include "addon/addon.h"
#include "addon/environment.h"
#include "addon/translate.h"

namespace heddle {

// sleep(slot, ms): answers undefined, or the code of an error after which nothing was started. A
// sleep that never ends does not hold the event loop open.
napi_value js_sleep(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  const uint64_t deadline_ns = deadline_after(call.number(1));
  TaskRecord* record = call.environment->take_record(call.index(0));
  record->kernel = nullptr;
  record->holds_loop = deadline_ns != os::kNever;
  call.environment->note_started(record);
  const char* code = start_as_timer(record, deadline_ns);
  if (code == nullptr) return nullptr;
  call.environment->take_back(record);
  return string_to_js(env, code);
}

}  // namespace heddle

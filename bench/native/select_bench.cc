// Selects over 2 or 8 channels, each of which has a sender of its own.
#include <algorithm>
#include <stdexcept>

#include "bench.h"
#include "crew.h"
#include "heddle/heddle.h"

namespace heddle::bench {

namespace {

using Channels = std::vector<Channel<uint64_t>>;

// Not one item is lost, so what was received says nothing that n does not.
void select_often(Channels channels, uint64_t n) {
  uint64_t item[8] = {};
  for (uint64_t i = 0; i < n; ++i) {
    if (channels.size() == 2) {
      select(recv(channels[0], &item[0]), recv(channels[1], &item[1]));
    } else {
      select(recv(channels[0], &item[0]), recv(channels[1], &item[1]), recv(channels[2], &item[2]),
             recv(channels[3], &item[3]), recv(channels[4], &item[4]), recv(channels[5], &item[5]),
             recv(channels[6], &item[6]), recv(channels[7], &item[7]));
    }
  }
}

}  // namespace

// n selects by `selectors` units together, each over all of the channels.
Result select_among(Scheduler& scheduler, const Params& params) {
  const auto cases = static_cast<uint32_t>(number(params, "cases", 2));
  const auto selectors = static_cast<uint32_t>(number(params, "selectors", 1));
  const auto capacity = static_cast<uint32_t>(number(params, "capacity", 0));
  const auto each = std::max<uint64_t>(static_cast<uint64_t>(number(params, "n")) / selectors, 1);
  if (cases != 2 && cases != 8) throw std::invalid_argument("expected 2 or 8 cases");
  const UnitKind kind = unit_kind(params);
  double ns = 0;
  run_with(scheduler, params, [&] {
    Channels channels;
    for (uint32_t i = 0; i < cases; ++i) channels.emplace_back(capacity);
    Crew senders(scheduler, kind);
    Crew receivers(scheduler, kind);
    for (const Channel<uint64_t>& channel : channels) {
      senders.add([items = channel]() mutable {
        for (uint64_t item = 0; items.send(item) == WaitStatus::kDone;) ++item;
      });
    }
    for (uint32_t i = 0; i < selectors; ++i) {
      receivers.add([&channels, each] { select_often(channels, each); });
    }
    const uint64_t began = os::now_ns();
    senders.begin();
    receivers.begin();
    receivers.join();
    ns = static_cast<double>(os::now_ns() - began) / static_cast<double>(each * selectors);
    for (Channel<uint64_t>& each_channel : channels) each_channel.close();
    senders.join();
  });
  return Result{{"nsPerSelect", ns}};
}

}  // namespace heddle::bench

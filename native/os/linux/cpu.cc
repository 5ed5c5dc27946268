// How many CPUs this process may use: the affinity mask, lowered by a cgroup CPU quota (v2
// `cpu.max`, v1 `cpu.cfs_quota_us`), looked up along the process's own path in the hierarchy.
#include <cstdio>
#include <cstring>
#include <string>

#include <sched.h>
#include <unistd.h>

#include "os/os.h"

namespace heddle::os {

namespace {

uint32_t affinity_cpus() {
  // The kernel's mask may be wider than cpu_set_t: grow until it fits.
  for (size_t cpus = 1024; cpus <= 1024 * 1024; cpus *= 2) {
    cpu_set_t* set = CPU_ALLOC(cpus);
    if (set == nullptr) break;
    const size_t bytes = CPU_ALLOC_SIZE(cpus);
    const bool read = sched_getaffinity(0, bytes, set) == 0;
    const int count = read ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (count > 0) return static_cast<uint32_t>(count);
  }
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? static_cast<uint32_t>(online) : 1;
}

std::string read_file(const std::string& path) {
  std::string text;
  if (FILE* file = std::fopen(path.c_str(), "re")) {
    char buffer[4096];
    for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, file)) > 0;) text.append(buffer, n);
    std::fclose(file);
  }
  return text;
}

// The process's path in the v2 hierarchy ("0::/path") or in that of a v1 controller.
std::string cgroup_path(const char* controller) {
  const std::string groups = read_file("/proc/self/cgroup");
  for (size_t at = 0; at < groups.size();) {
    const size_t end = groups.find('\n', at);
    const std::string line = groups.substr(at, end - at);
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (second != std::string::npos) {
      const std::string names = "," + line.substr(first + 1, second - first - 1) + ",";
      const bool matches =
          controller[0] == '\0'
              ? names == ",,"
              : names.find("," + std::string(controller) + ",") != std::string::npos;
      if (matches) return line.substr(second + 1);
    }
    if (end == std::string::npos) break;
    at = end + 1;
  }
  return "";
}

// The smallest quota/period along the path from the group up to the root; 0 if none limits.
template <typename Read>
double smallest_quota(std::string path, Read read) {
  double smallest = 0;
  for (;;) {
    const double quota = read(path == "/" ? "" : path);
    if (quota > 0 && (smallest == 0 || quota < smallest)) smallest = quota;
    const size_t slash = path.rfind('/');
    if (path.empty() || slash == std::string::npos) return smallest;
    path.resize(slash);
  }
}

double quota_v2(const std::string& path) {
  long long quota = 0, period = 0;
  for (const char* root : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
    const std::string text = read_file(root + path + "/cpu.max");
    if (std::sscanf(text.c_str(), "%lld %lld", &quota, &period) == 2 && period > 0) {
      return static_cast<double>(quota) / static_cast<double>(period);
    }
  }
  return 0;
}

double quota_v1(const std::string& path) {
  for (const char* root : {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"}) {
    long long quota = 0, period = 0;
    const std::string base = root + path;
    if (std::sscanf(read_file(base + "/cpu.cfs_quota_us").c_str(), "%lld", &quota) == 1 &&
        std::sscanf(read_file(base + "/cpu.cfs_period_us").c_str(), "%lld", &period) == 1 &&
        quota > 0 && period > 0) {
      return static_cast<double>(quota) / static_cast<double>(period);
    }
  }
  return 0;
}

}  // namespace

uint32_t usable_cpus() noexcept {
  uint32_t cpus = affinity_cpus();
  for (const double quota :
       {smallest_quota(cgroup_path(""), quota_v2), smallest_quota(cgroup_path("cpu"), quota_v1)}) {
    // A quota of 1.5 CPUs keeps two processors busy part of the time; below one, one remains.
    const auto rounded = static_cast<uint32_t>(quota + 0.999);
    if (quota > 0 && rounded < cpus) cpus = rounded > 0 ? rounded : 1;
  }
  return cpus;
}

}  // namespace heddle::os

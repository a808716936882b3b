// WriteOptions: what a write may say beyond key and value.
#ifndef RKVS_WRITE_OPTIONS_H_
#define RKVS_WRITE_OPTIONS_H_

#include <chrono>
#include <cstdint>
#include <optional>

namespace rkvs {

// When the entry expires. An expired entry is invisible to everything at once and counts for no
// limit; its memory is reclaimed soon after. At most one of the three may be given, else the write
// is InvalidArgument. With none of them, set, put, update and add leave an entry that never
// expires, whatever it had before; increment, transform and compare_and_set keep the expiry that
// there is.
//
// Deadlines are kept in milliseconds of a clock that nobody sets and that goes on while the machine
// sleeps: changing the time of day moves none of them. Snapshots hold them as times of day.
struct WriteOptions {
  // From now on; at least 1 ms, else InvalidArgument.
  std::optional<std::chrono::milliseconds> expire_after{};
  // At this time of day, as of now. In the past: at once.
  std::optional<std::chrono::system_clock::time_point> expire_at{};
  // The expiry that the key has now, if it has one.
  bool keep_ttl = false;
};

// For increment and decrement of a key that is absent.
struct CounterOptions {
  // What it counts from: the first increment by 1 gives initial + 1.
  int64_t initial = 0;
  // How long a counter that is made by this call lives; one that is there keeps its expiry. At
  // least 1 ms, else InvalidArgument.
  std::optional<std::chrono::milliseconds> expire_after{};
};

}  // namespace rkvs

#endif  // RKVS_WRITE_OPTIONS_H_

// What a namespace should do, done by a std::map: no hashing, no shards, no memory of its own.
#ifndef RKVS_FUZZ_MODEL_MAP_H_
#define RKVS_FUZZ_MODEL_MAP_H_

#include <rkvs/atomic_batch.h>
#include <rkvs/options.h>
#include <rkvs/status.h>
#include <rkvs/write_options.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time_source.h"

namespace rkvs::fuzz {

// Sums that cannot overflow.
__extension__ using Wide = __int128;

struct ModelEntry {
  std::string value;
  int64_t expires_at = 0;  // steady milliseconds, 0 = never
  uint64_t version = 0;    // 0: written, and not looked at since
};

// One write of a value.
struct ModelWrite {
  enum class When { kAlways, kPresent, kAbsent };
  const std::string& key;
  const std::string& value;
  When when = When::kAlways;
  std::optional<uint64_t> version{};
  WriteOptions options{};
  bool keeps_expiry = false;  // where the options say nothing
};

// What became of one operation of a batch.
struct ModelItem {
  StatusCode code = StatusCode::kOk;
  std::optional<std::string> value{};
};

// Expired entries must be taken out by expire() whenever time has passed: everything else takes all
// that is there for live.
class ModelMap {
 public:
  using Data = std::map<std::string, ModelEntry>;

  ModelMap(const NamespaceConfig& config, const internal::TimeSource& time)
      : config_(config), time_(&time) {}

  Data data;

  NamespaceConfig& config() { return config_; }
  const NamespaceConfig& config() const { return config_; }

  void expire() { expire(data); }
  void expire(Data& in) const {
    const int64_t now = time_->steady_ms();
    std::erase_if(in, [&](const auto& item) {
      return item.second.expires_at != 0 && item.second.expires_at <= now;
    });
  }
  // Nothing for an entry that stays.
  std::optional<int64_t> left(const ModelEntry& entry) const {
    if (entry.expires_at == 0) return std::nullopt;
    return std::max<int64_t>(entry.expires_at - time_->steady_ms(), 1);
  }

  StatusCode find(std::string_view key) const { return find(data, key); }
  static StatusCode find(const Data& in, std::string_view key) {
    return in.contains(std::string(key)) ? StatusCode::kOk : StatusCode::kNotFound;
  }
  bool is_key_too_large(std::string_view key) const { return key.size() > config_.max_key_size; }
  bool is_value_too_large(std::string_view value) const {
    return config_.max_value_size != 0 && value.size() > config_.max_value_size;
  }

  static bool are_valid(const WriteOptions& options) {
    const int given =
        (options.expire_after ? 1 : 0) + (options.expire_at ? 1 : 0) + (options.keep_ttl ? 1 : 0);
    return given <= 1 && (!options.expire_after || options.expire_after->count() >= 1);
  }

  StatusCode write(Data& in, const ModelWrite& w, std::optional<std::string>* old) const {
    if (!are_valid(w.options)) return StatusCode::kInvalidArgument;
    // A key that is there may be larger than the limit has become.
    if (w.when != ModelWrite::When::kPresent && is_key_too_large(w.key)) {
      return StatusCode::kKeyTooLarge;
    }
    if (is_value_too_large(w.value)) return StatusCode::kValueTooLarge;
    const auto it = in.find(w.key);
    if (it == in.end()) {
      if (w.when == ModelWrite::When::kPresent) return StatusCode::kNotFound;
      if (is_full(in)) return StatusCode::kTooManyKeys;
      in[w.key] = {w.value, expiry(w.options, w.keeps_expiry, 0)};
      return StatusCode::kOk;
    }
    if (w.when == ModelWrite::When::kAbsent) return StatusCode::kExists;
    ModelEntry& entry = it->second;
    if (w.version && !has_version(entry, *w.version)) return StatusCode::kVersionMismatch;
    *old = std::exchange(entry.value, w.value);
    entry.expires_at = expiry(w.options, w.keeps_expiry, entry.expires_at);
    entry.version = 0;
    return StatusCode::kOk;
  }

  static StatusCode remove(Data& in, const std::string& key, std::optional<uint64_t> version,
                           std::optional<std::string>* old) {
    const auto it = in.find(key);
    if (it == in.end()) return StatusCode::kNotFound;
    if (version && !has_version(it->second, *version)) return StatusCode::kVersionMismatch;
    *old = std::move(it->second.value);
    in.erase(it);
    return StatusCode::kOk;
  }

  // The sum as text goes to `now`.
  StatusCode add(Data& in, const std::string& key, int64_t delta, bool subtract,
                 const CounterOptions& options, std::optional<std::string>* now) const {
    const WriteOptions expires{.expire_after = options.expire_after};
    if (!are_valid(expires)) return StatusCode::kInvalidArgument;
    const auto it = in.find(key);
    std::optional<Wide> number = options.initial;
    if (it != in.end()) number = parse(it->second.value);
    if (!number) return StatusCode::kNotANumber;
    const Wide sum = subtract ? *number - delta : *number + delta;
    if (!fits(sum)) return StatusCode::kOverflow;
    std::string text = std::to_string(static_cast<int64_t>(sum));
    const StatusCode code = put(in, key, text, expires);
    if (code == StatusCode::kOk) *now = std::move(text);
    return code;
  }

  // What a transform writes, or an increment: sizes come last, and the expiry stays.
  StatusCode put(Data& in, const std::string& key, const std::string& value,
                 const WriteOptions& options) const {
    const auto it = in.find(key);
    if (it == in.end()) {
      std::optional<std::string> old;
      return write(in, {.key = key, .value = value, .options = options}, &old);
    }
    if (is_value_too_large(value)) return StatusCode::kValueTooLarge;
    it->second.value = value;
    it->second.version = 0;
    return StatusCode::kOk;
  }

  // One operation of an AtomicBatch.
  ModelItem play(Data& in, const AtomicBatch::Operation& o) const {
    using Op = AtomicBatch::Op;
    using When = ModelWrite::When;
    const std::string key(o.key);
    const std::string value(o.value);
    ModelItem item;
    const auto wrote = [&](When when, std::optional<uint64_t> version, bool keeps, bool tells) {
      std::optional<std::string> old;
      item.code = write(in,
                        {.key = key,
                         .value = value,
                         .when = when,
                         .version = version,
                         .options = o.options,
                         .keeps_expiry = keeps},
                        &old);
      if (tells) item.value = old;
    };
    std::optional<std::string> gone;
    switch (o.op) {
      case Op::kSet: wrote(When::kAlways, {}, false, true); break;
      case Op::kAdd: wrote(When::kAbsent, {}, false, false); break;
      case Op::kUpdate: wrote(When::kPresent, {}, false, true); break;
      case Op::kCompareAndSet: wrote(When::kPresent, o.version, true, false); break;
      case Op::kDelete: item.code = remove(in, key, {}, &gone); break;
      case Op::kConsume: item.code = remove(in, key, {}, &item.value); break;
      case Op::kCompareAndDelete: item.code = remove(in, key, o.version, &gone); break;
      case Op::kIncrement:
        item.code =
            add(in, key, o.delta, o.subtract,
                {.initial = o.initial, .expire_after = o.options.expire_after}, &item.value);
        break;
      case Op::kCheckExists: item.code = find(in, key); break;
      case Op::kCheckAbsent:
        item.code = in.contains(key) ? StatusCode::kExists : StatusCode::kOk;
        break;
      case Op::kCheckVersion:
        item.code = find(in, key);
        if (item.code == StatusCode::kOk && !has_version(in.at(key), o.version)) {
          item.code = StatusCode::kVersionMismatch;
        }
        break;
    }
    return item;
  }

  int64_t expiry(const WriteOptions& options, bool keeps, int64_t before) const {
    constexpr int64_t kLatest = std::numeric_limits<int64_t>::max() - 1;
    if (!options.expire_after && !options.expire_at) {
      return keeps || options.keep_ttl ? before : 0;
    }
    Wide at = time_->steady_ms();
    if (options.expire_after) {
      at += options.expire_after->count();
    } else {
      using std::chrono::milliseconds;
      at += std::chrono::floor<milliseconds>(options.expire_at->time_since_epoch()).count();
      at -= time_->unix_ms();
    }
    return static_cast<int64_t>(at > kLatest ? kLatest : at < 1 ? Wide{1} : at);
  }

  // A number as counters take it, if the text is one.
  static std::optional<Wide> parse(std::string_view text) {
    const bool negative = text.starts_with('-');
    if (negative) text.remove_prefix(1);
    if (text.empty()) return std::nullopt;
    Wide number = 0;
    for (const char c : text) {
      if (c < '0' || c > '9') return std::nullopt;
      number = number * 10 + (c - '0');
      if (!fits(number) && !fits(-number)) return std::nullopt;
    }
    if (negative) number = -number;
    return fits(number) ? std::optional(number) : std::nullopt;
  }

 private:
  static bool fits(Wide number) {
    return number >= std::numeric_limits<int64_t>::min() &&
           number <= std::numeric_limits<int64_t>::max();
  }
  static bool has_version(const ModelEntry& entry, uint64_t version) {
    return entry.version != 0 && entry.version == version;
  }
  bool is_full(const Data& in) const {
    return config_.max_keys != 0 && in.size() >= config_.max_keys;
  }

  NamespaceConfig config_;
  const internal::TimeSource* time_;
};

}  // namespace rkvs::fuzz

#endif  // RKVS_FUZZ_MODEL_MAP_H_

#include "manager/metrics_text.h"

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace rkvs::internal {
namespace {

// What a label's value may hold: backslash, quote and line feed escaped.
std::string escaped(std::string_view value) {
  std::string text;
  for (const char c : value) {
    if (c == '\\' || c == '"') text += '\\';
    if (c == '\n') {
      text += "\\n";
    } else {
      text += c;
    }
  }
  return text;
}

std::string number(uint64_t value) { return std::to_string(value); }

// Nanoseconds as seconds, in the shortest form that reads back the same.
std::string seconds(uint64_t ns) {
  std::array<char, 32> text;
  const auto written =
      std::to_chars(text.data(), text.data() + text.size(), static_cast<double>(ns) * 1e-9);
  return {text.data(), written.ptr};
}

class Text {
 public:
  void family(std::string_view name, std::string_view type, std::string_view help) {
    append({"# HELP ", name, " ", help, "\n# TYPE ", name, " ", type, "\n"});
  }
  // `labels` as they stand between the braces.
  void sample(std::string_view name, std::string_view labels, std::string_view value) {
    append({name});
    if (!labels.empty()) append({"{", labels, "}"});
    append({" ", value, "\n"});
  }
  void histogram(const std::string& name, const std::string& labels, const Histogram& histogram) {
    uint64_t count = 0;
    const std::string comma = labels.empty() ? "" : ",";
    for (size_t i = 0; i < Histogram::kClasses; ++i) {
      count += histogram.count(i);
      const std::string bound =
          i + 1 == Histogram::kClasses ? "+Inf" : seconds(Histogram::bound(i));
      std::string with_bound = labels;
      with_bound.append(comma).append("le=\"").append(bound).append("\"");
      sample(name + "_bucket", with_bound, number(count));
    }
    sample(name + "_sum", labels, seconds(histogram.sum()));
    sample(name + "_count", labels, number(count));
  }

  std::string take() { return std::move(text_); }

 private:
  void append(std::initializer_list<std::string_view> parts) {
    for (const std::string_view part : parts) text_ += part;
  }

  std::string text_;
};

struct Family {
  std::string_view name;
  std::string_view type;
  std::string_view help;
  uint64_t NamespaceStats::*figure;
};

constexpr std::array kFamilies{
    Family{"rkvs_keys", "gauge", "Keys.", &NamespaceStats::key_count},
    Family{"rkvs_value_bytes", "gauge", "Bytes of all values.", &NamespaceStats::total_size},
    Family{"rkvs_memory_bytes", "gauge", "Bytes of keys, values, and their overhead.",
           &NamespaceStats::memory_bytes},
    Family{"rkvs_hits_total", "counter", "Reads that found their key.", &NamespaceStats::hits},
    Family{"rkvs_misses_total", "counter", "Reads that did not find their key.",
           &NamespaceStats::misses},
    Family{"rkvs_sets_total", "counter", "Entries written.", &NamespaceStats::sets},
    Family{"rkvs_deletes_total", "counter", "Entries removed.", &NamespaceStats::deletes},
    Family{"rkvs_expired_total", "counter", "Entries reclaimed after their expiry.",
           &NamespaceStats::expired},
    Family{"rkvs_rejected_total", "counter", "Writes that a limit refused.",
           &NamespaceStats::rejected},
    Family{"rkvs_timeouts_total", "counter", "Locks that could not be had in time.",
           &NamespaceStats::timeouts},
    Family{"rkvs_lock_waits_total", "counter", "Locks that were not free at once.",
           &NamespaceStats::lock_waits},
};

constexpr std::array<std::string_view, kOperationKinds> kOperationNames{"read", "write", "batch",
                                                                        "scan"};

}  // namespace

std::string metrics_text(const std::vector<NamespaceFigures>& namespaces,
                         const SaveMetrics& saves) {
  Text text;
  text.family("rkvs_namespaces", "gauge", "Namespaces.");
  text.sample("rkvs_namespaces", "", number(namespaces.size()));
  std::vector<std::string> labels;
  bool measured = false;
  for (const NamespaceFigures& figures : namespaces) {
    labels.push_back("namespace=\"" + escaped(figures.stats.name) + "\"");
    measured = measured || figures.metrics != nullptr;
  }
  for (const Family& family : kFamilies) {
    if (namespaces.empty()) break;
    text.family(family.name, family.type, family.help);
    for (size_t i = 0; i < namespaces.size(); ++i) {
      text.sample(family.name, labels[i], number(namespaces[i].stats.*family.figure));
    }
  }
  if (!namespaces.empty()) {
    text.family("rkvs_shards", "gauge", "Shards in use.");
    for (size_t i = 0; i < namespaces.size(); ++i) {
      text.sample("rkvs_shards", labels[i], number(namespaces[i].stats.shard_count));
    }
  }
  if (measured) {
    text.family("rkvs_operation_seconds", "histogram", "Durations of operations.");
    for (size_t i = 0; i < namespaces.size(); ++i) {
      if (namespaces[i].metrics == nullptr) continue;
      for (size_t kind = 0; kind < kOperationKinds; ++kind) {
        const std::string with_kind =
            labels[i] + ",operation=\"" + std::string(kOperationNames[kind]) + "\"";
        text.histogram("rkvs_operation_seconds", with_kind,
                       namespaces[i].metrics->operations[kind]);
      }
    }
    text.family("rkvs_lock_wait_seconds", "histogram", "Waits for locks that were not free.");
    for (size_t i = 0; i < namespaces.size(); ++i) {
      if (namespaces[i].metrics == nullptr) continue;
      text.histogram("rkvs_lock_wait_seconds", labels[i], namespaces[i].metrics->lock_wait);
    }
  }
  text.family("rkvs_save_phase_seconds", "histogram", "Durations of the parts of saves.");
  text.histogram("rkvs_save_phase_seconds", "phase=\"cut\"", saves.cut);
  text.histogram("rkvs_save_phase_seconds", "phase=\"write\"", saves.write);
  text.histogram("rkvs_save_phase_seconds", "phase=\"commit\"", saves.commit);
  return text.take();
}

}  // namespace rkvs::internal

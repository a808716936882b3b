// Prints the metrics of a store after a known number of operations, for test_metrics.py.
#include <rkvs/all.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>

int main(int argc, char** argv) {
  if (argc != 2) return EXIT_FAILURE;
  rkvs::StorageManager manager({.directory = argv[1], .detailed_metrics = true});
  if (!manager.initialize().ok()) return EXIT_FAILURE;
  for (const char* name : {"plain", "quote\" backslash\\ and \xC3\xA4"}) {
    auto created = manager.create_namespace(name, {.max_keys = 10});
    if (!created.ok()) return EXIT_FAILURE;
    rkvs::Namespace ns = *created;
    for (int i = 0; i < 12; ++i) static_cast<void>(ns.put(std::to_string(i), "12345"));
    for (int i = 0; i < 15; ++i) static_cast<void>(ns.get(std::to_string(i)));
    static_cast<void>(ns.delete_key("0"));
    static_cast<void>(ns.get_multiple({"1", "2", "none"}, rkvs::BatchMode::kBestEffort));
  }
  if (!manager.save_all("m.rkvs").ok()) return EXIT_FAILURE;
  const auto text = manager.metrics_text();
  if (!text.ok()) return EXIT_FAILURE;
  std::cout << *text;
  return EXIT_SUCCESS;
}

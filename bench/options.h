// Command lines of the form --name=value.
#ifndef RKVS_BENCH_OPTIONS_H_
#define RKVS_BENCH_OPTIONS_H_

#include <cstdio>
#include <cstdlib>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace rkvs::bench {

class Options {
 public:
  // `defaults` has every name that there is. With a wrong argument it prints them and exits.
  Options(int argc, char** argv, std::map<std::string, std::string> defaults)
      : values_(std::move(defaults)) {
    for (int i = 1; i < argc; ++i) {
      const std::string word = argv[i];
      const size_t equals = word.find('=');
      const auto found = word.rfind("--", 0) == 0 && equals != std::string::npos
                             ? values_.find(word.substr(2, equals - 2))
                             : values_.end();
      if (found == values_.end()) {
        std::fprintf(stderr, "usage: %s", argv[0]);
        for (const auto& [name, value] : values_) {
          std::fprintf(stderr, " [--%s=%s]", name.c_str(), value.c_str());
        }
        std::fprintf(stderr, "\n");
        std::exit(2);
      }
      found->second = word.substr(equals + 1);
    }
  }

  const std::string& text(const std::string& name) const { return values_.at(name); }
  size_t number(const std::string& name) const {
    return static_cast<size_t>(std::strtod(text(name).c_str(), nullptr));
  }
  std::vector<std::string> list(const std::string& name) const {
    std::vector<std::string> result;
    std::istringstream words(text(name));
    for (std::string one; std::getline(words, one, ',');) result.push_back(one);
    return result;
  }
  // 1e6 will do for 1000000.
  std::vector<size_t> numbers(const std::string& name) const {
    std::vector<size_t> result;
    for (const std::string& one : list(name)) {
      result.push_back(static_cast<size_t>(std::strtod(one.c_str(), nullptr)));
    }
    return result;
  }
  const std::map<std::string, std::string>& all() const { return values_; }

 private:
  std::map<std::string, std::string> values_;
};

}  // namespace rkvs::bench

#endif  // RKVS_BENCH_OPTIONS_H_

// Runs the rkvs tool as a process: arguments and input in, output and exit code out.
#ifndef RKVS_TESTS_CLI_TOOL_H_
#define RKVS_TESTS_CLI_TOOL_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <ostream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace rkvs::testing {

struct ToolResult {
  int exit_code = -1;  // -1 where a signal ended it
  int signal = 0;
  std::string out;
  std::string err;
};

inline void PrintTo(const ToolResult& result, std::ostream* out) {
  *out << "exit code " << result.exit_code << ", signal " << result.signal
       << "\nstdout: " << result.out.substr(0, 2000) << "\nstderr: " << result.err.substr(0, 2000);
}

// A running tool whose standard input, output and error are ours.
class Tool {
 public:
  // With `terminal` standard error is a pseudo-terminal, else a pipe.
  explicit Tool(const std::vector<std::string>& arguments, bool terminal = false) {
    std::array<int, 2> in = make_pipe();
    std::array<int, 2> out = make_pipe();
    std::array<int, 2> err = terminal ? make_terminal() : make_pipe();
    std::vector<char*> argv = {const_cast<char*>(RKVS_TOOL)};
    for (const std::string& argument : arguments)
      argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    // Writing to a tool that has ended is an error here, not the end of the test.
    signal(SIGPIPE, SIG_IGN);
    pid_ = fork();
    if (pid_ == 0) {
      signal(SIGPIPE, SIG_DFL);
      dup2(in[0], STDIN_FILENO);
      dup2(out[1], STDOUT_FILENO);
      dup2(err[1], STDERR_FILENO);
      execv(argv[0], argv.data());
      _exit(127);
    }
    close(in[0]);
    close(out[1]);
    close(err[1]);
    in_ = in[1];
    out_ = out[0];
    err_ = err[0];
  }
  ~Tool() {
    close_input();
    close_output();
    if (err_ >= 0) close(err_);
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }
  Tool(const Tool&) = delete;
  Tool& operator=(const Tool&) = delete;

  // Hands over input; false where the tool does not read any more.
  bool write(std::string_view text) {
    while (!text.empty()) {
      const ssize_t n = ::write(in_, text.data(), text.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return false;
      text.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  void close_input() {
    if (in_ >= 0) close(std::exchange(in_, -1));
  }
  void close_output() {
    if (out_ >= 0) close(std::exchange(out_, -1));
  }
  // What has been read of standard error so far.
  const std::string& err() const { return result_.err; }
  // Reads what there is of it, waiting at most so long.
  void poll_err(int milliseconds) {
    struct pollfd fd = {err_, POLLIN, 0};
    if (poll(&fd, 1, milliseconds) > 0) read_some(err_, result_.err);
  }
  void send_signal(int signal) { kill(pid_, signal); }

  // Reads both outputs to their ends and waits for the tool's own.
  ToolResult wait() {
    while (out_ >= 0 || err_ >= 0) {
      std::array<struct pollfd, 2> fds = {{{out_, POLLIN, 0}, {err_, POLLIN, 0}}};
      if (poll(fds.data(), fds.size(), -1) < 0) continue;
      if (fds[0].revents != 0) read_some(out_, result_.out);
      if (fds[1].revents != 0) read_some(err_, result_.err);
    }
    int status = 0;
    waitpid(std::exchange(pid_, -1), &status, 0);
    if (WIFEXITED(status)) result_.exit_code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) result_.signal = WTERMSIG(status);
    return result_;
  }

 private:
  static std::array<int, 2> make_pipe() {
    std::array<int, 2> fds;
    if (pipe2(fds.data(), O_CLOEXEC) != 0) std::abort();
    return fds;
  }
  static std::array<int, 2> make_terminal() {
    const int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) std::abort();
    const int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0) std::abort();
    return {master, slave};
  }
  // Closes the descriptor at its end.
  static void read_some(int& fd, std::string& to) {
    std::array<char, 65536> buffer;
    const ssize_t n = read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) return;
    if (n <= 0) {
      close(std::exchange(fd, -1));
    } else {
      to.append(buffer.data(), static_cast<size_t>(n));
    }
  }

  pid_t pid_ = -1;
  int in_ = -1;
  int out_ = -1;
  int err_ = -1;
  ToolResult result_;
};

// Runs the tool to its end.
inline ToolResult run_tool(const std::vector<std::string>& arguments, std::string_view input = {}) {
  Tool tool(arguments);
  std::thread writer([&] {
    tool.write(input);
    tool.close_input();
  });
  ToolResult result = tool.wait();
  writer.join();
  return result;
}

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

inline void write_file(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

// The names in the directory, hidden ones too.
inline std::vector<std::string> names_in(const std::filesystem::path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace rkvs::testing

#endif  // RKVS_TESTS_CLI_TOOL_H_

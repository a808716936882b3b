// A peer in another language: a child process that takes commands and answers them, one line each.
#ifndef RKVS_BENCH_STORES_PEER_PROCESS_H_
#define RKVS_BENCH_STORES_PEER_PROCESS_H_

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>

extern char** environ;

namespace rkvs::bench {

class PeerProcess {
 public:
  // nullptr where the program cannot be started.
  static std::unique_ptr<PeerProcess> start(const std::string& program, std::string argument) {
    int to[2];
    int from[2];
    if (::pipe2(to, O_CLOEXEC) != 0) return nullptr;
    if (::pipe2(from, O_CLOEXEC) != 0) {
      ::close(to[0]);
      ::close(to[1]);
      return nullptr;
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO);
    std::string name = program;
    char* const arguments[] = {name.data(), argument.data(), nullptr};
    pid_t child = 0;
    const int error = ::posix_spawn(&child, program.c_str(), &actions, nullptr, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    ::close(to[0]);
    ::close(from[1]);
    if (error != 0) {
      ::close(to[1]);
      ::close(from[0]);
      return nullptr;
    }
    // A peer that has died shows as a missing answer.
    ::signal(SIGPIPE, SIG_IGN);
    return std::unique_ptr<PeerProcess>(
        new PeerProcess(child, ::fdopen(to[1], "w"), ::fdopen(from[0], "r")));
  }

  // It ends when there are no more commands.
  ~PeerProcess() {
    std::fclose(commands_);
    std::fclose(answers_);
    ::waitpid(child_, nullptr, 0);
  }
  PeerProcess(const PeerProcess&) = delete;
  PeerProcess& operator=(const PeerProcess&) = delete;

  // The answer, or nothing when the peer has died.
  std::string ask(const std::string& command) {
    std::fprintf(commands_, "%s\n", command.c_str());
    std::fflush(commands_);
    std::string answer;
    for (int c = std::fgetc(answers_); c != EOF && c != '\n'; c = std::fgetc(answers_)) {
      answer.push_back(static_cast<char>(c));
    }
    return answer;
  }

 private:
  PeerProcess(pid_t child, std::FILE* commands, std::FILE* answers)
      : child_(child), commands_(commands), answers_(answers) {}

  const pid_t child_;
  std::FILE* const commands_;
  std::FILE* const answers_;
};

}  // namespace rkvs::bench

#endif  // RKVS_BENCH_STORES_PEER_PROCESS_H_

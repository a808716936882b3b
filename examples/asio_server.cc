// A small TCP service on rkvs: C++20 coroutines on Boost.Asio, one thread, one line for each
// request and each answer.
//
//   asio_server [PORT]       default: 0, a free one; prints "listening on 127.0.0.1:PORT"
//
//   set KEY VALUE    stored          VALUE goes to the end of the line
//   get KEY          value VALUE, or: none
//   consume KEY      value VALUE, or: none; and the key is gone
//   count            count NUMBER
//   quit             bye             ends the connection
//   shutdown         bye             ends the service
//
// Everything else is answered with "error ...". A line is 4,096 bytes at most before its line feed;
// a longer one ends the connection. Stops on SIGINT and SIGTERM too. Keys have no spaces, and
// neither keys nor values have line ends: a protocol for a demonstration, rkvs itself stores any
// bytes.
#include <rkvs/async.h>
#include <rkvs/manager.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <exception>
#include <iostream>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace {

namespace asio = boost::asio;
using asio::as_tuple;
using asio::deferred;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::size_t kLongestLine = 4096;

// The next word of `line`, which goes on behind it.
std::string_view next_word(std::string_view& line) {
  const std::size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

std::string error_line(std::string_view what) { return "error " + std::string(what) + "\n"; }

std::string value_line(const error_code& error, const std::optional<rkvs::Value>& value) {
  if (error) return error_line(error.message());
  return value.has_value() ? "value " + value->to_string() + "\n" : "none\n";
}

class Server {
 public:
  Server(asio::io_context& io, const rkvs::StorageManager& manager, uint16_t port)
      : io_(io),
        store_(manager, io.get_executor()),
        acceptor_(io, tcp::endpoint(asio::ip::address_v4::loopback(), port)),
        signals_(io, SIGINT, SIGTERM) {}

  uint16_t port() const { return acceptor_.local_endpoint().port(); }

  asio::awaitable<void> run() {
    rkvs::AsyncNamespace data = co_await store_.async_create_namespace("data");
    signals_.async_wait([this](error_code error, int) {
      if (!error) stop();
    });
    while (!is_stopping_) {
      auto [error, socket] = co_await acceptor_.async_accept(as_tuple(deferred));
      if (error) {
        // stop() closed the acceptor; or a connection is lost, or there is no descriptor for it.
        asio::steady_timer pause(io_, std::chrono::milliseconds(10));
        if (!is_stopping_) co_await pause.async_wait(deferred);
        continue;
      }
      const auto stopper = stoppers_.emplace(stoppers_.end());
      asio::co_spawn(
          io_, talk(std::move(socket), data),
          asio::bind_cancellation_slot(stopper->slot(), [this, stopper](const std::exception_ptr&) {
            // The slot is this handler's still.
            asio::post(io_, [this, stopper] { stoppers_.erase(stopper); });
          }));
    }
  }

 private:
  // Ends everything that is on; the loop then has nothing left to do.
  void stop() {
    is_stopping_ = true;
    acceptor_.close();
    signals_.cancel();
    for (auto& stopper : stoppers_) stopper.emit(asio::cancellation_type::terminal);
  }

  // One connection. Requests may come in any pieces, and several at a time: they are answered in
  // their order, those that have come together in one go.
  asio::awaitable<void> talk(tcp::socket socket, rkvs::AsyncNamespace data) {
    std::string input;
    std::string output;
    for (;;) {
      std::size_t end = input.find('\n');
      if (end == std::string::npos || end > kLongestLine) {
        const bool is_refused = input.size() > kLongestLine;
        if (is_refused) output += error_line("the line is too long");
        if (!output.empty()) {
          auto [error, size] =
              co_await asio::async_write(socket, asio::buffer(output), as_tuple(deferred));
          if (error) co_return;
          output.clear();
        }
        if (is_refused) {
          co_await drain(socket);
          co_return;
        }
        char bytes[16 * 1024];
        auto [error, size] =
            co_await socket.async_read_some(asio::buffer(bytes), as_tuple(deferred));
        if (error) co_return;  // the client is gone, or we stop
        input.append(bytes, size);
        continue;
      }
      std::string line = input.substr(0, end);
      input.erase(0, end + 1);
      if (!line.empty() && line.back() == '\r') line.pop_back();
      const bool goes_on = co_await answer(line, data, output);
      if (!goes_on) {
        co_await asio::async_write(socket, asio::buffer(output), as_tuple(deferred));
        if (line == "shutdown") stop();
        co_return;
      }
    }
  }

  // Appends the answer to `output`. False if it is the last one.
  asio::awaitable<bool> answer(std::string_view line, rkvs::AsyncNamespace data,
                               std::string& output) {
    const std::string_view verb = next_word(line);
    if (verb == "set") {
      std::string key(next_word(line));
      auto [error] = co_await data.async_put(std::move(key), std::string(line), as_tuple(deferred));
      output += error ? error_line(error.message()) : "stored\n";
    } else if (verb == "get") {
      auto [error, value] =
          co_await data.async_get(std::string(next_word(line)), as_tuple(deferred));
      output += value_line(error, value);
    } else if (verb == "consume") {
      auto [error, value] =
          co_await data.async_consume(std::string(next_word(line)), as_tuple(deferred));
      output += value_line(error, value);
    } else if (verb == "count") {
      auto [error, stats] = co_await data.async_metadata(as_tuple(deferred));
      output +=
          error ? error_line(error.message()) : "count " + std::to_string(stats.key_count) + "\n";
    } else if (verb == "quit" || verb == "shutdown") {
      output += "bye\n";
      co_return false;
    } else {
      output += error_line("what is that?");
    }
    co_return true;
  }

  // Reads what the client still sends, some of it: a connection that is closed with input unread is
  // reset, and the client might not see our last answer.
  static asio::awaitable<void> drain(tcp::socket& socket) {
    error_code ignored;
    socket.shutdown(tcp::socket::shutdown_send, ignored);
    char bytes[16 * 1024];
    for (std::size_t left = 64 * sizeof bytes; left >= sizeof bytes; left -= sizeof bytes) {
      auto [error, size] = co_await socket.async_read_some(asio::buffer(bytes), as_tuple(deferred));
      if (error) co_return;
    }
  }

  asio::io_context& io_;
  rkvs::AsyncStorageManager store_;
  tcp::acceptor acceptor_;
  asio::signal_set signals_;
  std::list<asio::cancellation_signal> stoppers_;  // of the connections
  bool is_stopping_ = false;
};

int serve(uint16_t port) {
  rkvs::StorageManager manager;
  if (const rkvs::Status status = manager.initialize(); !status.ok()) {
    std::cerr << status.to_string() << '\n';
    return 1;
  }
  asio::io_context io(1);
  Server server(io, manager, port);
  std::cout << "listening on 127.0.0.1:" << server.port() << std::endl;
  asio::co_spawn(io, server.run(), [](const std::exception_ptr& thrown) {
    if (thrown) std::rethrow_exception(thrown);
  });
  io.run();
  std::cout << "stopped" << std::endl;
  return 0;
}

}  // namespace

int main(int argc, char** argv) try {
  uint16_t port = 0;
  const std::string_view text = argc > 1 ? argv[1] : "0";
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (argc > 2 || error != std::errc() || end != text.data() + text.size()) {
    std::cerr << "usage: asio_server [PORT]\n";
    return 2;
  }
  return serve(port);
} catch (const std::exception& exception) {
  std::cerr << exception.what() << '\n';
  return 1;
}

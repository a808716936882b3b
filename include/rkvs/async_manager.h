// AsyncStorageManager: the operations of a StorageManager for Boost.Asio. See <rkvs/async.h>.
#ifndef RKVS_ASYNC_MANAGER_H_
#define RKVS_ASYNC_MANAGER_H_

#include <rkvs/async_call.h>
#include <rkvs/async_namespace.h>
#include <rkvs/autosave.h>
#include <rkvs/manager.h>
#include <rkvs/operation.h>
#include <rkvs/options.h>
#include <rkvs/stats.h>
#include <rkvs/status.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/system_executor.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace rkvs {

namespace internal {

inline AsyncResult<AsyncNamespace> to_async_namespace(
    Result<Namespace> result, const boost::asio::any_io_executor& executor) {
  if (!result.ok()) return {std::move(result).status(), {}};
  return {Status(), AsyncNamespace(*std::move(result), executor)};
}

}  // namespace internal

// A StorageManager whose operations are asynchronous: each `async_` function does what the function
// of StorageManager with the rest of its name does, on a worker thread, takes its arguments by
// value, and a completion token after them. Where errors, results, threads and deadlines are
// concerned see <rkvs/async.h>. `progress` is called on a worker thread.
//
// Shares the StorageManager that it was made from, and may outlive it: then, and after close(),
// operations are Closed. It does not close it. Cheap to copy; all functions may be called by any
// number of threads at the same time.
class AsyncStorageManager {
 public:
  using executor_type = boost::asio::any_io_executor;

  // `executor` is for handlers that have none of their own, and for those of the AsyncNamespaces
  // that this makes.
  explicit AsyncStorageManager(const StorageManager& manager,
                               executor_type executor = boost::asio::system_executor())
      : target_{internal::SharedManager(manager), std::move(executor)} {}

  executor_type get_executor() const noexcept { return target_.executor; }

  // See AsyncNamespace.
  AsyncStorageManager with_timeout(std::chrono::milliseconds timeout) const {
    AsyncStorageManager other(*this);
    other.target_.timeout = timeout;
    return other;
  }
  AsyncStorageManager with_status(Status& status) const {
    AsyncStorageManager other(*this);
    other.target_.status = &status;
    return other;
  }

  // These two never wait.
  bool is_initialized() const noexcept { return target_.handle.manager.is_initialized(); }
  bool has_persistence() const noexcept { return target_.handle.manager.has_persistence(); }

  // --- Life
  // ------------------------------------------------------------------------------------------

  template <internal::AsyncTokenFor<> Token = boost::asio::deferred_t>
  auto async_initialize(Token&& token = {}) {
    return in_background<Token>(token, [](internal::SharedManager& shared, const CancelToken&) {
      return internal::to_async(shared.manager.initialize());
    });
  }
  template <internal::AsyncTokenFor<> Token = boost::asio::deferred_t>
  auto async_initialize(std::string file, Token&& token = {}) {
    return async_initialize(std::move(file), ProgressHook(), std::forward<Token>(token));
  }
  template <internal::AsyncTokenFor<> Token = boost::asio::deferred_t>
  auto async_initialize(std::string file, ProgressHook progress, Token&& token = {}) {
    return in_background<Token>(
        token, [file = std::move(file), progress = std::move(progress)](
                   internal::SharedManager& shared, const CancelToken& cancel) {
          return internal::to_async(shared.manager.initialize(file, {progress, cancel}));
        });
  }
  template <internal::AsyncTokenFor<LoadReport> Token = boost::asio::deferred_t>
  auto async_load_report(Token&& token = {}) const {
    return in_background<Token>(token, [](internal::SharedManager& shared, const CancelToken&) {
      return internal::to_async(shared.manager.load_report());
    });
  }
  // Runs on a thread of Boost.Asio's system_context, since worker threads are among what it waits
  // for. Once begun it cannot be cancelled.
  template <internal::AsyncTokenFor<> Token = boost::asio::deferred_t>
  auto async_close(Token&& token = {}) {
    return internal::initiate_async<internal::AsyncRoute::kSystem, Token>(
        token, target_, [](internal::SharedManager& shared, const CancelToken&) {
          return internal::to_async(shared.manager.close());
        });
  }

  // --- Namespaces
  // ------------------------------------------------------------------------------------

  template <internal::AsyncTokenFor<AsyncNamespace> Token = boost::asio::deferred_t>
  auto async_create_namespace(std::string name, Token&& token = {}) {
    return async_create_namespace(std::move(name), NamespaceConfig(), std::forward<Token>(token));
  }
  template <internal::AsyncTokenFor<AsyncNamespace> Token = boost::asio::deferred_t>
  auto async_create_namespace(std::string name, NamespaceConfig config, Token&& token = {}) {
    return in_background<Token>(token, [name = std::move(name), config,
                                        executor = target_.executor](
                                           internal::SharedManager& shared, const CancelToken&) {
      return internal::to_async_namespace(shared.manager.create_namespace(name, config), executor);
    });
  }
  template <internal::AsyncTokenFor<AsyncNamespace> Token = boost::asio::deferred_t>
  auto async_get_namespace(std::string name, Token&& token = {}) const {
    return in_background<Token>(token, [name = std::move(name), executor = target_.executor](
                                           internal::SharedManager& shared, const CancelToken&) {
      return internal::to_async_namespace(shared.manager.get_namespace(name), executor);
    });
  }
  template <internal::AsyncTokenFor<> Token = boost::asio::deferred_t>
  auto async_delete_namespace(std::string name, Token&& token = {}) {
    return in_background<Token>(
        token, [name = std::move(name)](internal::SharedManager& shared, const CancelToken&) {
          return internal::to_async(shared.manager.delete_namespace(name));
        });
  }
  template <internal::AsyncTokenFor<AsyncNamespace> Token = boost::asio::deferred_t>
  auto async_clone_namespace(std::string name, std::string new_name, Token&& token = {}) {
    return async_clone_namespace(std::move(name), std::move(new_name), ProgressHook(),
                                 std::forward<Token>(token));
  }
  template <internal::AsyncTokenFor<AsyncNamespace> Token = boost::asio::deferred_t>
  auto async_clone_namespace(std::string name, std::string new_name, ProgressHook progress,
                             Token&& token = {}) {
    return in_background<Token>(
        token,
        [name = std::move(name), new_name = std::move(new_name), progress = std::move(progress),
         executor = target_.executor](internal::SharedManager& shared, const CancelToken& cancel) {
          return internal::to_async_namespace(
              shared.manager.clone_namespace(name, new_name, {progress, cancel}), executor);
        });
  }
  template <internal::AsyncTokenFor<std::vector<std::string>> Token = boost::asio::deferred_t>
  auto async_list_namespaces(Token&& token = {}) const {
    return in_background<Token>(token, [](internal::SharedManager& shared, const CancelToken&) {
      return internal::to_async(shared.manager.list_namespaces());
    });
  }
  template <internal::AsyncTokenFor<> Token = boost::asio::deferred_t>
  auto async_update_namespace_config(std::string name, NamespaceConfig config, Token&& token = {}) {
    return in_background<Token>(token, [name = std::move(name), config](
                                           internal::SharedManager& shared, const CancelToken&) {
      return internal::to_async(shared.manager.update_namespace_config(name, config));
    });
  }

  // --- Configuration and figures
  // ---------------------------------------------------------------------

  template <internal::AsyncTokenFor<StorageConfig> Token = boost::asio::deferred_t>
  auto async_get_config(Token&& token = {}) const {
    return in_background<Token>(token, [](internal::SharedManager& shared, const CancelToken&) {
      return internal::to_async(Result<StorageConfig>(shared.manager.get_config()));
    });
  }
  template <internal::AsyncTokenFor<> Token = boost::asio::deferred_t>
  auto async_update_config(StorageConfig config, Token&& token = {}) {
    return in_background<Token>(token,
                                [config](internal::SharedManager& shared, const CancelToken&) {
                                  return internal::to_async(shared.manager.update_config(config));
                                });
  }
  template <internal::AsyncTokenFor<NamespaceStats> Token = boost::asio::deferred_t>
  auto async_namespace_stats(std::string name, Token&& token = {}) const {
    return in_background<Token>(
        token, [name = std::move(name)](internal::SharedManager& shared, const CancelToken&) {
          return internal::to_async(shared.manager.namespace_stats(name));
        });
  }
  template <internal::AsyncTokenFor<std::vector<NamespaceStats>> Token = boost::asio::deferred_t>
  auto async_all_namespace_stats(Token&& token = {}) const {
    return in_background<Token>(token, [](internal::SharedManager& shared, const CancelToken&) {
      return internal::to_async(shared.manager.all_namespace_stats());
    });
  }
  template <internal::AsyncTokenFor<std::string> Token = boost::asio::deferred_t>
  auto async_metrics_text(Token&& token = {}) const {
    return in_background<Token>(token, [](internal::SharedManager& shared, const CancelToken&) {
      return internal::to_async(shared.manager.metrics_text());
    });
  }
  template <internal::AsyncTokenFor<std::size_t> Token = boost::asio::deferred_t>
  auto async_namespace_count(Token&& token = {}) const {
    return in_background<Token>(token, [](internal::SharedManager& shared, const CancelToken&) {
      return internal::to_async(shared.manager.namespace_count());
    });
  }
  template <internal::AsyncTokenFor<uint64_t> Token = boost::asio::deferred_t>
  auto async_total_key_count(Token&& token = {}) const {
    return in_background<Token>(token, [](internal::SharedManager& shared, const CancelToken&) {
      return internal::to_async(shared.manager.total_key_count());
    });
  }

  // --- Snapshots
  // -------------------------------------------------------------------------------------

  template <internal::AsyncTokenFor<> Token = boost::asio::deferred_t>
  auto async_save_all(std::string file, Token&& token = {}) {
    return async_save_all(std::move(file), ProgressHook(), std::forward<Token>(token));
  }
  template <internal::AsyncTokenFor<> Token = boost::asio::deferred_t>
  auto async_save_all(std::string file, ProgressHook progress, Token&& token = {}) {
    return in_background<Token>(
        token, [file = std::move(file), progress = std::move(progress)](
                   internal::SharedManager& shared, const CancelToken& cancel) {
          return internal::to_async(shared.manager.save_all(file, {progress, cancel}));
        });
  }
  template <internal::AsyncTokenFor<> Token = boost::asio::deferred_t>
  auto async_save_namespace(std::string name, std::string file, Token&& token = {}) {
    return async_save_namespace(std::move(name), std::move(file), ProgressHook(),
                                std::forward<Token>(token));
  }
  template <internal::AsyncTokenFor<> Token = boost::asio::deferred_t>
  auto async_save_namespace(std::string name, std::string file, ProgressHook progress,
                            Token&& token = {}) {
    return in_background<Token>(
        token, [name = std::move(name), file = std::move(file), progress = std::move(progress)](
                   internal::SharedManager& shared, const CancelToken& cancel) {
          return internal::to_async(shared.manager.save_namespace(name, file, {progress, cancel}));
        });
  }
  template <internal::AsyncTokenFor<std::string> Token = boost::asio::deferred_t>
  auto async_load_namespace(std::string file, Token&& token = {}) {
    return async_load_namespace(std::move(file), ProgressHook(), std::forward<Token>(token));
  }
  template <internal::AsyncTokenFor<std::string> Token = boost::asio::deferred_t>
  auto async_load_namespace(std::string file, ProgressHook progress, Token&& token = {}) {
    return in_background<Token>(
        token, [file = std::move(file), progress = std::move(progress)](
                   internal::SharedManager& shared, const CancelToken& cancel) {
          return internal::to_async(shared.manager.load_namespace(file, {progress, cancel}));
        });
  }
  template <internal::AsyncTokenFor<std::string> Token = boost::asio::deferred_t>
  auto async_load_namespace_as(std::string file, std::string new_name, Token&& token = {}) {
    return async_load_namespace_as(std::move(file), std::move(new_name), ProgressHook(),
                                   std::forward<Token>(token));
  }
  template <internal::AsyncTokenFor<std::string> Token = boost::asio::deferred_t>
  auto async_load_namespace_as(std::string file, std::string new_name, ProgressHook progress,
                               Token&& token = {}) {
    return in_background<Token>(
        token,
        [file = std::move(file), new_name = std::move(new_name), progress = std::move(progress)](
            internal::SharedManager& shared, const CancelToken& cancel) {
          return internal::to_async(
              shared.manager.load_namespace_as(file, new_name, {progress, cancel}));
        });
  }
  template <internal::AsyncTokenFor<std::string> Token = boost::asio::deferred_t>
  auto async_load_namespace_as(std::string file, std::string new_name, std::string from,
                               Token&& token = {}) {
    return async_load_namespace_as(std::move(file), std::move(new_name), std::move(from),
                                   ProgressHook(), std::forward<Token>(token));
  }
  template <internal::AsyncTokenFor<std::string> Token = boost::asio::deferred_t>
  auto async_load_namespace_as(std::string file, std::string new_name, std::string from,
                               ProgressHook progress, Token&& token = {}) {
    return in_background<Token>(
        token, [file = std::move(file), new_name = std::move(new_name), from = std::move(from),
                progress = std::move(progress)](internal::SharedManager& shared,
                                                const CancelToken& cancel) {
          return internal::to_async(
              shared.manager.load_namespace_as(file, new_name, from, {progress, cancel}));
        });
  }

  // --- Autosave
  // --------------------------------------------------------------------------------------

  template <internal::AsyncTokenFor<> Token = boost::asio::deferred_t>
  auto async_add_namespace_autosave_task(std::string name, AutosaveConfig config,
                                         Token&& token = {}) {
    return in_background<Token>(token, [name = std::move(name), config = std::move(config)](
                                           internal::SharedManager& shared, const CancelToken&) {
      return internal::to_async(shared.manager.add_namespace_autosave_task(name, config));
    });
  }
  template <internal::AsyncTokenFor<> Token = boost::asio::deferred_t>
  auto async_start_namespace_autosave_task(std::string name, Token&& token = {}) {
    return in_background<Token>(
        token, [name = std::move(name)](internal::SharedManager& shared, const CancelToken&) {
          return internal::to_async(shared.manager.start_namespace_autosave_task(name));
        });
  }
  template <internal::AsyncTokenFor<std::size_t> Token = boost::asio::deferred_t>
  auto async_start_missing_autosave_tasks(Token&& token = {}) {
    return in_background<Token>(token, [](internal::SharedManager& shared, const CancelToken&) {
      return internal::to_async(shared.manager.start_missing_autosave_tasks());
    });
  }
  template <internal::AsyncTokenFor<std::vector<AutosaveStatus>> Token = boost::asio::deferred_t>
  auto async_list_autosave_tasks(Token&& token = {}) const {
    return in_background<Token>(token, [](internal::SharedManager& shared, const CancelToken&) {
      return internal::to_async(shared.manager.list_autosave_tasks());
    });
  }
  template <internal::AsyncTokenFor<> Token = boost::asio::deferred_t>
  auto async_stop_namespace_autosave(std::string name, Token&& token = {}) {
    return in_background<Token>(
        token, [name = std::move(name)](internal::SharedManager& shared, const CancelToken&) {
          return internal::to_async(shared.manager.stop_namespace_autosave(name));
        });
  }
  template <internal::AsyncTokenFor<> Token = boost::asio::deferred_t>
  auto async_stop_manager_autosave(Token&& token = {}) {
    return in_background<Token>(token, [](internal::SharedManager& shared, const CancelToken&) {
      return internal::to_async(shared.manager.stop_manager_autosave());
    });
  }

 private:
  template <typename Token, typename Function>
  auto in_background(std::remove_reference_t<Token>& token, Function function) const {
    return internal::initiate_async<internal::AsyncRoute::kLong, Token>(token, target_,
                                                                        std::move(function));
  }

  internal::AsyncTarget<internal::SharedManager> target_;
};

}  // namespace rkvs

#endif  // RKVS_ASYNC_MANAGER_H_

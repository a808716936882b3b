// rkvs for Boost.Asio: every operation in a form that takes a completion token. Needs the headers
// of Boost 1.81 or later; nothing else of rkvs does.
//
//   boost::asio::awaitable<void> greet(rkvs::AsyncNamespace users) {
//     co_await users.async_put("alice", "admin");
//     std::optional<rkvs::Value> role = co_await users.async_get("alice");
//     auto [error, old] = co_await users.async_consume("bob", as_tuple(deferred));
//   }
//
// (gcc 12 miscompiles temporaries that are made with braces inside of a co_await expression: give
// what is not made by a constructor, AsyncItems and ScanOptions for two, a name before it.)
//
// AsyncNamespace and AsyncStorageManager are made from the handles that they stand for. Any token
// does: a callback, use_future, use_awaitable, deferred (the default), as_tuple, yours.
//
// Errors and results. A handler gets a boost::system::error_code, Ok or one of the negative codes
// of StatusCode in the category error_category(), and after it the result, empty after an error.
// What is an outcome for the synchronous function is none of them:
//
//   the function of Namespace or StorageManager    what comes after the error_code
//   Status that is Ok or an error                  nothing
//   Result<T> that is Ok or an error               T
//   NotFound (Exists, for add) beside Ok           std::optional<T>
//   several outcomes, or a T that may be empty     Outcome<T>: its code, and T where that is Ok
//   Status with outcomes                           StatusCode
//   BatchResult                                    BatchResult, after an error too
//
// A cancelled operation ends with boost::asio::error::operation_aborted.
//
// Threads. An operation on a key, or on a few, is done when the initiating function returns, on the
// calling thread, unless it would have to wait for a lock; what takes long, and what has to wait,
// goes to worker threads of the manager (see StorageOptions::worker_threads and executor_hook()).
// Either way the handler is posted to its associated executor, or else to the executor of the
// AsyncNamespace, and never called by the initiating function. Work is outstanding there until it
// has been called. Memory that outlives the initiating function comes from its associated allocator
// and has been given back when it is called, some 200 bytes for an operation on a worker thread
// aside.
//
// Cancellation, of every type, ends an operation on a worker thread: one that has not begun at
// once, a save, load, clone or resize soon, and others when they are done. Signals have to be
// emitted as Asio has it, where the handler would run.
//
// Exactly once. An operation that began calls its handler once, whatever cancels it or closes its
// manager, unless the execution context of the handler ends first: that waits for the operation and
// destroys the handler. Handles may outlive the manager.
//
// Without memory. What finds none is NoMemory, to the handler, and has done nothing. Where there is
// none for what a call itself needs, its arguments or the handler's place in its executor's queue,
// the initiating function throws std::bad_alloc, and the handler is destroyed: an operation on a
// few keys may have been done then. A worker thread that finds no place for the handler destroys
// it.
#ifndef RKVS_ASYNC_H_
#define RKVS_ASYNC_H_

#include <rkvs/async_batch.h>
#include <rkvs/async_call.h>
#include <rkvs/async_context.h>
#include <rkvs/async_error.h>
#include <rkvs/async_manager.h>
#include <rkvs/async_namespace.h>

#endif  // RKVS_ASYNC_H_

/* rkvs: an in-memory, namespace-based key-value store inside the host program. The C API.
 *
 *   rkvs_manager *manager = NULL;
 *   rkvs_namespace *users = NULL;
 *   rkvs_value *value = NULL;
 *   rkvs_manager_open(RKVS_ABI_VERSION, NULL, &manager, NULL);
 *   rkvs_manager_initialize(manager, NULL);
 *   rkvs_manager_create_namespace(manager, "users", NULL, &users, NULL);
 *   rkvs_namespace_put(users, "alice", 5, "admin", 5, NULL, NULL);
 *   if (rkvs_namespace_get(users, "alice", 5, &value, NULL) == RKVS_OK) {
 *     fwrite(rkvs_value_data(value), 1, rkvs_value_size(value), stdout);
 *     rkvs_value_release(value);
 *   }
 *   rkvs_namespace_release(users);
 *   rkvs_manager_release(manager);
 *
 * Link with -lrkvs (pkg-config: rkvs; CMake: rkvs::capi). Plain C11, and C++ as well. Everything
 * that the C++ API can do has a function here with the same verb.
 *
 *
 * 1. BYTES AND NAMES
 *
 * Keys and values are any bytes, given as pointer and size; NUL and the empty string are bytes and
 * keys like others, and an empty value is not a missing one. The pointer may be NULL where the size
 * is 0. Names of namespaces, files and directories end with NUL; a binding whose strings may hold
 * NUL refuses those itself. Sizes are in bytes, times in milliseconds where the name ends in _ms.
 *
 *
 * 2. THREADS
 *
 * Every function may be called by any number of threads at the same time, with the same handles,
 * unless its description says otherwise. Operations on one key are linearizable. The last reference
 * of a handle must not be released before every call that was given the handle has returned (what
 * asynchronous calls began may still be on): a thread that cannot know retains one of its own.
 *
 * A thread belongs to the program while it calls a function here, and to rkvs while rkvs calls the
 * program back: see ASYNCHRONOUS CALLS for what callbacks may do.
 *
 *
 * 3. OWNERSHIP
 *
 * What goes in is borrowed for the call: keys, values, names and structures are copied before the
 * function returns, a pending asynchronous one too, and may be changed or freed at once afterwards.
 * Only `user` pointers are kept, and never followed; and the buffer of
 * rkvs_namespace_get_into_async belongs to the operation until it has completed.
 *
 * What comes out through a `T **` belongs to the caller, who gives it back with the type's
 * _release function. Such a slot is overwritten without a look at what was in it: with NULL where
 * there is nothing to give. A slot may be NULL itself where the caller does not want to know,
 * unless it is the point of the function. Pointers to bytes that come out of a handle (rkvs_value_
 * data, rkvs_list_item, ...) live as long as the handle. Nothing that comes out is ever freed with
 * free().
 *
 *
 * 4. LIFETIMES
 *
 * Handles are reference-counted: T_retain adds a reference and returns its argument, T_release
 * gives one back; both do nothing for NULL. Handles may be released in any order: a namespace keeps
 * its manager alive, a scan its namespace, an operation in flight whatever it works on. Values,
 * results, lists and errors need nobody and may outlive everything else.
 *
 * rkvs_manager_close ends a store at a chosen moment and says whether the last saves succeeded;
 * from then on every operation on it answers RKVS_E_CLOSED. A store that nobody closed is closed
 * when the last handle on it (manager, namespaces, scans) is released; that release waits as
 * rkvs_manager_close does, except on a thread that is in a callback of rkvs, where a thread of its
 * own does the waiting, its last saves included. exit() waits until such threads, and those of
 * rkvs_manager_close_async, are done, unless a callback calls it; _exit() and signals wait for
 * nothing. A store that is open when the process ends has no last saves.
 *
 * NULL, a handle of another type and a handle of a structure that is not rkvs's give
 * RKVS_E_INVALID_ARGUMENT. Use after the last release is a mistake that cannot always be noticed.
 *
 *
 * 5. ERRORS
 *
 * Functions return an rkvs_status: RKVS_OK; a positive outcome, which belongs to normal use
 * (RKVS_NOT_FOUND is one and no error); or a negative error. "Not found" never stands for an error,
 * nor the other way round. A function that failed has changed nothing, unless it says otherwise.
 *
 * The last argument of every function that can fail is an optional slot for an rkvs_error with the
 * code, a message for people that names the value and the limit, and in batches the index of the
 * item. It is set to NULL where the status is not negative. There is no "last error" of a thread.
 *
 * The codes that a function can return are listed with it. Not listed, because they belong to all:
 *   RKVS_E_INVALID_ARGUMENT  a NULL, wrong or released handle; NULL where a pointer is needed; a
 *                            structure that is too small, a flag or a number out of its range
 *   RKVS_E_UNSUPPORTED       a structure with a field that this library does not know
 *   RKVS_E_NO_MEMORY         the system has no memory left; nothing is half-done
 *   RKVS_E_FORKED            see FORK
 *   RKVS_E_WOULD_DEADLOCK    called by a function that rkvs is calling, where that cannot work
 *   RKVS_E_INTERNAL          a mistake of the library: please report it
 * and to all that work on a namespace or manager:
 *   RKVS_E_CLOSED, RKVS_E_NOT_INITIALIZED, RKVS_E_NAMESPACE_DELETED,
 *   RKVS_E_TIMEOUT           the namespace's lock_timeout passed before it could be done
 * No C++ exception leaves the library, it never prints, and it never ends the process.
 *
 *
 * 6. ASYNCHRONOUS CALLS
 *
 * Every operation X on a store, a namespace or a scan that may wait, for a lock, a thread or a
 * file, has a second form X_async with the same inputs. (So have none: functions that only make,
 * read, fill or release a handle or a structure, such as rkvs_manager_open,
 * rkvs_namespace_scan_open, rkvs_manager_is_initialized or the rkvs_atomic_batch_ ones, and those
 * that are about queues and operations themselves.) It never waits: it does what it can at once,
 * and hands the rest to the manager's threads. Options for progress are in `how`. It returns
 *   RKVS_DONE      done, and *out says what came of it; nothing is called or queued. Only where
 *                  `how->flags` has RKVS_ALLOW_INLINE and `out` is not NULL.
 *   RKVS_PENDING   it will complete exactly once, whatever happens: success, failure, timeout,
 *                  cancel, close. *out says nothing, and has nothing to be cleared.
 *   an error       it was refused, and will never complete.
 *
 * A completion goes either to a callback or to a queue, as `how` says, exactly one of the two.
 *
 * Callback: called once on a thread of rkvs (never inside of X_async), never with a lock held. The
 * completion belongs to the library and is cleared when the callback returns; who wants to keep a
 * part of it retains it (or all of it, with rkvs_completion_retain, and copies the structure). A
 * callback may call anything here but what waits for operations: rkvs_manager_close and
 * rkvs_queue_wait are RKVS_E_WOULD_DEADLOCK there; rkvs_manager_close_async is not. It should be
 * short: others wait for its thread.
 *
 * Queue: completions wait in an rkvs_queue until rkvs_queue_poll moves them out; from then on their
 * parts belong to the caller, who gives them back with rkvs_completion_clear. rkvs_queue_fd is a
 * file descriptor that is readable while the queue holds something, for poll, epoll or any event
 * loop. No foreign thread enters the program (but for the functions that it hands over itself, to
 * log, to transform, to tell of progress): the way for bindings.
 *
 * The optional `operation` handle is for rkvs_operation_cancel. A cancelled operation completes
 * like any other, once: as RKVS_E_CANCELLED with nothing changed, or with what came of it if it was
 * too late. Closing the manager cancels what is in flight, and waits until all of it has completed
 * and all callbacks have returned. On a closed store every _async function but
 * rkvs_manager_close_async is refused with RKVS_E_CLOSED, or completes with it.
 *
 * Results that are structures or arrays in the synchronous form come as an rkvs_list in the
 * completion, with a function of rkvs_list_ that reads them.
 *
 * The time-out of an operation is `how->timeout_ms`, or else the namespace's lock_timeout; for
 * whole-store operations, which have none, there is none. It is about waiting: for the operation's
 * turn and for locks. One that has begun to work by then is not broken off; rkvs_operation_cancel
 * does that. rkvs_manager_close_async has no time-out, and cannot be cancelled.
 *
 *
 * 7. FORK
 *
 * Threads and locks do not survive fork(). In the child of a process that has opened a store, every
 * function is RKVS_E_FORKED, and the release functions do nothing; the bytes of values and results
 * can be read still. exec() makes a new process. A process that forks before its first
 * rkvs_manager_open is not concerned: parent and children may all open stores of their own.
 *
 *
 * 8. STABILITY
 *
 * This ABI is version RKVS_ABI_VERSION of librkvs.so.1. Within it, functions, codes, constants and
 * the meaning of fields stay; functions and codes are added, so be prepared for a status that you
 * do not know: its sign says what kind it is. Structures that begin with struct_size grow at their
 * end: set them up with their _init function (which fills them with zeros and sets struct_size);
 * zero is the default of every field. A library that is older than the program accepts a larger
 * structure as long as what it does not know is zero. Structures without struct_size never change.
 * rkvs_manager_open checks the version; rkvs_has_feature asks for one thing.
 */
#ifndef RKVS_H_
#define RKVS_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

/* To be given to rkvs_manager_open. */
#define RKVS_ABI_VERSION 1

/* ===== Codes ================================================================================== */

/* One of the constants below, or one that a newer library has added. */
typedef int32_t rkvs_status;

enum {
  RKVS_OK = 0,

  /* Outcomes. */
  RKVS_NOT_FOUND = 1,        /* the key is not there */
  RKVS_EXISTS = 2,           /* the key is there already */
  RKVS_VERSION_MISMATCH = 3, /* the entry has another version than the one asked for */
  RKVS_NOT_APPLIED = 4,      /* an item without fault of its own in a batch that failed */
  RKVS_DONE = 16,            /* asynchronous calls: done at once */
  RKVS_PENDING = 17,         /* asynchronous calls: will complete */

  /* Errors. */
  RKVS_E_INVALID_ARGUMENT = -1,
  RKVS_E_INVALID_NAME = -2,    /* a name of a namespace or file that is not allowed */
  RKVS_E_NOT_INITIALIZED = -3, /* rkvs_manager_initialize has not succeeded yet */
  RKVS_E_CLOSED = -4,
  RKVS_E_NAMESPACE_NOT_FOUND = -5,
  RKVS_E_NAMESPACE_EXISTS = -6,
  RKVS_E_NAMESPACE_DELETED = -7,
  RKVS_E_TOO_MANY_NAMESPACES = -8, /* max_namespaces is reached */
  RKVS_E_TOO_MANY_KEYS = -9,       /* max_keys is reached */
  RKVS_E_LIMIT_BELOW_USE = -10,    /* a new limit is below what is in use */
  RKVS_E_KEY_TOO_LARGE = -11,
  RKVS_E_VALUE_TOO_LARGE = -12,
  RKVS_E_MEMORY_LIMIT = -13, /* max_bytes is reached */
  RKVS_E_NO_MEMORY = -14,    /* the system has none left */
  RKVS_E_TIMEOUT = -15,
  RKVS_E_CANCELLED = -16,
  RKVS_E_NOT_A_NUMBER = -17,
  RKVS_E_OVERFLOW = -18,
  RKVS_E_NO_PERSISTENCE = -19, /* the manager was opened without a directory */
  RKVS_E_SNAPSHOT_NOT_FOUND = -20,
  RKVS_E_SNAPSHOT_CORRUPT = -21,
  RKVS_E_SNAPSHOT_VERSION = -22, /* a format that this library does not read */
  RKVS_E_IO = -23,
  RKVS_E_DIRECTORY_LOCKED = -24, /* another process saves into this directory */
  RKVS_E_AUTOSAVE_EXISTS = -25,
  RKVS_E_AUTOSAVE_NOT_CONFIGURED = -26,
  RKVS_E_AUTOSAVE_NOT_RUNNING = -27,
  RKVS_E_BUSY = -28, /* another one of this kind is running */
  RKVS_E_WOULD_DEADLOCK = -29,
  RKVS_E_FORKED = -30,
  RKVS_E_UNSUPPORTED = -31,
  RKVS_E_INTERNAL = -32
};

/* ===== Handles ================================================================================ */

typedef struct rkvs_manager rkvs_manager;           /* a store */
typedef struct rkvs_namespace rkvs_namespace;       /* one of its namespaces */
typedef struct rkvs_value rkvs_value;               /* the bytes of one value, immutable */
typedef struct rkvs_batch_result rkvs_batch_result; /* what came of a batch, or of a scan step */
typedef struct rkvs_list rkvs_list;                 /* keys or names, with figures perhaps */
typedef struct rkvs_load_report rkvs_load_report;   /* what rkvs_manager_initialize_file found */
typedef struct rkvs_atomic_batch rkvs_atomic_batch; /* operations that happen together */
typedef struct rkvs_scan rkvs_scan;                 /* a walk through a namespace */
typedef struct rkvs_queue rkvs_queue;               /* completions of asynchronous calls */
typedef struct rkvs_operation rkvs_operation;       /* one asynchronous call */
typedef struct rkvs_error rkvs_error;               /* code, message, index */
typedef struct rkvs_transform rkvs_transform;       /* see rkvs_namespace_transform */

/* ===== The library ============================================================================ */

/* The RKVS_ABI_VERSION of the library that the program runs with. */
uint32_t rkvs_abi_version(void);

/* The version of that library, such as "1.2.3". Static. */
const char* rkvs_version_string(void);

/* The name of a code, such as "RKVS_NOT_FOUND"; "RKVS_UNKNOWN" for one that this library does not
 * have. Static. */
const char* rkvs_status_name(rkvs_status status);

/* For rkvs_has_feature. */
typedef int32_t rkvs_feature;
enum {
  RKVS_FEATURE_PERSISTENCE = 1, /* snapshots and autosave */
  RKVS_FEATURE_ASYNC = 2,       /* the _async functions, queues */
  RKVS_FEATURE_EVENT_FD = 3,    /* rkvs_queue_fd is a file descriptor */
  RKVS_FEATURE_TTL = 4,         /* expiries */
  RKVS_FEATURE_METRICS = 5      /* rkvs_manager_metrics_text */
};

/* 1 if the library has it, 0 if it does not or has never heard of it. */
int32_t rkvs_has_feature(rkvs_feature feature);

/* For rkvs_sizeof. */
typedef int32_t rkvs_type;
enum {
  RKVS_TYPE_MANAGER_OPTIONS = 1,
  RKVS_TYPE_MANAGER_CONFIG = 2,
  RKVS_TYPE_NAMESPACE_CONFIG = 3,
  RKVS_TYPE_AUTOSAVE_CONFIG = 4,
  RKVS_TYPE_AUTOSAVE_STATUS = 5,
  RKVS_TYPE_WRITE_OPTIONS = 6,
  RKVS_TYPE_COUNTER_OPTIONS = 7,
  RKVS_TYPE_SCAN_OPTIONS = 8,
  RKVS_TYPE_OPERATION_OPTIONS = 9,
  RKVS_TYPE_NAMESPACE_STATS = 10,
  RKVS_TYPE_SHARD_STATS = 11,
  RKVS_TYPE_BATCH_ITEM = 12,
  RKVS_TYPE_BATCH_VIEW = 13,
  RKVS_TYPE_ASYNC = 14,
  RKVS_TYPE_COMPLETION = 15,
  RKVS_TYPE_SLICE = 16,
  RKVS_TYPE_NAMESPACE_AUTOSAVE = 17,
  RKVS_TYPE_PROGRESS = 18
};

/* The size in bytes that the structure has in this library, for bindings that lay it out by
 * themselves; 0 for a type that it does not have. */
size_t rkvs_sizeof(rkvs_type type);

/* ===== Errors ================================================================================= */

/* The status that the function returned; RKVS_OK for NULL. */
rkvs_status rkvs_error_code(const rkvs_error* error);
/* For people, ends with NUL, never NULL, may be empty. As long as the error lives. */
const char* rkvs_error_message(const rkvs_error* error);
/* In a batch the index of the first item that failed, or whose argument is wrong; otherwise -1. */
int64_t rkvs_error_index(const rkvs_error* error);
rkvs_error* rkvs_error_retain(rkvs_error* error);
void rkvs_error_release(rkvs_error* error);

/* ===== Values ================================================================================= */

/* A value shares the store's own memory, without a copy. Its bytes never change, and outlive the
 * key, the namespace and the store. Different references may be used by different threads. Never
 * fails: NULL has no bytes. */

/* The first byte; no particular alignment. Not NULL for a value of size 0. */
const void* rkvs_value_data(const rkvs_value* value);
size_t rkvs_value_size(const rkvs_value* value);
/* Both in one call; NULL and 0 for NULL. */
void rkvs_value_view(const rkvs_value* value, const void** data, size_t* size);
rkvs_value* rkvs_value_retain(rkvs_value* value);
void rkvs_value_release(rkvs_value* value);

/* ===== Lists ================================================================================== */

/* Keys or names, in an order that the function says which made the list; some lists have figures
 * for each item as well. Immutable. */

size_t rkvs_list_count(const rkvs_list* list);
/* The item at `index`; no NUL follows it. Codes: RKVS_E_INVALID_ARGUMENT for an index that is not
 * there. */
rkvs_status rkvs_list_item(const rkvs_list* list, size_t index, const void** data, size_t* size,
                           rkvs_error** error);
/* All items at once: item i is the bytes from offsets[i] up to offsets[i + 1]; `offsets` has
 * count + 1 numbers. Nothing is copied. Any slot may be NULL. */
rkvs_status rkvs_list_packed(const rkvs_list* list, const void** bytes, const uint64_t** offsets,
                             size_t* count, rkvs_error** error);
/* The numbers of a list that rkvs_namespace_shard_key_counts_async made: `count` of them, as long
 * as the list lives. Nothing is copied. Any slot may be NULL. Codes: RKVS_E_INVALID_ARGUMENT for a
 * list of something else. */
rkvs_status rkvs_list_numbers(const rkvs_list* list, const uint64_t** numbers, size_t* count,
                              rkvs_error** error);
rkvs_list* rkvs_list_retain(rkvs_list* list);
void rkvs_list_release(rkvs_list* list);

/* ===== Options and figures ==================================================================== */

/* Every structure here begins with struct_size. X_init(&x, sizeof x) fills x with zeros and sets
 * it; RKVS_E_INVALID_ARGUMENT for NULL and for a size that no version of the structure had. */

/* Limits and behaviour of one namespace. */
typedef struct rkvs_namespace_config {
  uint32_t struct_size;
  uint32_t shard_count;     /* 0 = automatic, grows with the data; 1..4096 = exactly so many */
  uint64_t max_keys;        /* 0 = no limit. Exact at all times */
  uint64_t max_value_size;  /* 0 = no limit but 1 GiB */
  uint64_t max_key_size;    /* 0 = 64 KiB; at most 1 MiB */
  uint64_t max_bytes;       /* of keys, values, overhead and tables; 0 = no limit */
  uint64_t lock_timeout_ms; /* how long an operation may wait in all; 0 = 500, at most one hour */
} rkvs_namespace_config;
rkvs_status rkvs_namespace_config_init(rkvs_namespace_config* config, size_t size);

/* For rkvs_manager_config.flags and rkvs_manager_options.flags. */
enum {
  RKVS_SET_MAX_NAMESPACES = 1, /* max_namespaces is meant, 0 too */
  RKVS_SET_MAX_BYTES = 2,      /* max_bytes is meant, 0 too */
  RKVS_DETAILED_METRICS = 4    /* rkvs_manager_options alone: measures how long operations take */
};

/* What belongs to the store as a whole and travels with its snapshots. A limit that is 0 without
 * its flag is left open: it comes from the file that initialises the store, or is no limit. */
typedef struct rkvs_manager_config {
  uint32_t struct_size;
  uint32_t flags;          /* RKVS_SET_... */
  uint64_t max_namespaces; /* 0 = no limit */
  uint64_t max_bytes;      /* of all namespaces together; 0 = no limit */
} rkvs_manager_config;
rkvs_status rkvs_manager_config_init(rkvs_manager_config* config, size_t size);

/* For rkvs_autosave_config.flags. */
enum {
  RKVS_AUTOSAVE_FINAL_SAVE = 1 /* save once more when the store is closed */
};

/* When a task saves by itself, and to which file. */
typedef struct rkvs_autosave_config {
  uint32_t struct_size;
  uint32_t flags;       /* RKVS_AUTOSAVE_FINAL_SAVE */
  uint64_t interval_ms; /* at each tick of this length; 0 = not by time */
  uint64_t changes;     /* after so many entries written or removed; 0 = not by changes */
  const char* file;     /* a file name; {ns} and {ts} in it stand for namespace and time */
} rkvs_autosave_config;
rkvs_status rkvs_autosave_config_init(rkvs_autosave_config* config, size_t size);

/* An autosave task for one namespace, for rkvs_manager_options. */
typedef struct rkvs_namespace_autosave {
  const char* name;
  const rkvs_autosave_config* config;
} rkvs_namespace_autosave;

typedef int32_t rkvs_log_level;
enum { RKVS_LOG_DEBUG = 0, RKVS_LOG_INFO = 1, RKVS_LOG_WARNING = 2, RKVS_LOG_ERROR = 3 };

/* Receives what the library has to tell, on the thread that has something to say, never with a
 * lock held. The message ends with NUL, which `size` does not count, and is valid during the call.
 * May call anything here but rkvs_manager_close and the functions that stop autosave, which are
 * RKVS_E_WOULD_DEADLOCK where they would wait for this thread. Must not throw. */
typedef void (*rkvs_log_callback)(void* user, rkvs_log_level level, const char* message,
                                  size_t size);

/* How a store is opened. */
typedef struct rkvs_manager_options {
  uint32_t struct_size;
  uint32_t flags;          /* RKVS_SET_..., RKVS_DETAILED_METRICS */
  uint64_t max_namespaces; /* see rkvs_manager_config */
  uint64_t max_bytes;
  uint64_t max_load_bytes; /* most bytes that one load may bring; 0 = no limit but the file's */
  const char* directory;   /* where snapshots live; NULL or "" = no persistence */
  rkvs_log_callback log;   /* NULL = silent */
  void* log_user;          /* handed to `log` */
  uint32_t worker_threads; /* for asynchronous calls, started when first needed; 0 = min(cores,
                              4); more than 256 are RKVS_E_INVALID_ARGUMENT */
  uint32_t reserved;       /* 0 */
  const rkvs_autosave_config* manager_autosave;      /* saves all namespaces by itself; NULL = no */
  const rkvs_namespace_autosave* namespace_autosave; /* array: saves one each */
  size_t namespace_autosave_count;
} rkvs_manager_options;
rkvs_status rkvs_manager_options_init(rkvs_manager_options* options, size_t size);

/* For rkvs_write_options.flags. */
enum {
  RKVS_KEEP_TTL = 1 /* the expiry that the key has now, if it has one */
};

/* When an entry expires. At most one of the three may be given, else the write is
 * RKVS_E_INVALID_ARGUMENT. With none, set, put, update and add leave an entry that never expires;
 * increment, transform and compare_and_set keep the expiry that there is. */
typedef struct rkvs_write_options {
  uint32_t struct_size;
  uint32_t flags;            /* RKVS_KEEP_TTL */
  int64_t expire_after_ms;   /* from now on; 0 = not given, below 0 is refused */
  int64_t expire_at_unix_ms; /* milliseconds since 1970; 0 = not given; in the past: at once */
} rkvs_write_options;
rkvs_status rkvs_write_options_init(rkvs_write_options* options, size_t size);

/* For a counter that is absent. */
typedef struct rkvs_counter_options {
  uint32_t struct_size;
  uint32_t flags;          /* 0 */
  int64_t initial;         /* what it counts from */
  int64_t expire_after_ms; /* how long a counter made by this call lives; 0 = for ever */
} rkvs_counter_options;
rkvs_status rkvs_counter_options_init(rkvs_counter_options* options, size_t size);

/* For rkvs_scan_options.flags. */
enum {
  RKVS_SCAN_KEYS_ONLY = 1 /* items carry no values */
};

typedef struct rkvs_scan_options {
  uint32_t struct_size;
  uint32_t flags;     /* RKVS_SCAN_KEYS_ONLY */
  const void* prefix; /* only keys that begin with it */
  size_t prefix_size;
} rkvs_scan_options;
rkvs_status rkvs_scan_options_init(rkvs_scan_options* options, size_t size);

/* How far a save, load, clone or resize has come. Figures only grow. */
typedef struct rkvs_progress {
  uint64_t entries_done;
  uint64_t entries_total; /* 0 as long as it is not known */
  uint64_t bytes_done;
  uint64_t bytes_total;
} rkvs_progress;

/* Called on the thread that does the work, never with a lock held, some twenty times a second at
 * most and once at the successful end. Returns 0 to go on; anything else cancels the operation. It
 * may call anything that a completion callback may. */
typedef int32_t (*rkvs_progress_callback)(void* user, const rkvs_progress* progress);

/* For the synchronous forms of long operations. */
typedef struct rkvs_operation_options {
  uint32_t struct_size;
  uint32_t flags; /* 0 */
  rkvs_progress_callback progress;
  void* progress_user;
} rkvs_operation_options;
rkvs_status rkvs_operation_options_init(rkvs_operation_options* options, size_t size);

/* One namespace at one instant. The caller sets struct_size before it is filled in. */
typedef struct rkvs_namespace_stats {
  uint32_t struct_size;
  uint32_t shard_count; /* in use now */
  uint64_t key_count;
  uint64_t total_size;   /* of all values */
  uint64_t memory_bytes; /* of keys, values and their overhead, tables included */
  /* Since the namespace was made or loaded: */
  uint64_t hits;
  uint64_t misses;
  uint64_t sets;
  uint64_t deletes;
  uint64_t expired;    /* reclaimed after their expiry */
  uint64_t rejected;   /* writes that a limit refused */
  uint64_t timeouts;   /* locks that could not be had in time */
  uint64_t lock_waits; /* locks that were not free at once */
} rkvs_namespace_stats;
rkvs_status rkvs_namespace_stats_init(rkvs_namespace_stats* stats, size_t size);

/* One shard. No struct_size: rkvs_namespace_shard_stats is told the size of an item. Grows at its
 * end. */
typedef struct rkvs_shard_stats {
  uint64_t key_count;
  uint64_t total_size;
  uint64_t memory_bytes;
  uint64_t hits; /* 0 without RKVS_DETAILED_METRICS, as misses */
  uint64_t misses;
  uint64_t sets;
  uint64_t deletes;
  uint64_t expired;
  uint64_t rejected;
  uint64_t timeouts;
  uint64_t lock_waits;
} rkvs_shard_stats;

typedef int32_t rkvs_autosave_state;
enum { RKVS_AUTOSAVE_WAITING = 0, RKVS_AUTOSAVE_SAVING = 1, RKVS_AUTOSAVE_STOPPED = 2 };

/* An autosave task at one moment; figures count from when it was added. Texts end with NUL, are
 * never NULL and live as long as the list that they come from. */
typedef struct rkvs_autosave_status {
  uint32_t struct_size;
  int32_t is_manager; /* 1: saves all namespaces; 0: the one that the list item names */
  rkvs_autosave_state state;
  uint32_t flags; /* RKVS_AUTOSAVE_FINAL_SAVE */
  uint64_t interval_ms;
  uint64_t changes;
  const char* file; /* the configured name, with {ns} and {ts} */
  uint64_t saves;   /* that succeeded */
  uint64_t failures;
  uint64_t skipped_ticks;       /* passed while a save was on */
  uint64_t unchanged_ticks;     /* with nothing changed since the last save */
  const char* last_file;        /* what the last successful save wrote */
  int64_t last_success_unix_ms; /* 0 before the first */
  int64_t last_failure_unix_ms; /* 0 before the first */
  const char* last_error_message;
  rkvs_status last_error;
  uint32_t reserved;
  uint64_t last_duration_ms;
} rkvs_autosave_status;
rkvs_status rkvs_autosave_status_init(rkvs_autosave_status* status, size_t size);

/* ===== Managers: life ========================================================================= */

/* Makes a store, not initialised yet; no file is touched and no thread started.
 *   abi_version  RKVS_ABI_VERSION as the caller was compiled with
 *   options      NULL = defaults
 *   manager      receives the handle
 * Codes: RKVS_E_UNSUPPORTED for a version that the library does not speak. */
rkvs_status rkvs_manager_open(uint32_t abi_version, const rkvs_manager_options* options,
                              rkvs_manager** manager, rkvs_error** error);

/* Makes the store ready, empty. A second call, of either form, is RKVS_OK and changes nothing.
 * Until then every function but those that say so is RKVS_E_NOT_INITIALIZED. Codes: for autosave
 * options that cannot work RKVS_E_INVALID_NAME, RKVS_E_INVALID_ARGUMENT, RKVS_E_NO_PERSISTENCE. */
rkvs_status rkvs_manager_initialize(rkvs_manager* manager, rkvs_error** error);

/* Makes the store ready with what `file` holds, or empty when there is no such file. When it is
 * damaged, the newest older generation that is whole is loaded instead: see
 * rkvs_manager_load_report. On an error the store stays as it was, and files are never changed.
 *   file     a name inside of the directory: no '/', no leading dot, at most 200 bytes
 *   options  NULL = none
 * Codes: as rkvs_manager_initialize; RKVS_E_NO_PERSISTENCE, RKVS_E_INVALID_NAME,
 * RKVS_E_SNAPSHOT_CORRUPT, RKVS_E_SNAPSHOT_VERSION, RKVS_E_IO, RKVS_E_TOO_MANY_NAMESPACES,
 * RKVS_E_MEMORY_LIMIT, RKVS_E_CANCELLED; RKVS_E_WOULD_DEADLOCK from its own progress callback. */
rkvs_status rkvs_manager_initialize_file(rkvs_manager* manager, const char* file,
                                         const rkvs_operation_options* options, rkvs_error** error);

/* What initialising found. Codes: none but the common ones. */
rkvs_status rkvs_manager_load_report(rkvs_manager* manager, rkvs_load_report** report,
                                     rkvs_error** error);

/* 1 or 0; an error for a handle that is none. Work before rkvs_manager_initialize. */
rkvs_status rkvs_manager_is_initialized(rkvs_manager* manager);
rkvs_status rkvs_manager_has_persistence(rkvs_manager* manager);

/* Ends the store: cancels asynchronous operations and waits until they have completed and their
 * callbacks have returned; ends autosave, with a last save for each task that asks for it; closes
 * the namespaces. Handles stay valid and answer RKVS_E_CLOSED; they are released as ever. Returns
 * the first error of the last saves, and the same when it is called again. Works before
 * rkvs_manager_initialize.
 * Codes: those of rkvs_manager_save_all; RKVS_E_WOULD_DEADLOCK from a callback of this library,
 * which has changed nothing. */
rkvs_status rkvs_manager_close(rkvs_manager* manager, rkvs_error** error);

rkvs_manager* rkvs_manager_retain(rkvs_manager* manager);
/* Gives a reference back. With the last handle on the store gone it is closed: see LIFETIMES. */
void rkvs_manager_release(rkvs_manager* manager);

/* The file that was loaded, or an older generation of it; "" when there was none. Never NULL. Texts
 * end with NUL and live as long as the report. */
const char* rkvs_load_report_file(const rkvs_load_report* report);
uint64_t rkvs_load_report_namespaces(const rkvs_load_report* report);
uint64_t rkvs_load_report_keys(const rkvs_load_report* report);
/* How many files were there and could not be used. */
size_t rkvs_load_report_skipped_count(const rkvs_load_report* report);
/* One of them, the newest first, and why. Any slot may be NULL. Codes: RKVS_E_INVALID_ARGUMENT for
 * an index that is not there. */
rkvs_status rkvs_load_report_skipped(const rkvs_load_report* report, size_t index,
                                     const char** file, rkvs_status* reason, const char** message,
                                     rkvs_error** error);
/* The report of a list that rkvs_manager_load_report_async made, with a reference of its own.
 * Codes: RKVS_E_INVALID_ARGUMENT for a list of something else. */
rkvs_status rkvs_list_load_report(const rkvs_list* list, rkvs_load_report** report,
                                  rkvs_error** error);
rkvs_load_report* rkvs_load_report_retain(rkvs_load_report* report);
void rkvs_load_report_release(rkvs_load_report* report);

/* ===== Managers: namespaces =================================================================== */

/* Names are 1 to 128 bytes of UTF-8 without control characters. */

/* Adds an empty namespace. `config`: NULL = defaults. `ns` receives the handle; NULL = not wanted.
 * Codes: RKVS_E_INVALID_NAME, RKVS_E_NAMESPACE_EXISTS, RKVS_E_TOO_MANY_NAMESPACES,
 * RKVS_E_MEMORY_LIMIT. */
rkvs_status rkvs_manager_create_namespace(rkvs_manager* manager, const char* name,
                                          const rkvs_namespace_config* config, rkvs_namespace** ns,
                                          rkvs_error** error);
/* Codes: RKVS_E_NAMESPACE_NOT_FOUND. */
rkvs_status rkvs_manager_get_namespace(rkvs_manager* manager, const char* name, rkvs_namespace** ns,
                                       rkvs_error** error);
/* Removes the namespace and its data; handles to it answer RKVS_E_NAMESPACE_DELETED. Codes:
 * RKVS_E_NAMESPACE_NOT_FOUND. */
rkvs_status rkvs_manager_delete_namespace(rkvs_manager* manager, const char* name,
                                          rkvs_error** error);
/* Adds a namespace with the configuration and content of another, of one instant. Values are shared
 * until either changes. `ns` may be NULL. Codes: RKVS_E_NAMESPACE_NOT_FOUND, RKVS_E_CANCELLED, and
 * those of rkvs_manager_create_namespace. */
rkvs_status rkvs_manager_clone_namespace(rkvs_manager* manager, const char* name,
                                         const char* new_name,
                                         const rkvs_operation_options* options, rkvs_namespace** ns,
                                         rkvs_error** error);
/* The names, sorted. */
rkvs_status rkvs_manager_list_namespaces(rkvs_manager* manager, rkvs_list** names,
                                         rkvs_error** error);
/* As rkvs_namespace_update_config. Codes: its, and RKVS_E_NAMESPACE_NOT_FOUND. */
rkvs_status rkvs_manager_update_namespace_config(rkvs_manager* manager, const char* name,
                                                 const rkvs_namespace_config* config,
                                                 rkvs_error** error);

/* ===== Managers: configuration and figures ==================================================== */

/* What is in force; the flags say what is set. `config->struct_size` is set by the caller. Works
 * before rkvs_manager_initialize. */
rkvs_status rkvs_manager_get_config(rkvs_manager* manager, rkvs_manager_config* config,
                                    rkvs_error** error);
/* The item at `index` of a list that rkvs_manager_get_config_async made. Codes:
 * RKVS_E_INVALID_ARGUMENT for an index that is not there, or a list of something else. */
rkvs_status rkvs_list_manager_config(const rkvs_list* list, size_t index,
                                     rkvs_manager_config* config, rkvs_error** error);
/* What is left open becomes its default. Codes: RKVS_E_LIMIT_BELOW_USE, and nothing has changed. */
rkvs_status rkvs_manager_update_config(rkvs_manager* manager, const rkvs_manager_config* config,
                                       rkvs_error** error);
/* The figures of one namespace. Codes: RKVS_E_NAMESPACE_NOT_FOUND. */
rkvs_status rkvs_manager_namespace_stats(rkvs_manager* manager, const char* name,
                                         rkvs_namespace_stats* stats, rkvs_error** error);
/* Of all, sorted by name: a list of names with figures, for rkvs_list_namespace_stats. */
rkvs_status rkvs_manager_all_namespace_stats(rkvs_manager* manager, rkvs_list** list,
                                             rkvs_error** error);
/* The figures of an item. Codes: RKVS_E_INVALID_ARGUMENT for an index that is not there, or a list
 * of something else. */
rkvs_status rkvs_list_namespace_stats(const rkvs_list* list, size_t index,
                                      rkvs_namespace_stats* stats, rkvs_error** error);
/* All figures in Prometheus' text format. */
rkvs_status rkvs_manager_metrics_text(rkvs_manager* manager, rkvs_value** text, rkvs_error** error);
rkvs_status rkvs_manager_namespace_count(rkvs_manager* manager, uint64_t* count,
                                         rkvs_error** error);
/* Of all namespaces. */
rkvs_status rkvs_manager_total_key_count(rkvs_manager* manager, uint64_t* count,
                                         rkvs_error** error);

/* ===== Managers: snapshots ==================================================================== */

/* A save is one instant of all it holds, and writers go on. It is RKVS_OK only when the file is
 * complete, synced and under its name; whatever fails, the file that was there before is there
 * still. The two files before it stay as FILE.1 and FILE.2.
 * Codes of all: RKVS_E_NO_PERSISTENCE, RKVS_E_INVALID_NAME, RKVS_E_IO, RKVS_E_CANCELLED. Of saves:
 * RKVS_E_DIRECTORY_LOCKED. Of loads: RKVS_E_SNAPSHOT_NOT_FOUND, RKVS_E_SNAPSHOT_CORRUPT,
 * RKVS_E_SNAPSHOT_VERSION, RKVS_E_NAMESPACE_EXISTS, RKVS_E_TOO_MANY_NAMESPACES,
 * RKVS_E_MEMORY_LIMIT. `options` may be NULL. */

rkvs_status rkvs_manager_save_all(rkvs_manager* manager, const char* file,
                                  const rkvs_operation_options* options, rkvs_error** error);
/* Codes: also RKVS_E_NAMESPACE_NOT_FOUND. */
rkvs_status rkvs_manager_save_namespace(rkvs_manager* manager, const char* name, const char* file,
                                        const rkvs_operation_options* options, rkvs_error** error);
/* Adds the one namespace that `file` holds, under its own name. `name` receives that name; may be
 * NULL. Codes: also RKVS_E_INVALID_ARGUMENT when the file holds none or several. */
rkvs_status rkvs_manager_load_namespace(rkvs_manager* manager, const char* file,
                                        const rkvs_operation_options* options, rkvs_value** name,
                                        rkvs_error** error);
/* The same as `new_name`; `from` is which namespace of the file, NULL = the only one. Codes: also
 * RKVS_E_NAMESPACE_NOT_FOUND when the file has no `from`. */
rkvs_status rkvs_manager_load_namespace_as(rkvs_manager* manager, const char* file,
                                           const char* new_name, const char* from,
                                           const rkvs_operation_options* options,
                                           rkvs_error** error);

/* ===== Managers: autosave ===================================================================== */

/* Starts to save the namespace by itself, and keeps the configuration, also in its files. Codes:
 * RKVS_E_AUTOSAVE_EXISTS, RKVS_E_NAMESPACE_NOT_FOUND, RKVS_E_NO_PERSISTENCE, RKVS_E_INVALID_NAME,
 * RKVS_E_INVALID_ARGUMENT (also when a running task writes the same files). */
rkvs_status rkvs_manager_add_namespace_autosave_task(rkvs_manager* manager, const char* name,
                                                     const rkvs_autosave_config* config,
                                                     rkvs_error** error);
/* Starts what was stopped or came from a file. Codes: RKVS_E_AUTOSAVE_NOT_CONFIGURED,
 * RKVS_E_AUTOSAVE_EXISTS, RKVS_E_NAMESPACE_NOT_FOUND, RKVS_E_INVALID_ARGUMENT. */
rkvs_status rkvs_manager_start_namespace_autosave_task(rkvs_manager* manager, const char* name,
                                                       rkvs_error** error);
/* Starts every task that is stopped and has something to save. `count`: how many; may be NULL.
 * When one cannot start the others do. Codes: those of the first that could not. */
rkvs_status rkvs_manager_start_missing_autosave_tasks(rkvs_manager* manager, uint64_t* count,
                                                      rkvs_error** error);
/* The manager's task first (its item is the empty text), the others by the names of their
 * namespaces, with rkvs_list_autosave_status for each. */
rkvs_status rkvs_manager_list_autosave_tasks(rkvs_manager* manager, rkvs_list** list,
                                             rkvs_error** error);
/* Codes: RKVS_E_INVALID_ARGUMENT for an index that is not there, or a list of something else. */
rkvs_status rkvs_list_autosave_status(const rkvs_list* list, size_t index,
                                      rkvs_autosave_status* status, rkvs_error** error);
/* Stop a task and wait for a save that is on; the configuration stays. Codes:
 * RKVS_E_AUTOSAVE_NOT_RUNNING; RKVS_E_WOULD_DEADLOCK from the log callback on autosave's thread. */
rkvs_status rkvs_manager_stop_namespace_autosave(rkvs_manager* manager, const char* name,
                                                 rkvs_error** error);
rkvs_status rkvs_manager_stop_manager_autosave(rkvs_manager* manager, rkvs_error** error);

/* ===== Namespaces: one key ==================================================================== */

/* A key over 1 MiB is RKVS_E_KEY_TOO_LARGE, before a byte of it is read. An item of a _multiple
 * batch with such a key is that only where the key is set, and RKVS_NOT_FOUND elsewhere. */

/* The name, ends with NUL, as long as the handle lives. NULL for what is no namespace. */
const char* rkvs_namespace_name(const rkvs_namespace* ns);
rkvs_namespace* rkvs_namespace_retain(rkvs_namespace* ns);
void rkvs_namespace_release(rkvs_namespace* ns);

/* The value of a key, without copying it. Codes: RKVS_NOT_FOUND. */
rkvs_status rkvs_namespace_get(rkvs_namespace* ns, const void* key, size_t key_size,
                               rkvs_value** value, rkvs_error** error);
/* The same, copied into the caller's buffer. `size` receives the size of the value; where it is
 * more than `capacity`, nothing is copied, and the status is RKVS_OK all the same: compare.
 * `buffer` may be NULL where `capacity` is 0. Codes: RKVS_NOT_FOUND. */
rkvs_status rkvs_namespace_get_into(rkvs_namespace* ns, const void* key, size_t key_size,
                                    void* buffer, size_t capacity, size_t* size,
                                    rkvs_error** error);
/* With the version of the entry: a number that only grows for a key and never comes back, not even
 * across delete, save and load. Codes: RKVS_NOT_FOUND. */
rkvs_status rkvs_namespace_get_with_version(rkvs_namespace* ns, const void* key, size_t key_size,
                                            rkvs_value** value, uint64_t* version,
                                            rkvs_error** error);
/* RKVS_OK if the key is there, RKVS_NOT_FOUND if not. */
rkvs_status rkvs_namespace_exists(rkvs_namespace* ns, const void* key, size_t key_size,
                                  rkvs_error** error);

/* Codes of all that write a value: RKVS_E_KEY_TOO_LARGE, RKVS_E_VALUE_TOO_LARGE,
 * RKVS_E_TOO_MANY_KEYS, RKVS_E_MEMORY_LIMIT; RKVS_E_INVALID_ARGUMENT for wrong options. `options`
 * may be NULL. */

/* Gives the key this value, whether or not it had one. `old_value`, if not NULL, receives the value
 * that was replaced, or NULL where there was none. */
rkvs_status rkvs_namespace_set(rkvs_namespace* ns, const void* key, size_t key_size,
                               const void* value, size_t value_size,
                               const rkvs_write_options* options, rkvs_value** old_value,
                               rkvs_error** error);
/* The same without the old value, and faster. */
rkvs_status rkvs_namespace_put(rkvs_namespace* ns, const void* key, size_t key_size,
                               const void* value, size_t value_size,
                               const rkvs_write_options* options, rkvs_error** error);
/* Stores a key that is absent. `version`: of the new entry; may be NULL. Codes: RKVS_EXISTS. */
rkvs_status rkvs_namespace_add(rkvs_namespace* ns, const void* key, size_t key_size,
                               const void* value, size_t value_size,
                               const rkvs_write_options* options, uint64_t* version,
                               rkvs_error** error);
/* Gives a key that is there another value. `old_value` may be NULL. Codes: RKVS_NOT_FOUND. */
rkvs_status rkvs_namespace_update(rkvs_namespace* ns, const void* key, size_t key_size,
                                  const void* value, size_t value_size,
                                  const rkvs_write_options* options, rkvs_value** old_value,
                                  rkvs_error** error);
/* Gives the key another value if its entry has this version still. `version`: the new one; may be
 * NULL. Codes: RKVS_NOT_FOUND, RKVS_VERSION_MISMATCH. */
rkvs_status rkvs_namespace_compare_and_set(rkvs_namespace* ns, const void* key, size_t key_size,
                                           uint64_t expected_version, const void* value,
                                           size_t value_size, const rkvs_write_options* options,
                                           uint64_t* version, rkvs_error** error);
/* Removes the key if its entry has this version still. Codes: RKVS_NOT_FOUND,
 * RKVS_VERSION_MISMATCH. */
rkvs_status rkvs_namespace_compare_and_delete(rkvs_namespace* ns, const void* key, size_t key_size,
                                              uint64_t expected_version, rkvs_error** error);
/* Removes the key. RKVS_OK if it was there, RKVS_NOT_FOUND if not. */
rkvs_status rkvs_namespace_delete_key(rkvs_namespace* ns, const void* key, size_t key_size,
                                      rkvs_error** error);
/* Removes the key and returns its value: of several callers exactly one gets it. Codes:
 * RKVS_NOT_FOUND. */
rkvs_status rkvs_namespace_consume(rkvs_namespace* ns, const void* key, size_t key_size,
                                   rkvs_value** value, rkvs_error** error);

/* How long the entry has left, rounded up to 1 at least; -1 if it does not expire. Codes:
 * RKVS_NOT_FOUND. */
rkvs_status rkvs_namespace_ttl(rkvs_namespace* ns, const void* key, size_t key_size,
                               int64_t* ttl_ms, rkvs_error** error);
/* Gives the entry the expiry of `options`, which must have one of its two. Codes: RKVS_NOT_FOUND,
 * RKVS_E_INVALID_ARGUMENT. */
rkvs_status rkvs_namespace_touch(rkvs_namespace* ns, const void* key, size_t key_size,
                                 const rkvs_write_options* options, rkvs_error** error);
/* Takes the expiry away. `had_expiry`: 1 if there was one, else 0; may be NULL. Codes:
 * RKVS_NOT_FOUND. */
rkvs_status rkvs_namespace_persist(rkvs_namespace* ns, const void* key, size_t key_size,
                                   int32_t* had_expiry, rkvs_error** error);

/* Add to, or take from, the decimal number that the value is. `options` may be NULL; `result`, the
 * new number, may be NULL. Codes: RKVS_E_NOT_A_NUMBER, RKVS_E_OVERFLOW; those of writes. */
rkvs_status rkvs_namespace_increment(rkvs_namespace* ns, const void* key, size_t key_size,
                                     int64_t delta, const rkvs_counter_options* options,
                                     int64_t* result, rkvs_error** error);
rkvs_status rkvs_namespace_decrement(rkvs_namespace* ns, const void* key, size_t key_size,
                                     int64_t delta, const rkvs_counter_options* options,
                                     int64_t* result, rkvs_error** error);

/* Called by rkvs_namespace_transform with the value of the key, NULL and 0 if it is absent (an
 * empty value is not NULL); the bytes are valid during the call. Says what shall become of it
 * through rkvs_transform_set or rkvs_transform_remove, of which the last call counts, and returns
 * RKVS_OK; with neither, or with another status, nothing changes. Where what it asked for did not
 * fit, it may be called once more, after room was made, with the value that the key has then: what
 * counts is the last answer, so it should do nothing but compute one.
 *
 * Runs with the lock of the key's shard held: it should be short. Operations on a store, a
 * namespace or a scan are RKVS_E_WOULD_DEADLOCK there, of any store, and it should not try;
 * functions that only read or release a handle do as ever. Must not throw. */
typedef rkvs_status (*rkvs_transform_callback)(void* user, const void* value, size_t value_size,
                                               rkvs_transform* transform);
/* For that callback alone. The bytes are copied. Codes: RKVS_E_VALUE_TOO_LARGE. */
rkvs_status rkvs_transform_set(rkvs_transform* transform, const void* value, size_t value_size);
rkvs_status rkvs_transform_remove(rkvs_transform* transform);
/* Reads, changes and writes a key with nobody in between the reading and the writing. `value`
 * receives the value that the key has afterwards, NULL for none; may be NULL. Keeps the expiry.
 * Codes: what the callback returned, if it was not RKVS_OK; those of writes. */
rkvs_status rkvs_namespace_transform(rkvs_namespace* ns, const void* key, size_t key_size,
                                     rkvs_transform_callback callback, void* user,
                                     rkvs_value** value, rkvs_error** error);

/* ===== Namespaces: batches ==================================================================== */

typedef int32_t rkvs_batch_mode;
enum {
  /* Checked first, then applied whole or not at all, in one instant; reads are of one instant. */
  RKVS_ALL_OR_NOTHING = 0,
  /* Every item that can be done is done. */
  RKVS_BEST_EFFORT = 1
};

/* Some bytes. */
typedef struct rkvs_slice {
  const void* data;
  size_t size;
} rkvs_slice;

/* Items act in input order, duplicates too. In the first form keys and values come as slices, in
 * the _packed one as bytes that follow each other: item i is the bytes from offsets[i] up to
 * offsets[i + 1], and `offsets` has count + 1 numbers that never fall.
 *
 * The status is RKVS_OK when all items are, or in best effort whatever they are; otherwise, in an
 * all-or-nothing batch, that of the first item that failed. `result` receives one status for each
 * item, in input order, also where the status is not RKVS_OK (but not where the arguments were
 * wrong, then it is NULL); it may be NULL. At most 2^31 - 1 items; RKVS_E_INVALID_ARGUMENT for
 * more, with the index in the error for a slice that is NULL and not empty, or offsets that fall.
 * Statuses of items are those of the operation on one key; RKVS_NOT_APPLIED for those that failed
 * only because their batch did. `options` may be NULL, and are those of all items. */

/* Items: the value. */
rkvs_status rkvs_namespace_get_multiple(rkvs_namespace* ns, const rkvs_slice* keys, size_t count,
                                        rkvs_batch_mode mode, rkvs_batch_result** result,
                                        rkvs_error** error);
rkvs_status rkvs_namespace_get_multiple_packed(rkvs_namespace* ns, const void* keys,
                                               const uint64_t* key_offsets, size_t count,
                                               rkvs_batch_mode mode, rkvs_batch_result** result,
                                               rkvs_error** error);
/* Items: RKVS_OK or RKVS_NOT_FOUND, which fails nothing. */
rkvs_status rkvs_namespace_exists_multiple(rkvs_namespace* ns, const rkvs_slice* keys, size_t count,
                                           rkvs_batch_mode mode, rkvs_batch_result** result,
                                           rkvs_error** error);
rkvs_status rkvs_namespace_exists_multiple_packed(rkvs_namespace* ns, const void* keys,
                                                  const uint64_t* key_offsets, size_t count,
                                                  rkvs_batch_mode mode, rkvs_batch_result** result,
                                                  rkvs_error** error);
/* Items: the value that was replaced, if there was one. */
rkvs_status rkvs_namespace_set_multiple(rkvs_namespace* ns, const rkvs_slice* keys,
                                        const rkvs_slice* values, size_t count,
                                        rkvs_batch_mode mode, const rkvs_write_options* options,
                                        rkvs_batch_result** result, rkvs_error** error);
rkvs_status rkvs_namespace_set_multiple_packed(rkvs_namespace* ns, const void* keys,
                                               const uint64_t* key_offsets, const void* values,
                                               const uint64_t* value_offsets, size_t count,
                                               rkvs_batch_mode mode,
                                               const rkvs_write_options* options,
                                               rkvs_batch_result** result, rkvs_error** error);
/* Items: the value that was replaced; RKVS_NOT_FOUND. */
rkvs_status rkvs_namespace_update_multiple(rkvs_namespace* ns, const rkvs_slice* keys,
                                           const rkvs_slice* values, size_t count,
                                           rkvs_batch_mode mode, const rkvs_write_options* options,
                                           rkvs_batch_result** result, rkvs_error** error);
rkvs_status rkvs_namespace_update_multiple_packed(rkvs_namespace* ns, const void* keys,
                                                  const uint64_t* key_offsets, const void* values,
                                                  const uint64_t* value_offsets, size_t count,
                                                  rkvs_batch_mode mode,
                                                  const rkvs_write_options* options,
                                                  rkvs_batch_result** result, rkvs_error** error);
/* Items: RKVS_NOT_FOUND for an absent key. */
rkvs_status rkvs_namespace_delete_multiple(rkvs_namespace* ns, const rkvs_slice* keys, size_t count,
                                           rkvs_batch_mode mode, rkvs_batch_result** result,
                                           rkvs_error** error);
rkvs_status rkvs_namespace_delete_multiple_packed(rkvs_namespace* ns, const void* keys,
                                                  const uint64_t* key_offsets, size_t count,
                                                  rkvs_batch_mode mode, rkvs_batch_result** result,
                                                  rkvs_error** error);
/* Items: the value that was removed; RKVS_NOT_FOUND. */
rkvs_status rkvs_namespace_consume_multiple(rkvs_namespace* ns, const rkvs_slice* keys,
                                            size_t count, rkvs_batch_mode mode,
                                            rkvs_batch_result** result, rkvs_error** error);
rkvs_status rkvs_namespace_consume_multiple_packed(rkvs_namespace* ns, const void* keys,
                                                   const uint64_t* key_offsets, size_t count,
                                                   rkvs_batch_mode mode, rkvs_batch_result** result,
                                                   rkvs_error** error);

/* --- Results -------------------------------------------------------------------------------- */

/* One item. The pointers live as long as the result. */
typedef struct rkvs_batch_item {
  uint32_t struct_size;
  rkvs_status status;
  int32_t has_value; /* 1 or 0 */
  uint32_t reserved;
  uint64_t version;  /* in atomic batches and scans; else 0 */
  const void* value; /* NULL without a value */
  size_t value_size;
  const void* key; /* in a scan; else NULL */
  size_t key_size;
} rkvs_batch_item;
rkvs_status rkvs_batch_item_init(rkvs_batch_item* item, size_t size);

/* All items in columns. The pointers live as long as the result. */
typedef struct rkvs_batch_view {
  uint32_t struct_size;
  rkvs_status status; /* of the batch as a whole */
  uint64_t count;
  uint64_t total_processed;      /* items that are RKVS_OK */
  uint64_t duration_ns;          /* of the operation */
  const rkvs_status* statuses;   /* count of them */
  const uint64_t* versions;      /* count of them */
  const uint8_t* has_value;      /* count of them, 1 or 0 */
  const void* values;            /* item i: from value_offsets[i] to value_offsets[i + 1] */
  const uint64_t* value_offsets; /* count + 1 of them */
  const void* keys;              /* in a scan; else NULL */
  const uint64_t* key_offsets;   /* in a scan; else NULL */
} rkvs_batch_view;
rkvs_status rkvs_batch_view_init(rkvs_batch_view* view, size_t size);

size_t rkvs_batch_result_count(const rkvs_batch_result* result);
/* The status of the batch as a whole, and of one item; RKVS_E_INVALID_ARGUMENT for an index that is
 * not there. */
rkvs_status rkvs_batch_result_status(const rkvs_batch_result* result);
rkvs_status rkvs_batch_result_item_status(const rkvs_batch_result* result, size_t index);
/* An item, without copying its bytes. Codes: RKVS_E_INVALID_ARGUMENT for an index that is not
 * there. */
rkvs_status rkvs_batch_result_item(const rkvs_batch_result* result, size_t index,
                                   rkvs_batch_item* item, rkvs_error** error);
/* The value of an item as a handle of its own, which may outlive the result; NULL if it has none.
 */
rkvs_value* rkvs_batch_result_value(const rkvs_batch_result* result, size_t index);
/* All items in columns. Values and keys are copied together when it is first called, and only
 * then. Codes: RKVS_E_NO_MEMORY. */
rkvs_status rkvs_batch_result_view(rkvs_batch_result* result, rkvs_batch_view* view,
                                   rkvs_error** error);
rkvs_batch_result* rkvs_batch_result_retain(rkvs_batch_result* result);
void rkvs_batch_result_release(rkvs_batch_result* result);

/* --- Atomic batches -------------------------------------------------------------------------- */

/* A list of operations of different kinds, which rkvs_namespace_apply does at one instant, all or
 * none, each seeing what those before it did. What is an outcome of the operation on one key
 * (RKVS_NOT_FOUND, RKVS_EXISTS, RKVS_VERSION_MISMATCH) fails the batch. Bytes are copied when they
 * are added. To be filled by one thread at a time; may be applied by many, and again. */

rkvs_status rkvs_atomic_batch_create(rkvs_atomic_batch** batch, rkvs_error** error);
rkvs_atomic_batch* rkvs_atomic_batch_retain(rkvs_atomic_batch* batch);
void rkvs_atomic_batch_release(rkvs_atomic_batch* batch);
size_t rkvs_atomic_batch_size(const rkvs_atomic_batch* batch);
rkvs_status rkvs_atomic_batch_clear(rkvs_atomic_batch* batch, rkvs_error** error);

/* `options` may be NULL everywhere. */
rkvs_status rkvs_atomic_batch_set(rkvs_atomic_batch* batch, const void* key, size_t key_size,
                                  const void* value, size_t value_size,
                                  const rkvs_write_options* options, rkvs_error** error);
rkvs_status rkvs_atomic_batch_add(rkvs_atomic_batch* batch, const void* key, size_t key_size,
                                  const void* value, size_t value_size,
                                  const rkvs_write_options* options, rkvs_error** error);
rkvs_status rkvs_atomic_batch_update(rkvs_atomic_batch* batch, const void* key, size_t key_size,
                                     const void* value, size_t value_size,
                                     const rkvs_write_options* options, rkvs_error** error);
rkvs_status rkvs_atomic_batch_delete_key(rkvs_atomic_batch* batch, const void* key, size_t key_size,
                                         rkvs_error** error);
rkvs_status rkvs_atomic_batch_consume(rkvs_atomic_batch* batch, const void* key, size_t key_size,
                                      rkvs_error** error);
rkvs_status rkvs_atomic_batch_compare_and_set(rkvs_atomic_batch* batch, const void* key,
                                              size_t key_size, uint64_t expected_version,
                                              const void* value, size_t value_size,
                                              const rkvs_write_options* options,
                                              rkvs_error** error);
rkvs_status rkvs_atomic_batch_compare_and_delete(rkvs_atomic_batch* batch, const void* key,
                                                 size_t key_size, uint64_t expected_version,
                                                 rkvs_error** error);
/* Items: the new number, as decimal digits. */
rkvs_status rkvs_atomic_batch_increment(rkvs_atomic_batch* batch, const void* key, size_t key_size,
                                        int64_t delta, const rkvs_counter_options* options,
                                        rkvs_error** error);
rkvs_status rkvs_atomic_batch_decrement(rkvs_atomic_batch* batch, const void* key, size_t key_size,
                                        int64_t delta, const rkvs_counter_options* options,
                                        rkvs_error** error);
/* These change nothing, and fail the batch unless they hold. */
rkvs_status rkvs_atomic_batch_check_version(rkvs_atomic_batch* batch, const void* key,
                                            size_t key_size, uint64_t expected_version,
                                            rkvs_error** error);
rkvs_status rkvs_atomic_batch_check_exists(rkvs_atomic_batch* batch, const void* key,
                                           size_t key_size, rkvs_error** error);
rkvs_status rkvs_atomic_batch_check_absent(rkvs_atomic_batch* batch, const void* key,
                                           size_t key_size, rkvs_error** error);

/* Does all of it, or nothing. `result` as for other batches. Codes: those of what is in it. */
rkvs_status rkvs_namespace_apply(rkvs_namespace* ns, rkvs_atomic_batch* batch,
                                 rkvs_batch_result** result, rkvs_error** error);

/* ===== Namespaces: all keys =================================================================== */

/* All keys, in no particular order: one that is there during the whole call is in the list exactly
 * once. */
rkvs_status rkvs_namespace_list_keys(rkvs_namespace* ns, rkvs_list** keys, rkvs_error** error);

/* Begins a walk through all keys, in no particular order. A key that is there during the whole walk
 * comes exactly once, whatever is written and resized meanwhile. `options`: NULL = all, with
 * values. Works on every handle: of a namespace that has ended the steps say so. */
rkvs_status rkvs_namespace_scan_open(rkvs_namespace* ns, const rkvs_scan_options* options,
                                     rkvs_scan** scan, rkvs_error** error);
/* Up to `limit` items with keys, values and versions, fewer where a step found fewer; none is
 * possible before the end. The walk goes on after an error. A scan does one step at a time. Codes:
 * RKVS_E_INVALID_ARGUMENT for a limit of 0; RKVS_E_BUSY while another step is on. */
rkvs_status rkvs_scan_next(rkvs_scan* scan, size_t limit, rkvs_batch_result** items,
                           rkvs_error** error);
/* 1 when everything has been returned, else 0; an error for a handle that is none. While a step is
 * on: 0. */
rkvs_status rkvs_scan_is_done(rkvs_scan* scan);
rkvs_scan* rkvs_scan_retain(rkvs_scan* scan);
void rkvs_scan_release(rkvs_scan* scan);

/* Removes the keys that begin with `prefix`, shard by shard. `count`: how many there were; may be
 * NULL. When it fails, some are removed. */
rkvs_status rkvs_namespace_delete_prefix(rkvs_namespace* ns, const void* prefix, size_t prefix_size,
                                         uint64_t* count, rkvs_error** error);
/* Removes all keys at one instant. `count` may be NULL. */
rkvs_status rkvs_namespace_clear(rkvs_namespace* ns, uint64_t* count, rkvs_error** error);

/* ===== Namespaces: limits, shards, figures ==================================================== */

/* What is in force. `config->struct_size` is set by the caller. Works on every handle. */
rkvs_status rkvs_namespace_get_config(rkvs_namespace* ns, rkvs_namespace_config* config,
                                      rkvs_error** error);
/* The item at `index` of a list that rkvs_namespace_get_config_async made. Codes:
 * RKVS_E_INVALID_ARGUMENT for an index that is not there, or a list of something else. */
rkvs_status rkvs_list_namespace_config(const rkvs_list* list, size_t index,
                                       rkvs_namespace_config* config, rkvs_error** error);
/* Each: 0 = no limit. Codes: RKVS_E_LIMIT_BELOW_USE when more is in use (keys, bytes);
 * RKVS_E_INVALID_ARGUMENT above 1 GiB (value size). */
rkvs_status rkvs_namespace_set_max_keys(rkvs_namespace* ns, uint64_t max_keys, rkvs_error** error);
rkvs_status rkvs_namespace_set_max_bytes(rkvs_namespace* ns, uint64_t max_bytes,
                                         rkvs_error** error);
rkvs_status rkvs_namespace_set_max_value_size(rkvs_namespace* ns, uint64_t max_value_size,
                                              rkvs_error** error);
/* 1 ms to one hour, else RKVS_E_INVALID_ARGUMENT. */
rkvs_status rkvs_namespace_set_lock_timeout(rkvs_namespace* ns, uint64_t lock_timeout_ms,
                                            rkvs_error** error);
/* Checks everything, then applies everything, or nothing; then moves the shards. Fields that are 0
 * become their defaults. Codes: RKVS_E_INVALID_ARGUMENT, RKVS_E_LIMIT_BELOW_USE, RKVS_E_BUSY. */
rkvs_status rkvs_namespace_update_config(rkvs_namespace* ns, const rkvs_namespace_config* config,
                                         rkvs_error** error);
/* Moves the data to so many shards, in steps of microseconds, while all other operations go on; 0 =
 * automatic again. Codes: RKVS_E_INVALID_ARGUMENT above 4096, RKVS_E_BUSY while another resize
 * runs, RKVS_E_CANCELLED with everything moved back. */
rkvs_status rkvs_namespace_resize_shards(rkvs_namespace* ns, uint32_t shard_count,
                                         const rkvs_operation_options* options, rkvs_error** error);
/* All figures of one instant. `stats->struct_size` is set by the caller. */
rkvs_status rkvs_namespace_metadata(rkvs_namespace* ns, rkvs_namespace_stats* stats,
                                    rkvs_error** error);
/* Of each shard, of one instant: fills up to `capacity` items of `item_size` bytes (sizeof
 * (rkvs_shard_stats)) each. `count`: how many shards there are. */
rkvs_status rkvs_namespace_shard_stats(rkvs_namespace* ns, rkvs_shard_stats* stats,
                                       size_t item_size, size_t capacity, size_t* count,
                                       rkvs_error** error);
/* The item at `index` of a list that rkvs_namespace_shard_stats_async made, into `item_size` bytes.
 * Codes: RKVS_E_INVALID_ARGUMENT for an index that is not there, or a list of something else. */
rkvs_status rkvs_list_shard_stats(const rkvs_list* list, size_t index, rkvs_shard_stats* stats,
                                  size_t item_size, rkvs_error** error);
/* The number of keys of each shard, of one instant; up to `capacity` of them. */
rkvs_status rkvs_namespace_shard_key_counts(rkvs_namespace* ns, uint64_t* counts, size_t capacity,
                                            size_t* count, rkvs_error** error);

/* ===== Asynchronous calls ===================================================================== */

/* What a completion is of: the operation with this name. */
typedef int32_t rkvs_operation_kind;
enum {
  RKVS_OP_NONE = 0,
  RKVS_OP_GET = 1,
  RKVS_OP_GET_WITH_VERSION = 2,
  RKVS_OP_EXISTS = 3,
  RKVS_OP_SET = 4,
  RKVS_OP_PUT = 5,
  RKVS_OP_ADD = 6,
  RKVS_OP_UPDATE = 7,
  RKVS_OP_COMPARE_AND_SET = 8,
  RKVS_OP_COMPARE_AND_DELETE = 9,
  RKVS_OP_DELETE_KEY = 10,
  RKVS_OP_CONSUME = 11,
  RKVS_OP_TTL = 12,
  RKVS_OP_TOUCH = 13,
  RKVS_OP_PERSIST = 14,
  RKVS_OP_INCREMENT = 15,
  RKVS_OP_DECREMENT = 16,
  RKVS_OP_GET_INTO = 17,
  RKVS_OP_TRANSFORM = 18,
  RKVS_OP_GET_MULTIPLE = 32,
  RKVS_OP_EXISTS_MULTIPLE = 33,
  RKVS_OP_SET_MULTIPLE = 34,
  RKVS_OP_UPDATE_MULTIPLE = 35,
  RKVS_OP_DELETE_MULTIPLE = 36,
  RKVS_OP_CONSUME_MULTIPLE = 37,
  RKVS_OP_APPLY = 38,
  RKVS_OP_SCAN_NEXT = 39,
  RKVS_OP_LIST_KEYS = 40,
  RKVS_OP_DELETE_PREFIX = 41,
  RKVS_OP_CLEAR = 42,
  RKVS_OP_RESIZE_SHARDS = 43,
  RKVS_OP_UPDATE_CONFIG = 44, /* rkvs_namespace_update_config */
  RKVS_OP_GET_CONFIG = 45,    /* rkvs_namespace_get_config */
  RKVS_OP_SET_MAX_KEYS = 46,
  RKVS_OP_SET_MAX_BYTES = 47,
  RKVS_OP_SET_MAX_VALUE_SIZE = 48,
  RKVS_OP_SET_LOCK_TIMEOUT = 49,
  RKVS_OP_METADATA = 50,
  RKVS_OP_SHARD_STATS = 51,
  RKVS_OP_SHARD_KEY_COUNTS = 52,
  RKVS_OP_INITIALIZE_FILE = 64,
  RKVS_OP_DELETE_NAMESPACE = 65,
  RKVS_OP_CLONE_NAMESPACE = 66,
  RKVS_OP_SAVE_ALL = 67,
  RKVS_OP_SAVE_NAMESPACE = 68,
  RKVS_OP_LOAD_NAMESPACE = 69,
  RKVS_OP_LOAD_NAMESPACE_AS = 70,
  RKVS_OP_INITIALIZE = 71,
  RKVS_OP_LOAD_REPORT = 72,
  RKVS_OP_CLOSE = 73,
  RKVS_OP_CREATE_NAMESPACE = 74,
  RKVS_OP_GET_NAMESPACE = 75,
  RKVS_OP_LIST_NAMESPACES = 76,
  RKVS_OP_UPDATE_NAMESPACE_CONFIG = 77,
  RKVS_OP_MANAGER_GET_CONFIG = 78,
  RKVS_OP_MANAGER_UPDATE_CONFIG = 79,
  RKVS_OP_NAMESPACE_STATS = 80,
  RKVS_OP_ALL_NAMESPACE_STATS = 81,
  RKVS_OP_METRICS_TEXT = 82,
  RKVS_OP_NAMESPACE_COUNT = 83,
  RKVS_OP_TOTAL_KEY_COUNT = 84,
  RKVS_OP_ADD_NAMESPACE_AUTOSAVE_TASK = 85,
  RKVS_OP_START_NAMESPACE_AUTOSAVE_TASK = 86,
  RKVS_OP_START_MISSING_AUTOSAVE_TASKS = 87,
  RKVS_OP_LIST_AUTOSAVE_TASKS = 88,
  RKVS_OP_STOP_NAMESPACE_AUTOSAVE = 89,
  RKVS_OP_STOP_MANAGER_AUTOSAVE = 90
};

/* What came of an operation. Parts that its kind does not have are NULL and 0. The handles in it
 * are owned, by whom is said in ASYNCHRONOUS CALLS above. This structure never changes its size. */
typedef struct rkvs_completion {
  uint64_t tag;             /* as in rkvs_async */
  void* user;               /* as in rkvs_async */
  rkvs_status status;       /* what the synchronous form would have returned */
  rkvs_operation_kind kind; /* RKVS_OP_... */
  rkvs_value* value;        /* get, get_with_version, consume: the value; set, update: the old one;
                               transform: the new one; load_namespace: the name; metrics_text */
  const void* data;         /* its bytes; get_into: the buffer, NULL where the value did not fit */
  uint64_t size;            /* and how many; get_into: the size of the value, fit or not */
  uint64_t version;         /* get_with_version, add, compare_and_set */
  int64_t number;           /* increment, decrement: the result; ttl: ms or -1; persist: had_expiry;
                               delete_prefix, clear, start_missing_autosave_tasks, namespace_count,
                               total_key_count: the count; scan_next: 1 if it is done */
  rkvs_batch_result* batch; /* the _multiple ones, apply, scan_next */
  rkvs_list* list;          /* list_keys, list_namespaces, list_autosave_tasks, namespace_stats,
                               all_namespace_stats, metadata, get_config, shard_stats,
                               shard_key_counts, load_report: see there */
  rkvs_namespace* ns;       /* create_namespace, get_namespace, clone_namespace */
  rkvs_error* error;        /* why, where status is negative; NULL where there is no more to say */
  uint64_t reserved[3];     /* 0 */
} rkvs_completion;

/* Adds a reference to every handle in it: afterwards a copy of the structure is as good as the
 * original, and both are to be cleared. */
void rkvs_completion_retain(const rkvs_completion* completion);
/* Releases every handle in it and fills it with zeros. Does nothing for NULL. */
void rkvs_completion_clear(rkvs_completion* completion);

/* See ASYNCHRONOUS CALLS. Must not throw. */
typedef void (*rkvs_callback)(void* user, const rkvs_completion* completion);

/* For rkvs_async.flags. */
enum {
  RKVS_ALLOW_INLINE = 1 /* RKVS_DONE is welcome */
};

/* How an asynchronous call completes. Exactly one of queue and callback is given. */
typedef struct rkvs_async {
  uint32_t struct_size;
  uint32_t flags;    /* RKVS_ALLOW_INLINE */
  rkvs_queue* queue; /* kept alive until the operation has completed */
  rkvs_callback callback;
  void* user;                      /* handed back; never followed */
  uint64_t tag;                    /* handed back */
  uint64_t timeout_ms;             /* 0 = the namespace's lock_timeout; UINT64_MAX = for ever */
  rkvs_progress_callback progress; /* of long operations; NULL = none. Called on a thread of rkvs */
  void* progress_user;
} rkvs_async;
rkvs_status rkvs_async_init(rkvs_async* how, size_t size);

/* --- Queues ---------------------------------------------------------------------------------- */

/* Serves any number of managers and threads. */
rkvs_status rkvs_queue_create(rkvs_queue** queue, rkvs_error** error);
/* A file descriptor that is readable while the queue holds completions, or was closed. Belongs to
 * the queue: to be watched, not to be read, written or closed. -1 for a handle that is none. */
int32_t rkvs_queue_fd(rkvs_queue* queue);
/* Moves up to `capacity` completions into `completions`, in the order of their arrival; their parts
 * belong to the caller. `count`: how many, 0 when there are none. Never waits. Codes: RKVS_E_CLOSED
 * when the queue was closed, is empty, and no operation is on its way to it. */
rkvs_status rkvs_queue_poll(rkvs_queue* queue, rkvs_completion* completions, size_t capacity,
                            size_t* count, rkvs_error** error);
/* Waits until the queue holds something; timeout_ms below 0 = for ever. Codes: RKVS_E_TIMEOUT;
 * RKVS_E_CLOSED as above; RKVS_E_WOULD_DEADLOCK from a callback of this library. */
rkvs_status rkvs_queue_wait(rkvs_queue* queue, int64_t timeout_ms, rkvs_error** error);
/* From now on asynchronous calls with this queue are RKVS_E_CLOSED. What is in flight goes on, and
 * its completions can be polled still. Wakes all who wait. A second call changes nothing. */
rkvs_status rkvs_queue_close(rkvs_queue* queue, rkvs_error** error);
rkvs_queue* rkvs_queue_retain(rkvs_queue* queue);
/* With the last reference gone, what is in the queue is released, and so is what operations in
 * flight bring later; those go on. */
void rkvs_queue_release(rkvs_queue* queue);

/* --- Operations ------------------------------------------------------------------------------ */

/* Asks the operation to end early. It completes all the same, once. RKVS_OK if it had not completed
 * yet, RKVS_DONE if it had. Never waits. */
rkvs_status rkvs_operation_cancel(rkvs_operation* operation, rkvs_error** error);
rkvs_operation* rkvs_operation_retain(rkvs_operation* operation);
/* Gives a reference back; the operation goes on. A handle that is kept keeps neither queue nor
 * store once the operation has completed. */
void rkvs_operation_release(rkvs_operation* operation);

/* --- Namespaces ------------------------------------------------------------------------------ */

/* Each does what the function without _async does; rkvs_completion says where its outputs are.
 *   how        to whom it completes; copied
 *   out        receives the completion where the call returns RKVS_DONE; its parts then belong to
 *              the caller. May be NULL: then it never does
 *   operation  receives a handle for cancelling where the call returns RKVS_PENDING, else NULL.
 *              May be NULL
 *   error      why the call was refused
 * Codes: RKVS_DONE, RKVS_PENDING; RKVS_E_INVALID_ARGUMENT, RKVS_E_UNSUPPORTED, RKVS_E_NO_MEMORY,
 * RKVS_E_FORKED, RKVS_E_CLOSED (a closed queue; a closed manager may refuse or complete with it).
 * The completion's status is what the synchronous form can return, or RKVS_E_CANCELLED. */

rkvs_status rkvs_namespace_get_async(rkvs_namespace* ns, const void* key, size_t key_size,
                                     const rkvs_async* how, rkvs_completion* out,
                                     rkvs_operation** operation, rkvs_error** error);
/* `buffer` belongs to the operation until it has completed: it must stay, and nobody may read or
 * write it. It holds the value where the completion's data is not NULL. */
rkvs_status rkvs_namespace_get_into_async(rkvs_namespace* ns, const void* key, size_t key_size,
                                          void* buffer, size_t capacity, const rkvs_async* how,
                                          rkvs_completion* out, rkvs_operation** operation,
                                          rkvs_error** error);
rkvs_status rkvs_namespace_get_with_version_async(rkvs_namespace* ns, const void* key,
                                                  size_t key_size, const rkvs_async* how,
                                                  rkvs_completion* out, rkvs_operation** operation,
                                                  rkvs_error** error);
rkvs_status rkvs_namespace_exists_async(rkvs_namespace* ns, const void* key, size_t key_size,
                                        const rkvs_async* how, rkvs_completion* out,
                                        rkvs_operation** operation, rkvs_error** error);
rkvs_status rkvs_namespace_set_async(rkvs_namespace* ns, const void* key, size_t key_size,
                                     const void* value, size_t value_size,
                                     const rkvs_write_options* options, const rkvs_async* how,
                                     rkvs_completion* out, rkvs_operation** operation,
                                     rkvs_error** error);
rkvs_status rkvs_namespace_put_async(rkvs_namespace* ns, const void* key, size_t key_size,
                                     const void* value, size_t value_size,
                                     const rkvs_write_options* options, const rkvs_async* how,
                                     rkvs_completion* out, rkvs_operation** operation,
                                     rkvs_error** error);
rkvs_status rkvs_namespace_add_async(rkvs_namespace* ns, const void* key, size_t key_size,
                                     const void* value, size_t value_size,
                                     const rkvs_write_options* options, const rkvs_async* how,
                                     rkvs_completion* out, rkvs_operation** operation,
                                     rkvs_error** error);
rkvs_status rkvs_namespace_update_async(rkvs_namespace* ns, const void* key, size_t key_size,
                                        const void* value, size_t value_size,
                                        const rkvs_write_options* options, const rkvs_async* how,
                                        rkvs_completion* out, rkvs_operation** operation,
                                        rkvs_error** error);
rkvs_status rkvs_namespace_compare_and_set_async(rkvs_namespace* ns, const void* key,
                                                 size_t key_size, uint64_t expected_version,
                                                 const void* value, size_t value_size,
                                                 const rkvs_write_options* options,
                                                 const rkvs_async* how, rkvs_completion* out,
                                                 rkvs_operation** operation, rkvs_error** error);
rkvs_status rkvs_namespace_compare_and_delete_async(rkvs_namespace* ns, const void* key,
                                                    size_t key_size, uint64_t expected_version,
                                                    const rkvs_async* how, rkvs_completion* out,
                                                    rkvs_operation** operation, rkvs_error** error);
rkvs_status rkvs_namespace_delete_key_async(rkvs_namespace* ns, const void* key, size_t key_size,
                                            const rkvs_async* how, rkvs_completion* out,
                                            rkvs_operation** operation, rkvs_error** error);
rkvs_status rkvs_namespace_consume_async(rkvs_namespace* ns, const void* key, size_t key_size,
                                         const rkvs_async* how, rkvs_completion* out,
                                         rkvs_operation** operation, rkvs_error** error);
rkvs_status rkvs_namespace_ttl_async(rkvs_namespace* ns, const void* key, size_t key_size,
                                     const rkvs_async* how, rkvs_completion* out,
                                     rkvs_operation** operation, rkvs_error** error);
rkvs_status rkvs_namespace_touch_async(rkvs_namespace* ns, const void* key, size_t key_size,
                                       const rkvs_write_options* options, const rkvs_async* how,
                                       rkvs_completion* out, rkvs_operation** operation,
                                       rkvs_error** error);
rkvs_status rkvs_namespace_persist_async(rkvs_namespace* ns, const void* key, size_t key_size,
                                         const rkvs_async* how, rkvs_completion* out,
                                         rkvs_operation** operation, rkvs_error** error);
rkvs_status rkvs_namespace_increment_async(rkvs_namespace* ns, const void* key, size_t key_size,
                                           int64_t delta, const rkvs_counter_options* options,
                                           const rkvs_async* how, rkvs_completion* out,
                                           rkvs_operation** operation, rkvs_error** error);
rkvs_status rkvs_namespace_decrement_async(rkvs_namespace* ns, const void* key, size_t key_size,
                                           int64_t delta, const rkvs_counter_options* options,
                                           const rkvs_async* how, rkvs_completion* out,
                                           rkvs_operation** operation, rkvs_error** error);
/* `callback` is called on this thread, by this function, where the lock can be had at once,
 * otherwise on one of rkvs; not at all where the operation ends before its turn. `user` is handed
 * to it; that of `how` to the completion. */
rkvs_status rkvs_namespace_transform_async(rkvs_namespace* ns, const void* key, size_t key_size,
                                           rkvs_transform_callback callback, void* user,
                                           const rkvs_async* how, rkvs_completion* out,
                                           rkvs_operation** operation, rkvs_error** error);

rkvs_status rkvs_namespace_get_multiple_async(rkvs_namespace* ns, const rkvs_slice* keys,
                                              size_t count, rkvs_batch_mode mode,
                                              const rkvs_async* how, rkvs_completion* out,
                                              rkvs_operation** operation, rkvs_error** error);
rkvs_status rkvs_namespace_get_multiple_packed_async(rkvs_namespace* ns, const void* keys,
                                                     const uint64_t* key_offsets, size_t count,
                                                     rkvs_batch_mode mode, const rkvs_async* how,
                                                     rkvs_completion* out,
                                                     rkvs_operation** operation,
                                                     rkvs_error** error);
rkvs_status rkvs_namespace_exists_multiple_async(rkvs_namespace* ns, const rkvs_slice* keys,
                                                 size_t count, rkvs_batch_mode mode,
                                                 const rkvs_async* how, rkvs_completion* out,
                                                 rkvs_operation** operation, rkvs_error** error);
rkvs_status rkvs_namespace_exists_multiple_packed_async(rkvs_namespace* ns, const void* keys,
                                                        const uint64_t* key_offsets, size_t count,
                                                        rkvs_batch_mode mode, const rkvs_async* how,
                                                        rkvs_completion* out,
                                                        rkvs_operation** operation,
                                                        rkvs_error** error);
rkvs_status rkvs_namespace_set_multiple_async(rkvs_namespace* ns, const rkvs_slice* keys,
                                              const rkvs_slice* values, size_t count,
                                              rkvs_batch_mode mode,
                                              const rkvs_write_options* options,
                                              const rkvs_async* how, rkvs_completion* out,
                                              rkvs_operation** operation, rkvs_error** error);
rkvs_status rkvs_namespace_set_multiple_packed_async(
    rkvs_namespace* ns, const void* keys, const uint64_t* key_offsets, const void* values,
    const uint64_t* value_offsets, size_t count, rkvs_batch_mode mode,
    const rkvs_write_options* options, const rkvs_async* how, rkvs_completion* out,
    rkvs_operation** operation, rkvs_error** error);
rkvs_status rkvs_namespace_update_multiple_async(rkvs_namespace* ns, const rkvs_slice* keys,
                                                 const rkvs_slice* values, size_t count,
                                                 rkvs_batch_mode mode,
                                                 const rkvs_write_options* options,
                                                 const rkvs_async* how, rkvs_completion* out,
                                                 rkvs_operation** operation, rkvs_error** error);
rkvs_status rkvs_namespace_update_multiple_packed_async(
    rkvs_namespace* ns, const void* keys, const uint64_t* key_offsets, const void* values,
    const uint64_t* value_offsets, size_t count, rkvs_batch_mode mode,
    const rkvs_write_options* options, const rkvs_async* how, rkvs_completion* out,
    rkvs_operation** operation, rkvs_error** error);
rkvs_status rkvs_namespace_delete_multiple_async(rkvs_namespace* ns, const rkvs_slice* keys,
                                                 size_t count, rkvs_batch_mode mode,
                                                 const rkvs_async* how, rkvs_completion* out,
                                                 rkvs_operation** operation, rkvs_error** error);
rkvs_status rkvs_namespace_delete_multiple_packed_async(rkvs_namespace* ns, const void* keys,
                                                        const uint64_t* key_offsets, size_t count,
                                                        rkvs_batch_mode mode, const rkvs_async* how,
                                                        rkvs_completion* out,
                                                        rkvs_operation** operation,
                                                        rkvs_error** error);
rkvs_status rkvs_namespace_consume_multiple_async(rkvs_namespace* ns, const rkvs_slice* keys,
                                                  size_t count, rkvs_batch_mode mode,
                                                  const rkvs_async* how, rkvs_completion* out,
                                                  rkvs_operation** operation, rkvs_error** error);
rkvs_status rkvs_namespace_consume_multiple_packed_async(
    rkvs_namespace* ns, const void* keys, const uint64_t* key_offsets, size_t count,
    rkvs_batch_mode mode, const rkvs_async* how, rkvs_completion* out, rkvs_operation** operation,
    rkvs_error** error);

/* The batch may be changed at once; the operation has what was in it. */
rkvs_status rkvs_namespace_apply_async(rkvs_namespace* ns, rkvs_atomic_batch* batch,
                                       const rkvs_async* how, rkvs_completion* out,
                                       rkvs_operation** operation, rkvs_error** error);
/* Codes: also RKVS_E_BUSY while another step is on. */
rkvs_status rkvs_scan_next_async(rkvs_scan* scan, size_t limit, const rkvs_async* how,
                                 rkvs_completion* out, rkvs_operation** operation,
                                 rkvs_error** error);
rkvs_status rkvs_namespace_list_keys_async(rkvs_namespace* ns, const rkvs_async* how,
                                           rkvs_completion* out, rkvs_operation** operation,
                                           rkvs_error** error);
rkvs_status rkvs_namespace_delete_prefix_async(rkvs_namespace* ns, const void* prefix,
                                               size_t prefix_size, const rkvs_async* how,
                                               rkvs_completion* out, rkvs_operation** operation,
                                               rkvs_error** error);
rkvs_status rkvs_namespace_clear_async(rkvs_namespace* ns, const rkvs_async* how,
                                       rkvs_completion* out, rkvs_operation** operation,
                                       rkvs_error** error);
rkvs_status rkvs_namespace_resize_shards_async(rkvs_namespace* ns, uint32_t shard_count,
                                               const rkvs_async* how, rkvs_completion* out,
                                               rkvs_operation** operation, rkvs_error** error);
/* A list with the name of the namespace, for rkvs_list_namespace_config. */
rkvs_status rkvs_namespace_get_config_async(rkvs_namespace* ns, const rkvs_async* how,
                                            rkvs_completion* out, rkvs_operation** operation,
                                            rkvs_error** error);
rkvs_status rkvs_namespace_set_max_keys_async(rkvs_namespace* ns, uint64_t max_keys,
                                              const rkvs_async* how, rkvs_completion* out,
                                              rkvs_operation** operation, rkvs_error** error);
rkvs_status rkvs_namespace_set_max_bytes_async(rkvs_namespace* ns, uint64_t max_bytes,
                                               const rkvs_async* how, rkvs_completion* out,
                                               rkvs_operation** operation, rkvs_error** error);
rkvs_status rkvs_namespace_set_max_value_size_async(rkvs_namespace* ns, uint64_t max_value_size,
                                                    const rkvs_async* how, rkvs_completion* out,
                                                    rkvs_operation** operation, rkvs_error** error);
rkvs_status rkvs_namespace_set_lock_timeout_async(rkvs_namespace* ns, uint64_t lock_timeout_ms,
                                                  const rkvs_async* how, rkvs_completion* out,
                                                  rkvs_operation** operation, rkvs_error** error);
rkvs_status rkvs_namespace_update_config_async(rkvs_namespace* ns,
                                               const rkvs_namespace_config* config,
                                               const rkvs_async* how, rkvs_completion* out,
                                               rkvs_operation** operation, rkvs_error** error);
/* A list with the name of the namespace, for rkvs_list_namespace_stats. */
rkvs_status rkvs_namespace_metadata_async(rkvs_namespace* ns, const rkvs_async* how,
                                          rkvs_completion* out, rkvs_operation** operation,
                                          rkvs_error** error);
/* A list with an item for each shard, which have no texts, for rkvs_list_shard_stats. */
rkvs_status rkvs_namespace_shard_stats_async(rkvs_namespace* ns, const rkvs_async* how,
                                             rkvs_completion* out, rkvs_operation** operation,
                                             rkvs_error** error);
/* The same for rkvs_list_numbers. */
rkvs_status rkvs_namespace_shard_key_counts_async(rkvs_namespace* ns, const rkvs_async* how,
                                                  rkvs_completion* out, rkvs_operation** operation,
                                                  rkvs_error** error);

/* --- Managers -------------------------------------------------------------------------------- */

rkvs_status rkvs_manager_initialize_async(rkvs_manager* manager, const rkvs_async* how,
                                          rkvs_completion* out, rkvs_operation** operation,
                                          rkvs_error** error);
rkvs_status rkvs_manager_initialize_file_async(rkvs_manager* manager, const char* file,
                                               const rkvs_async* how, rkvs_completion* out,
                                               rkvs_operation** operation, rkvs_error** error);
/* A list with the name of the file that was loaded, for rkvs_list_load_report. */
rkvs_status rkvs_manager_load_report_async(rkvs_manager* manager, const rkvs_async* how,
                                           rkvs_completion* out, rkvs_operation** operation,
                                           rkvs_error** error);
/* Ends the store on a thread of its own, also from a callback: the completion, which is the last
 * one of all, says what rkvs_manager_close would have returned. Never RKVS_DONE, nor RKVS_E_CLOSED
 * for a store that is closed. */
rkvs_status rkvs_manager_close_async(rkvs_manager* manager, const rkvs_async* how,
                                     rkvs_completion* out, rkvs_operation** operation,
                                     rkvs_error** error);

rkvs_status rkvs_manager_create_namespace_async(rkvs_manager* manager, const char* name,
                                                const rkvs_namespace_config* config,
                                                const rkvs_async* how, rkvs_completion* out,
                                                rkvs_operation** operation, rkvs_error** error);
rkvs_status rkvs_manager_get_namespace_async(rkvs_manager* manager, const char* name,
                                             const rkvs_async* how, rkvs_completion* out,
                                             rkvs_operation** operation, rkvs_error** error);
rkvs_status rkvs_manager_delete_namespace_async(rkvs_manager* manager, const char* name,
                                                const rkvs_async* how, rkvs_completion* out,
                                                rkvs_operation** operation, rkvs_error** error);
rkvs_status rkvs_manager_clone_namespace_async(rkvs_manager* manager, const char* name,
                                               const char* new_name, const rkvs_async* how,
                                               rkvs_completion* out, rkvs_operation** operation,
                                               rkvs_error** error);
rkvs_status rkvs_manager_list_namespaces_async(rkvs_manager* manager, const rkvs_async* how,
                                               rkvs_completion* out, rkvs_operation** operation,
                                               rkvs_error** error);
rkvs_status rkvs_manager_update_namespace_config_async(rkvs_manager* manager, const char* name,
                                                       const rkvs_namespace_config* config,
                                                       const rkvs_async* how, rkvs_completion* out,
                                                       rkvs_operation** operation,
                                                       rkvs_error** error);

/* A list with one item, which has no text, for rkvs_list_manager_config. */
rkvs_status rkvs_manager_get_config_async(rkvs_manager* manager, const rkvs_async* how,
                                          rkvs_completion* out, rkvs_operation** operation,
                                          rkvs_error** error);
rkvs_status rkvs_manager_update_config_async(rkvs_manager* manager,
                                             const rkvs_manager_config* config,
                                             const rkvs_async* how, rkvs_completion* out,
                                             rkvs_operation** operation, rkvs_error** error);
/* A list with this namespace alone, for rkvs_list_namespace_stats. */
rkvs_status rkvs_manager_namespace_stats_async(rkvs_manager* manager, const char* name,
                                               const rkvs_async* how, rkvs_completion* out,
                                               rkvs_operation** operation, rkvs_error** error);
rkvs_status rkvs_manager_all_namespace_stats_async(rkvs_manager* manager, const rkvs_async* how,
                                                   rkvs_completion* out, rkvs_operation** operation,
                                                   rkvs_error** error);
rkvs_status rkvs_manager_metrics_text_async(rkvs_manager* manager, const rkvs_async* how,
                                            rkvs_completion* out, rkvs_operation** operation,
                                            rkvs_error** error);
rkvs_status rkvs_manager_namespace_count_async(rkvs_manager* manager, const rkvs_async* how,
                                               rkvs_completion* out, rkvs_operation** operation,
                                               rkvs_error** error);
rkvs_status rkvs_manager_total_key_count_async(rkvs_manager* manager, const rkvs_async* how,
                                               rkvs_completion* out, rkvs_operation** operation,
                                               rkvs_error** error);

rkvs_status rkvs_manager_save_all_async(rkvs_manager* manager, const char* file,
                                        const rkvs_async* how, rkvs_completion* out,
                                        rkvs_operation** operation, rkvs_error** error);
rkvs_status rkvs_manager_save_namespace_async(rkvs_manager* manager, const char* name,
                                              const char* file, const rkvs_async* how,
                                              rkvs_completion* out, rkvs_operation** operation,
                                              rkvs_error** error);
rkvs_status rkvs_manager_load_namespace_async(rkvs_manager* manager, const char* file,
                                              const rkvs_async* how, rkvs_completion* out,
                                              rkvs_operation** operation, rkvs_error** error);
rkvs_status rkvs_manager_load_namespace_as_async(rkvs_manager* manager, const char* file,
                                                 const char* new_name, const char* from,
                                                 const rkvs_async* how, rkvs_completion* out,
                                                 rkvs_operation** operation, rkvs_error** error);

rkvs_status rkvs_manager_add_namespace_autosave_task_async(
    rkvs_manager* manager, const char* name, const rkvs_autosave_config* config,
    const rkvs_async* how, rkvs_completion* out, rkvs_operation** operation, rkvs_error** error);
rkvs_status rkvs_manager_start_namespace_autosave_task_async(
    rkvs_manager* manager, const char* name, const rkvs_async* how, rkvs_completion* out,
    rkvs_operation** operation, rkvs_error** error);
rkvs_status rkvs_manager_start_missing_autosave_tasks_async(rkvs_manager* manager,
                                                            const rkvs_async* how,
                                                            rkvs_completion* out,
                                                            rkvs_operation** operation,
                                                            rkvs_error** error);
rkvs_status rkvs_manager_list_autosave_tasks_async(rkvs_manager* manager, const rkvs_async* how,
                                                   rkvs_completion* out, rkvs_operation** operation,
                                                   rkvs_error** error);
rkvs_status rkvs_manager_stop_namespace_autosave_async(rkvs_manager* manager, const char* name,
                                                       const rkvs_async* how, rkvs_completion* out,
                                                       rkvs_operation** operation,
                                                       rkvs_error** error);
rkvs_status rkvs_manager_stop_manager_autosave_async(rkvs_manager* manager, const rkvs_async* how,
                                                     rkvs_completion* out,
                                                     rkvs_operation** operation,
                                                     rkvs_error** error);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* RKVS_H_ */

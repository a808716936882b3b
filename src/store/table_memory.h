// Memory for hash tables, obtained before a lock is taken and given back after it is released.
#ifndef RKVS_STORE_TABLE_MEMORY_H_
#define RKVS_STORE_TABLE_MEMORY_H_

#include <cstddef>

namespace rkvs::internal {

// Whoever is about to grow a table first adds a spare block here, off any lock, and the table then
// takes it from here and cannot fail. Blocks that tables drop meanwhile are kept until
// free_dropped(), which is called when no lock is held.
//
// All of it belongs to the calling thread.
class TableMemory {
 public:
  // Makes sure that a spare block of at least `bytes` is at hand; false where there is no memory.
  static bool add_spare(size_t bytes) noexcept;
  // Makes sure that each of `count` blocks can be served one after another.
  static bool add_spares(const size_t* bytes, size_t count) noexcept;
  static bool has_spare(size_t bytes) noexcept;
  // Frees what tables dropped, and spare blocks beyond one.
  static void free_dropped() noexcept;

  // For tables. Throws std::bad_alloc when no spare fits and the system has none. Blocks are
  // aligned to 16 bytes.
  static void* take(size_t bytes);
  static void drop(void* block) noexcept;

  // What a table block of `bytes` occupies, for accounting.
  static size_t block_size(size_t bytes) noexcept;

#ifdef RKVS_SCHEDULES
  // What belongs to a thread, for a test that lets one run the work of several. Freed with it.
  struct Own {
    Own() = default;
    ~Own();
    Own(const Own&) = delete;
    Own& operator=(const Own&) = delete;

    void* spares = nullptr;
    void* dropped = nullptr;
  };
  static void swap_own(Own& own) noexcept;
#endif
};

}  // namespace rkvs::internal

#endif  // RKVS_STORE_TABLE_MEMORY_H_

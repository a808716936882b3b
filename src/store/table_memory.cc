#include "store/table_memory.h"

#include <cstdint>
#include <new>
#include <utility>

#include "base/arena.h"

namespace rkvs::internal {
namespace {

// Stands in front of every block: a spare may be larger than what the table asks for, and the
// table returns it by the size it asked for.
struct alignas(16) BlockHeader {
  BlockHeader* next;
  size_t size;  // of the whole block
};

// A thread's lists. Two pointers without a destructor would be enough for the fast path; the
// destructor gives the last spare back when the thread ends.
struct ThreadBlocks {
  BlockHeader* spares = nullptr;
  BlockHeader* dropped = nullptr;

  ~ThreadBlocks() {
    free_list(spares);
    free_list(dropped);
  }

  static void free_list(BlockHeader*& list) {
    while (list != nullptr) {
      BlockHeader* block = list;
      list = block->next;
      Arena::deallocate(block, block->size);
    }
  }
};

thread_local ThreadBlocks blocks;

// A spare for a table of twice as many buckets would waste memory for as long as the table lives,
// and nobody would count it.
bool fits(const BlockHeader& block, size_t bytes) {
  const size_t size = bytes + sizeof(BlockHeader);
  return block.size >= size && block.size - size <= size / 2;
}

bool push_spare(size_t bytes) {
  const size_t size = bytes + sizeof(BlockHeader);
  void* memory = Arena::allocate(size);
  if (memory == nullptr) return false;
  blocks.spares = new (memory) BlockHeader{blocks.spares, size};
  return true;
}

}  // namespace

#ifdef RKVS_SCHEDULES
void TableMemory::swap_own(Own& own) noexcept {
  blocks.spares = static_cast<BlockHeader*>(std::exchange(own.spares, blocks.spares));
  blocks.dropped = static_cast<BlockHeader*>(std::exchange(own.dropped, blocks.dropped));
}

TableMemory::Own::~Own() {
  ThreadBlocks gone{static_cast<BlockHeader*>(spares), static_cast<BlockHeader*>(dropped)};
}
#endif

bool TableMemory::has_spare(size_t bytes) noexcept {
  for (const BlockHeader* block = blocks.spares; block != nullptr; block = block->next) {
    if (fits(*block, bytes)) return true;
  }
  return false;
}

bool TableMemory::add_spare(size_t bytes) noexcept { return has_spare(bytes) || push_spare(bytes); }

bool TableMemory::add_spares(const size_t* bytes, size_t count) noexcept {
  for (size_t i = 0; i < count; ++i) {
    if (!push_spare(bytes[i])) return false;
  }
  return true;
}

void TableMemory::free_dropped() noexcept {
  ThreadBlocks::free_list(blocks.dropped);
  if (blocks.spares != nullptr) ThreadBlocks::free_list(blocks.spares->next);
}

void* TableMemory::take(size_t bytes) {
  // The smallest that will do.
  const size_t size = bytes + sizeof(BlockHeader);
  BlockHeader** best = nullptr;
  for (BlockHeader** link = &blocks.spares; *link != nullptr; link = &(*link)->next) {
    if ((*link)->size >= size && (best == nullptr || (*link)->size < (*best)->size)) best = link;
  }
  if (best != nullptr) {
    BlockHeader* block = *best;
    *best = block->next;
    return block + 1;
  }
  void* memory = Arena::allocate(size);
  if (memory == nullptr) throw std::bad_alloc();
  return new (memory) BlockHeader{nullptr, size} + 1;
}

void TableMemory::drop(void* block) noexcept {
  BlockHeader* header = static_cast<BlockHeader*>(block) - 1;
  header->next = blocks.dropped;
  blocks.dropped = header;
}

size_t TableMemory::block_size(size_t bytes) noexcept {
  return Arena::block_size(bytes + sizeof(BlockHeader));
}

}  // namespace rkvs::internal

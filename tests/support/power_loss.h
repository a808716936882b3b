// What a power loss may leave on a disk.
//
// Promised is what was synced before: bytes of a file by its fsync, names by the directory's. Of
// the rest anything may be there: each block of 4 KiB as it was, as it became, or torn at a sector;
// the file's length as it was or as it became, with zeros where nothing was written; and of the
// changes of names any part, in the order of a journal or in none. A rename is whole or was not.
// (The model of Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014, without
// the promises that some file systems make beyond POSIX.)
#ifndef RKVS_TESTS_SUPPORT_POWER_LOSS_H_
#define RKVS_TESTS_SUPPORT_POWER_LOSS_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/memory_disk.h"

namespace rkvs::testing {

class PowerLoss {
 public:
  static constexpr uint64_t kBlock = 4096;
  static constexpr uint64_t kSector = 512;

  // How a state came about.
  struct Origin {
    size_t operations = 0;  // that had been made
    bool in_order = false;  // names are as a journal would leave them
  };
  using Visit = std::function<void(const DiskImage&, const Origin&)>;

  struct Options {
    // Blocks that are lost or torn one by one; of a longer file so many, evenly spread.
    size_t single_blocks = 16;
    // Mixtures of all that besides.
    size_t random_states = 8;
    // Instead of all these every content that the model allows, to sectors: 9 of a full block and
    // to the power of blocks of a file, so for small files alone. With it, and as long as
    // is_complete(), visit_states() leaves no state out.
    bool every_content = false;
  };

  PowerLoss(const DiskImage& before, const std::vector<DiskOperation>& log)
      : log_(log), directory_(before.directory) {
    for (const auto& [name, bytes] : before.files) {
      const auto inode = static_cast<uint32_t>(files_.size());
      names_[name] = inode;
      files_[inode].synced = *bytes;
    }
  }

  // All states when the power goes after `operations` of the log. To be called with ever larger
  // numbers.
  void visit_states(size_t operations, const Options& options, const Visit& visit) {
    while (done_ < operations) apply(log_[done_++]);
    const size_t pending = std::min<size_t>(pending_names_.size(), kMostPending);
    is_complete_ = is_complete_ && options.every_content && pending == pending_names_.size();
    const size_t sure = pending_names_.size() - pending;
    for (uint32_t chosen = 0; chosen < uint32_t{1} << pending; ++chosen) {
      Names names = names_;
      for (size_t i = 0; i < sure; ++i) change(names, *pending_names_[i]);
      for (size_t i = 0; i < pending; ++i) {
        if ((chosen >> i & 1) != 0) change(names, *pending_names_[sure + i]);
      }
      // A prefix: all ones from below.
      const Origin origin{operations, std::has_single_bit(chosen + 1)};
      visit_contents(names, origin, options, visit);
    }
    if (directory_pending_) visit(DiskImage{.directory = false, .files = {}}, {operations, true});
  }

  // Whether every state was visited so far: each time with `every_content`, few enough changes of
  // names were pending to try all their parts, and no two files were unsynced at once.
  bool is_complete() const { return is_complete_; }

 private:
  using Kind = DiskOperation::Kind;
  using Names = std::map<std::string, uint32_t>;
  static constexpr size_t kMostPending = 7;

  struct File {
    std::string synced;
    std::vector<const DiskOperation*> pending;
  };

  void apply(const DiskOperation& op) {
    switch (op.kind) {
      case Kind::kMakeDirectory: directory_ = directory_pending_ = true; break;
      case Kind::kSyncParent: directory_pending_ = false; break;
      case Kind::kEnter:
      case Kind::kRename:
      case Kind::kRemove: pending_names_.push_back(&op); break;
      case Kind::kSyncDirectory:
        for (const DiskOperation* pending : pending_names_) change(names_, *pending);
        pending_names_.clear();
        break;
      case Kind::kWrite: files_[op.inode].pending.push_back(&op); break;
      case Kind::kSyncFile: {
        File& file = files_[op.inode];
        file.synced = after_all(file);
        file.pending.clear();
        break;
      }
      case Kind::kMark: break;
    }
  }
  static void change(Names& names, const DiskOperation& op) {
    if (op.kind == Kind::kRename) names.erase(op.from);
    if (op.kind == Kind::kRemove) {
      names.erase(op.name);
    } else {
      names[op.name] = op.inode;
    }
  }
  static std::string after_all(const File& file) {
    std::string bytes = file.synced;
    for (const DiskOperation* op : file.pending) {
      bytes.resize(std::max<size_t>(bytes.size(), op->offset + op->bytes.size()));
      std::memcpy(bytes.data() + op->offset, op->bytes.data(), op->bytes.size());
    }
    return bytes;
  }

  // What may be left of one file.
  std::vector<std::shared_ptr<const std::string>> contents_of(const File& file,
                                                              const Options& options) {
    std::vector<std::shared_ptr<const std::string>> all;
    const auto add = [&](std::string bytes) {
      all.push_back(std::make_shared<const std::string>(std::move(bytes)));
    };
    add(file.synced);
    if (file.pending.empty()) return all;
    const std::string full = after_all(file);
    if (options.every_content) return every_content_of(file.synced, full);
    std::string nothing = file.synced;
    nothing.resize(std::max(full.size(), file.synced.size()), '\0');
    add(full);
    add(nothing);
    const size_t first = file.synced.size() / kBlock;
    const size_t blocks = (full.size() + kBlock - 1) / kBlock;
    const size_t step = std::max<size_t>(1, (blocks - first) / options.single_blocks);
    for (size_t block = first; block < blocks; block += step) {
      for (const uint64_t kept : {uint64_t{0}, kSector * (1 + random_() % 7)}) {
        std::string bytes = full;
        restore(bytes, nothing, block, kept);
        add(std::move(bytes));
      }
      // The rest never came.
      add(full.substr(0, std::max<size_t>(file.synced.size(), block * kBlock)));
    }
    for (size_t i = 0; i < options.random_states; ++i) {
      std::string bytes = full;
      for (size_t block = first; block < blocks; ++block) {
        const auto fate = random_() % 4;
        if (fate < 2) restore(bytes, nothing, block, fate == 0 ? 0 : kSector * (1 + random_() % 7));
      }
      if (random_() % 2 == 0) {
        bytes.resize(std::max<size_t>(file.synced.size(), random_() % (full.size() + 1)));
      }
      add(std::move(bytes));
    }
    return all;
  }
  // All: each length to a sector, and in it each block torn behind each of its sectors; behind the
  // last of them it became what it should, behind none it is as it was.
  static std::vector<std::shared_ptr<const std::string>> every_content_of(const std::string& synced,
                                                                          const std::string& full) {
    std::vector<std::shared_ptr<const std::string>> all = {
        std::make_shared<const std::string>(synced)};
    const size_t first = synced.size() / kBlock;
    for (size_t length = full.size();;) {
      std::string nothing = synced;
      nothing.resize(std::max(length, synced.size()), '\0');
      const size_t blocks = (length + kBlock - 1) / kBlock;
      // Of each block how many of its sectors became what they should: a number of so many digits.
      std::vector<uint64_t> kept(blocks - first, 0);
      for (bool more = true; more;) {
        std::string bytes = full.substr(0, length);
        for (size_t i = 0; i < kept.size(); ++i) {
          restore(bytes, nothing, first + i, kept[i] * kSector);
        }
        all.push_back(std::make_shared<const std::string>(std::move(bytes)));
        more = false;
        for (size_t i = 0; i < kept.size() && !more; ++i) {
          const uint64_t end = std::min<uint64_t>(length, (first + i + 1) * kBlock);
          const uint64_t sectors = (end - (first + i) * kBlock + kSector - 1) / kSector;
          more = kept[i] < sectors;
          kept[i] = more ? kept[i] + 1 : 0;
        }
      }
      length = length == 0 ? 0 : (length - 1) / kSector * kSector;
      if (length <= synced.size()) return all;
    }
  }
  // Puts back what was in the block behind its first `kept` bytes.
  static void restore(std::string& bytes, const std::string& before, size_t block, uint64_t kept) {
    const size_t begin = std::min<size_t>(bytes.size(), block * kBlock + kept);
    const size_t end = std::min<size_t>(bytes.size(), (block + 1) * kBlock);
    bytes.replace(begin, end - begin, before, begin, end - begin);
  }

  // Every mixture of what may be left of the files, one unsynced file at a time.
  void visit_contents(const Names& names, const Origin& origin, const Options& options,
                      const Visit& visit) {
    DiskImage image;
    size_t unsynced = 0;
    std::map<uint32_t, std::vector<std::shared_ptr<const std::string>>> contents;
    for (const auto& [name, inode] : names) {
      auto& of = contents[inode];
      if (of.empty()) {
        of = contents_of(files_[inode], options);
        unsynced += of.size() > 1 ? 1 : 0;
      }
      image.files[name] = of.front();
    }
    is_complete_ = is_complete_ && unsynced <= 1;
    visit(image, origin);
    for (const auto& [inode, all] : contents) {
      for (size_t i = 1; i < all.size(); ++i) {
        DiskImage changed = image;
        for (const auto& [name, of] : names) {
          if (of == inode) changed.files[name] = all[i];
        }
        visit(changed, origin);
      }
    }
  }

  const std::vector<DiskOperation>& log_;
  size_t done_ = 0;
  bool directory_;
  bool directory_pending_ = false;
  bool is_complete_ = true;
  Names names_;
  std::vector<const DiskOperation*> pending_names_;
  std::map<uint32_t, File> files_;
  std::mt19937 random_{20260102};
};

}  // namespace rkvs::testing

#endif  // RKVS_TESTS_SUPPORT_POWER_LOSS_H_

// Files as saving and loading need them: a replaceable layer over the system calls, a directory
// that nothing leaves, and a file that appears under its name whole or not at all.
#ifndef RKVS_BASE_FILE_H_
#define RKVS_BASE_FILE_H_

#include <rkvs/status.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rkvs::internal {

// What stat() says, as far as it matters here.
struct FileInfo {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t size = 0;   // bytes
  uint64_t links = 0;  // names in directories
  bool regular = false;
};

// The system calls of saving and loading, one function each, so that tests can make any of them
// fail and record their order. A function returns what the call returns, or -errno; it neither
// retries nor interprets. Implementations must be safe for concurrent use.
class FileSystem {
 public:
  enum class OpenMode {
    kRead,             // for read_at; never waits, even where the name is a pipe's
    kReadNoFollow,     // the same, and ELOOP where the name is a symbolic link
    kCreateExclusive,  // for write; mode 0600; EEXIST where the name is taken
  };

  virtual ~FileSystem() = default;

  // The real one. Lives for ever.
  static FileSystem& posix();

  // `path` is relative to the working directory. Mode 0700; EEXIST where there is something.
  virtual int make_directory(const char* path) = 0;
  virtual int open_directory(const char* path) = 0;
  // `name` is relative to `directory`.
  virtual int open(int directory, const char* name, OpenMode mode) = 0;
  virtual int close(int fd) = 0;
  virtual int64_t write(int fd, const char* data, size_t size) = 0;
  virtual int64_t read_at(int fd, char* data, size_t size, uint64_t offset) = 0;
  // Asks the system to begin writing this range to the disk. Advice: failing it harms nothing.
  virtual int start_writeback(int fd, uint64_t offset, uint64_t size) = 0;
  // fsync of a file or of a directory.
  virtual int sync(int fd) = 0;
  virtual int stat(int fd, FileInfo* info) = 0;
  // Of the name itself where it is a symbolic link.
  virtual int stat_at(int directory, const char* name, FileInfo* info) = 0;
  virtual int rename(int directory, const char* from, const char* to) = 0;
  virtual int link(int directory, const char* from, const char* to) = 0;
  virtual int unlink(int directory, const char* name) = 0;
  // Appends the names in the directory, "." and ".." aside, in no order.
  virtual int list(int directory, std::vector<std::string>* names) = 0;
  // flock(LOCK_EX | LOCK_NB): held until the last copy of `fd` is closed; EWOULDBLOCK when taken.
  virtual int lock(int fd) = 0;
};

// Bytes taken in order.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  // Takes all of `data` or fails; after a failure nothing more is taken.
  virtual Status append(std::string_view data) = 0;
};

// Bytes given from any place. Safe for concurrent use.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // For messages.
  virtual const std::string& name() const = 0;
  virtual uint64_t size() const = 0;
  // Reads up to `size` bytes; fewer only where the source ends. Io.
  virtual Result<size_t> read_at(uint64_t offset, char* to, size_t size) const = 0;
};

// --- Names ---------------------------------------------------------------------------------------

inline constexpr size_t kMaxFileNameSize = 200;  // bytes; leaves room for the suffixes below
inline constexpr uint32_t kDefaultGenerations = 3;
inline constexpr uint32_t kMaxGenerations = 999;

// InvalidName unless `name` is one path component that rkvs may use: not empty, at most
// kMaxFileNameSize bytes, no '/', no NUL, no leading dot ("." and ".." among them).
Status validate_file_name(std::string_view name);

// The same for a file that is saved with older generations kept: it must not end like one of them
// (a dot and 1 to 3 digits), else it would take another file's place.
Status validate_target_name(std::string_view name, uint32_t generations);

// The name of the generation that many saves older than NAME: NAME itself for 0, else NAME.<age>.
std::string generation_name(std::string_view name, uint32_t age);

// --- Directory -----------------------------------------------------------------------------------

// An open file descriptor and the file system it came from.
class FileHandle {
 public:
  FileHandle() = default;
  FileHandle(FileSystem& fs, int fd) : fs_(&fs), fd_(fd) {}
  FileHandle(FileHandle&& other) noexcept : fs_(other.fs_), fd_(other.fd_) { other.fd_ = -1; }
  FileHandle& operator=(FileHandle&& other) noexcept;
  ~FileHandle() { reset(); }

  int fd() const { return fd_; }
  FileSystem& fs() const { return *fs_; }
  void reset() noexcept;

 private:
  FileSystem* fs_ = nullptr;
  int fd_ = -1;
};

class ReadableFile;

// A directory held by its descriptor: renaming or replacing its path changes nothing here. Names
// are validated components relative to it, and symbolic links in it are not followed, so that no
// operation leaves it. Safe for concurrent use, moves aside.
class Directory {
 public:
  // Io.
  static Result<Directory> open(const std::string& path, FileSystem& fs = FileSystem::posix());
  // Makes the last component of the path first where it is missing.
  static Result<Directory> open_or_create(const std::string& path,
                                          FileSystem& fs = FileSystem::posix());

  // As given, for messages.
  const std::string& path() const { return path_; }
  FileSystem& fs() const { return handle_.fs(); }
  int fd() const { return handle_.fd(); }

  // SnapshotNotFound when there is nothing of this name, and only then; InvalidName, Io.
  Result<std::unique_ptr<ReadableFile>> open_file(std::string_view name) const;
  // The names that validate_file_name allows, sorted. Io, NoMemory.
  Result<std::vector<std::string>> list() const;
  // Ok as well when there was nothing of this name. InvalidName, Io.
  Status remove(std::string_view name) const;
  // Makes names durable. Io.
  Status sync() const;
  // Device and inode: two objects for one directory say the same. Io.
  Result<FileInfo> info() const;
  // Locks the directory against other Directory objects, of this process too, until this object
  // goes. DirectoryLocked when another one has it, Io.
  Status lock() const;
  // Unlinks the temporary files of saves that died with their process; those of running ones, of
  // other processes too, stay. Returns how many there were. Io.
  Result<size_t> remove_stale_temporaries() const;

 private:
  Directory(std::string path, FileHandle handle)
      : path_(std::move(path)), handle_(std::move(handle)) {}

  std::string path_;
  FileHandle handle_;
};

// A regular file, open for reading.
class ReadableFile : public ByteSource {
 public:
  // Any path, symbolic links followed: for tools that are given one. SnapshotNotFound, Io.
  static Result<std::unique_ptr<ReadableFile>> open(const std::string& path,
                                                    FileSystem& fs = FileSystem::posix());

  const std::string& name() const override { return name_; }
  // As it was at opening.
  uint64_t size() const override { return info_.size; }
  const FileInfo& info() const { return info_; }
  Result<size_t> read_at(uint64_t offset, char* to, size_t size) const override;

 private:
  friend class Directory;
  static Result<std::unique_ptr<ReadableFile>> open_at(FileSystem& fs, int directory,
                                                       const std::string& name,
                                                       FileSystem::OpenMode mode,
                                                       std::string shown_name);
  ReadableFile(std::string name, FileHandle handle, FileInfo info)
      : name_(std::move(name)), handle_(std::move(handle)), info_(info) {}

  std::string name_;
  FileHandle handle_;
  FileInfo info_;
};

// --- AtomicFile ----------------------------------------------------------------------------------

// A file that replaces NAME in one step when it is complete and on the disk.
//
//   auto file = AtomicFile::create(directory, "store.rkvs");
//   (*file)->append(...); ...
//   (*file)->commit();
//
// Bytes go into a temporary file of a name of its own, `.NAME.<pid>.<n>.tmp`, mode 0600. commit()
// syncs it, moves the older generations up (NAME.1 to NAME.2 and so on), gives the file under NAME
// the second name NAME.1, renames the temporary over NAME and syncs the directory. At every instant
// there is a complete file under NAME if there ever was one, and whatever fails, the generations
// that were there stay, the oldest aside when commit() had come as far as the last rename.
//
// Saves to one name may overlap: each has its own temporary, and the last to commit wins whole.
// Used by one thread at a time. The Directory must outlive it. Destroyed without commit(), it
// unlinks the temporary.
//
// Where the file system has no hard links, NAME.1 is a copy.
class AtomicFile : public ByteSink {
 public:
  // `generations` files are kept in all, 1 to kMaxGenerations; with 1 nothing but NAME is touched.
  // InvalidName, InvalidArgument, Io, NoMemory.
  static Result<std::unique_ptr<AtomicFile>> create(const Directory& directory,
                                                    std::string_view name,
                                                    uint32_t generations = kDefaultGenerations);
  ~AtomicFile() override;
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  // Io. After a failure commit() fails as well.
  Status append(std::string_view data) override;

  // Ok means that the file is complete, synced and under its name. After an error NAME is what it
  // was before, unless syncing the directory was what failed: then it may be either, whole. Once.
  Status commit();

  // Bytes appended so far.
  uint64_t size() const { return size_; }
  const std::string& temporary_name() const { return temporary_; }

 private:
  AtomicFile(const Directory& directory, std::string name, uint32_t generations);

  Status open_temporary();
  Status take(std::string_view data);
  Status flush();
  Status write_out(std::string_view data);
  Status complete();
  Status publish();
  Status take_name();
  Status keep_previous();
  Status copy_to_first_generation();
  void remove_surplus_generations();
  std::string generation(uint32_t age) const { return generation_name(name_, age); }
  Status error(std::string_view call, std::string_view name, int64_t result) const;

  const Directory& directory_;
  const std::string name_;
  const uint32_t generations_;
  std::string temporary_;  // empty while there is none
  FileHandle handle_;
  std::string buffer_;
  uint64_t size_ = 0;
  uint64_t written_ = 0;    // of size_, handed to the system
  uint64_t writeback_ = 0;  // of written_, on its way to the disk
  bool committed_ = false;
  Status status_;  // the first error
};

}  // namespace rkvs::internal

#endif  // RKVS_BASE_FILE_H_

// LMDB, on disk but never synced (MDB_NOSYNC, MDB_WRITEMAP): the fastest it can be told to be.
//
// Each call is a transaction of its own, a batch is one. Values are copied out, since LMDB's own
// bytes are good during a transaction only.
#ifndef RKVS_BENCH_STORES_LMDB_STORE_H_
#define RKVS_BENCH_STORES_LMDB_STORE_H_

#include <lmdb.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/stores/in_process.h"

namespace rkvs::bench {

class LmdbStore {
 public:
  using Handle = std::string;
  static constexpr bool kHasThreads = true;
  static constexpr bool kHasBatches = true;
  static constexpr size_t kSlowness = 10;

  explicit LmdbStore(const Workload& workload)
      : file_(workload.directory + "/lmdb." + std::to_string(::getpid())) {
    check(mdb_env_create(&env_));
    check(mdb_env_set_mapsize(env_, size_t{64} << 30));
    check(mdb_env_set_maxreaders(env_, 1024));
    check(mdb_env_open(env_, file_.c_str(),
                       MDB_NOSUBDIR | MDB_NOSYNC | MDB_WRITEMAP | MDB_NOMEMINIT, 0600));
    Transaction transaction(*this, 0);
    check(mdb_dbi_open(transaction.get(), nullptr, 0, &table_));
    transaction.commit();
  }
  ~LmdbStore() {
    mdb_env_close(env_);
    std::filesystem::remove(file_);
    std::filesystem::remove(file_ + "-lock");
  }
  LmdbStore(const LmdbStore&) = delete;
  LmdbStore& operator=(const LmdbStore&) = delete;

  bool get(std::string_view key, Handle& handle) {
    Transaction transaction(*this, MDB_RDONLY);
    return get_in(transaction, key, handle);
  }
  bool copy(std::string_view key, std::string& copy) { return get(key, copy); }
  bool exists(std::string_view key) {
    Handle handle;
    return get(key, handle);
  }
  void set(std::string_view key, std::string_view value, Handle& old) {
    Transaction transaction(*this, 0);
    get_in(transaction, key, old);
    put_in(transaction, key, value);
    transaction.commit();
  }
  void put(std::string_view key, std::string_view value) {
    Transaction transaction(*this, 0);
    put_in(transaction, key, value);
    transaction.commit();
  }
  bool update(std::string_view key, std::string_view value, Handle& old) {
    Transaction transaction(*this, 0);
    if (!get_in(transaction, key, old)) return false;
    put_in(transaction, key, value);
    transaction.commit();
    return true;
  }
  bool erase(std::string_view key) {
    Transaction transaction(*this, 0);
    const bool found = erase_in(transaction, key);
    transaction.commit();
    return found;
  }
  bool consume(std::string_view key, Handle& handle) {
    Transaction transaction(*this, 0);
    if (!get_in(transaction, key, handle)) return false;
    erase_in(transaction, key);
    transaction.commit();
    return true;
  }

  void get_batch(std::span<const std::string_view> keys, bool) {
    std::vector<Handle> handles(keys.size());
    Transaction transaction(*this, MDB_RDONLY);
    for (size_t i = 0; i < keys.size(); ++i) expect(get_in(transaction, keys[i], handles[i]));
    keep(handles.data());
  }
  void set_batch(std::span<const KeyValue> items, bool) {
    std::vector<Handle> olds(items.size());
    Transaction transaction(*this, 0);
    for (size_t i = 0; i < items.size(); ++i) {
      get_in(transaction, items[i].key, olds[i]);
      put_in(transaction, items[i].key, items[i].value);
    }
    transaction.commit();
    keep(olds.data());
  }
  void erase_batch(std::span<const std::string_view> keys, bool) {
    Transaction transaction(*this, 0);
    for (const std::string_view key : keys) expect(erase_in(transaction, key));
    transaction.commit();
  }
  void consume_batch(std::span<const std::string_view> keys, bool) {
    std::vector<Handle> handles(keys.size());
    Transaction transaction(*this, 0);
    for (size_t i = 0; i < keys.size(); ++i) {
      expect(get_in(transaction, keys[i], handles[i]) && erase_in(transaction, keys[i]));
    }
    transaction.commit();
    keep(handles.data());
  }

 private:
  class Transaction {
   public:
    Transaction(const LmdbStore& store, unsigned flags) {
      check(mdb_txn_begin(store.env_, nullptr, flags, &transaction_));
    }
    ~Transaction() {
      if (transaction_ != nullptr) mdb_txn_abort(transaction_);
    }
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    MDB_txn* get() { return transaction_; }
    void commit() {
      check(mdb_txn_commit(transaction_));
      transaction_ = nullptr;
    }

   private:
    MDB_txn* transaction_ = nullptr;
  };

  static void check(int error) {
    if (error == 0) return;
    std::fprintf(stderr, "LMDB: %s\n", mdb_strerror(error));
    std::abort();
  }
  static MDB_val value_of(std::string_view bytes) {
    return {bytes.size(), const_cast<char*>(bytes.data())};
  }
  bool get_in(Transaction& transaction, std::string_view key, Handle& handle) {
    MDB_val name = value_of(key);
    MDB_val value{};
    const int error = mdb_get(transaction.get(), table_, &name, &value);
    if (error == MDB_NOTFOUND) return false;
    check(error);
    handle.assign(static_cast<const char*>(value.mv_data), value.mv_size);
    return true;
  }
  void put_in(Transaction& transaction, std::string_view key, std::string_view value) {
    MDB_val name = value_of(key);
    MDB_val bytes = value_of(value);
    check(mdb_put(transaction.get(), table_, &name, &bytes, 0));
  }
  bool erase_in(Transaction& transaction, std::string_view key) {
    MDB_val name = value_of(key);
    const int error = mdb_del(transaction.get(), table_, &name, nullptr);
    if (error == MDB_NOTFOUND) return false;
    check(error);
    return true;
  }

  const std::string file_;
  MDB_env* env_ = nullptr;
  MDB_dbi table_ = 0;
};

}  // namespace rkvs::bench

#endif  // RKVS_BENCH_STORES_LMDB_STORE_H_

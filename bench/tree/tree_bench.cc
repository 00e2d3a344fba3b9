// SPDX-License-Identifier: Apache-2.0
//
// The tree beside std::map and LMDB: 100-byte values under 16-byte keys, 1 M and 10 M of them, all in memory.
//   tree/ram    all nodes changed, none written yet (how a volume is between checkpoints)
//   tree/clean  all nodes clean, read in place
// Fill once per store, order and size, then find, replace and erase in it; times are per operation.
#include "tree/tree.h"

#include <benchmark/benchmark.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>

#include "tree/cursor.h"
#include "tree/node_space.h"

#ifdef DMAP_BENCH_LMDB
#include <lmdb.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace dmap {
namespace {

constexpr size_t kValueBytes = 100;
using Payload = std::array<std::byte, kValueBytes>;

enum class Order { kAscending, kRandom };

uint64_t mix(uint64_t x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

Key nth_key(Order order, uint64_t n) {
  return order == Order::kAscending ? make_key(n / 1000, 3, n % 1000 * 4096) : make_key(mix(n + 1), 3, 0);
}

/// What is measured: stores with put, find (touching the value), erase.
class Store {
 public:
  virtual ~Store() = default;
  virtual void put(Key key, const Payload& payload) = 0;
  virtual std::byte find(Key key) = 0;
  virtual void erase(Key key) = 0;
  virtual uint64_t scan() = 0;
  virtual void settle() {}  // after the fill
};

class TreeStore : public Store {
 public:
  explicit TreeStore(uint64_t entries) : space_(1) {
    uint64_t zones = entries / 500'000 + 2;
    size_t bytes = zones * kZoneFramesMax * kNodeSize;
    media_.reset(static_cast<std::byte*>(std::aligned_alloc(size_t{2} << 20, round(bytes))));
    for (uint64_t i = 0; i < zones; ++i) {
      uint64_t first = i * kZoneFramesMax;
      CHECK(space_.add_zone({Pfn{first}, FrameCount{kZoneFramesMax}},
                            {media_.get() + first * kNodeSize, kZoneFramesMax * kNodeSize}));
    }
    tree_.emplace(std::move(*Tree::open(space_, 1, Root{})));
  }
  void put(Key key, const Payload& payload) override { CHECK(tree_->put(key, payload)); }
  std::byte find(Key key) override { return (**tree_->find(key))[0]; }
  void erase(Key key) override { CHECK(tree_->erase(key)); }
  uint64_t scan() override {
    uint64_t count = 0;
    Cursor cursor(*tree_);
    for (auto at = cursor.seek_ge(kKeyMin); at && *at; at = cursor.next()) ++count;
    return count;
  }

 protected:
  static size_t round(size_t bytes) { return (bytes + (size_t{2} << 20) - 1) & ~((size_t{2} << 20) - 1); }
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  std::unique_ptr<std::byte, Free> media_;
  NodeSpace space_;
  std::optional<Tree> tree_;
};

class CleanTreeStore : public TreeStore {
 public:
  using TreeStore::TreeStore;
  void settle() override {
    auto maps = space_.freeze(1);
    Frozen frozen = tree_->freeze(1);
    for (size_t i = 0; i < frozen.size(); ++i) {
      auto image = frozen.image(i);
      std::memcpy(media_.get() + index_of(image.pfn) * kNodeSize, image.bytes.data(), kNodeSize);
    }
    space_.complete();
    tree_->thaw(frozen);
    tree_->check({});
  }
};

class MapStore : public Store {
 public:
  explicit MapStore(uint64_t) {}
  void put(Key key, const Payload& payload) override { map_[key] = payload; }
  std::byte find(Key key) override { return map_.find(key)->second[0]; }
  void erase(Key key) override { map_.erase(key); }
  uint64_t scan() override {
    uint64_t count = 0;
    for (auto& entry : map_) count += entry.second[0] == std::byte{1} ? 1 : 1;
    return count;
  }

 private:
  std::map<Key, Payload> map_;
};

#ifdef DMAP_BENCH_LMDB
/// On tmpfs, without any sync; one write transaction for all changes, one read transaction for all finds.
class LmdbStore : public Store {
 public:
  explicit LmdbStore(uint64_t) {
    path_ = "/dev/shm/dmap-bench-" + std::to_string(getpid()) + ".mdb";
    CHECK(mdb_env_create(&env_) == 0 && mdb_env_set_mapsize(env_, size_t{8} << 30) == 0);
    CHECK(mdb_env_open(env_, path_.c_str(), MDB_NOSUBDIR | MDB_WRITEMAP | MDB_NOSYNC | MDB_NOLOCK, 0600) == 0);
    begin();
    CHECK(mdb_dbi_open(txn_, nullptr, 0, &dbi_) == 0);
  }
  ~LmdbStore() override {
    mdb_txn_abort(txn_);
    mdb_env_close(env_);
    unlink(path_.c_str());
  }
  void put(Key key, const Payload& payload) override {
    Words words = words_of(key);
    MDB_val k{sizeof(words), &words};
    MDB_val v{payload.size(), const_cast<std::byte*>(payload.data())};
    CHECK(mdb_put(txn_, dbi_, &k, &v, 0) == 0);
  }
  std::byte find(Key key) override {
    Words words = words_of(key);
    MDB_val k{sizeof(words), &words};
    MDB_val v;
    CHECK(mdb_get(txn_, dbi_, &k, &v) == 0);
    return *static_cast<std::byte*>(v.mv_data);
  }
  void erase(Key key) override {
    Words words = words_of(key);
    MDB_val k{sizeof(words), &words};
    CHECK(mdb_del(txn_, dbi_, &k, nullptr) == 0);
  }
  uint64_t scan() override {
    MDB_cursor* cursor;
    CHECK(mdb_cursor_open(txn_, dbi_, &cursor) == 0);
    MDB_val k, v;
    uint64_t count = 0;
    while (mdb_cursor_get(cursor, &k, &v, MDB_NEXT) == 0) ++count;
    mdb_cursor_close(cursor);
    return count;
  }
  void settle() override {
    CHECK(mdb_txn_commit(txn_) == 0);
    begin();
  }

 private:
  using Words = std::array<uint64_t, 2>;
  static Words words_of(Key key) { return {__builtin_bswap64(key.object), __builtin_bswap64(key.place)}; }
  void begin() { CHECK(mdb_txn_begin(env_, nullptr, 0, &txn_) == 0); }

  std::string path_;
  MDB_env* env_ = nullptr;
  MDB_txn* txn_ = nullptr;
  MDB_dbi dbi_ = 0;
};
#endif

template <typename S>
void run_all(const std::string& name) {
  static std::unique_ptr<Store> store;  // filled by the first of the benchmarks below, dropped by the last
  for (uint64_t entries : {uint64_t{1'000'000}, uint64_t{10'000'000}}) {
    for (Order order : {Order::kAscending, Order::kRandom}) {
      std::string suffix = "/" + name + "/" + (order == Order::kAscending ? "ascending" : "random") + "/" +
                           std::to_string(entries / 1'000'000) + "M";
      auto add = [&](const char* what, uint64_t operations, auto operation) {
        benchmark::RegisterBenchmark((what + suffix).c_str(), [=](benchmark::State& state) {
          uint64_t n = 0;
          for (auto _ : state) operation(n++);
        })->Iterations(static_cast<int64_t>(operations));
      };
      uint64_t few = 1'000'000;
      add("fill", entries, [=](uint64_t n) {
        if (n == 0) store = std::make_unique<S>(entries);
        Payload payload{};
        store->put(nth_key(order, n), payload);
      });
      add("settle", 1, [](uint64_t) { store->settle(); });
      add("find", few,
          [=](uint64_t n) { benchmark::DoNotOptimize(store->find(nth_key(order, mix(n + 77) % entries))); });
      add("scan_all", 1, [](uint64_t) { benchmark::DoNotOptimize(store->scan()); });
      add("replace", few, [=](uint64_t n) {
        Payload payload{};
        payload[1] = static_cast<std::byte>(n);
        store->put(nth_key(order, mix(n + 7) % entries), payload);
      });
      uint64_t stride = entries / few;  // each key once
      add("erase", few, [=](uint64_t n) { store->erase(nth_key(order, n * 999'979 % few * stride)); });
      add("insert", few, [=](uint64_t n) {
        Payload payload{};
        store->put(nth_key(order, n * 999'979 % few * stride), payload);
      });
      add("drop", 1, [](uint64_t) { store.reset(); });
    }
  }
}

}  // namespace
}  // namespace dmap

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  dmap::run_all<dmap::TreeStore>("tree_ram");
  dmap::run_all<dmap::CleanTreeStore>("tree_clean");
  dmap::run_all<dmap::MapStore>("std_map");
#ifdef DMAP_BENCH_LMDB
  dmap::run_all<dmap::LmdbStore>("lmdb");
#endif
  benchmark::RunSpecifiedBenchmarks();
}

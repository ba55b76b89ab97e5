// SPDX-License-Identifier: Apache-2.0
#include <memsim/vm/page_cache.hpp>

#include <vector>

#include "catch.hpp"

using namespace memsim;

namespace {

// Keeps what it is given until it is told to be done.
struct slow_store final : page_store {
  std::vector<std::move_only_function<void()>> under_way{};
  std::size_t room = 1'000'000;
  write_outcome write(std::move_only_function<void()> done) override {
    if (under_way.size() >= room) return write_outcome::refused;
    under_way.push_back(std::move(done));
    return write_outcome::started;
  }
  void finish_all() {
    for (auto& done : std::exchange(under_way, {})) done();
  }
};

struct file_machine {
  explicit file_machine(page_store* store = nullptr)
      : memory{{.memory = memory_map::x86_64(64_MiB)}}, files{memory, store} {
    file = files.add_file();
  }
  [[nodiscard]] page_flags flags(std::uint64_t index) const {
    return memory.page(files.find(file, index).value()).flags;
  }
  page_allocator memory;
  page_cache files;
  context ctx;
  file_id file{};
};

}  // namespace

SCENARIO("a page of a file is read once", "[vm][page_cache]") {
  file_machine m;
  const auto page = m.files.read(m.ctx, m.file, 7);
  REQUIRE(page);
  CHECK(m.ctx.done.pages_read == 1);
  CHECK(m.files.read(m.ctx, m.file, 7) == page);
  CHECK(m.ctx.done.pages_read == 1);
  CHECK(m.files.counts().hits == 1);
  CHECK(m.files.counts().misses == 1);
  CHECK(m.files.cached() == 1);
  CHECK(m.files.find(m.file, 7) == *page);
  CHECK(!m.files.find(m.file, 8));
  CHECK(m.memory.page(*page).flags.has_any(page_flag::active));
  CHECK_THROWS_WITH(m.files.read(m.ctx, file_id{1}, 0), ContainsSubstring("file 1"));
}

SCENARIO("files can be larger than memory", "[vm][page_cache]") {
  file_machine m;
  for (std::uint64_t index = 0; index < 50'000; ++index) {
    REQUIRE(m.files.read(m.ctx, m.file, index));
  }
  CHECK(m.files.counts().reclaimed == 50'000 - m.files.cached());
  CHECK(m.files.cached() > 10'000);
  CHECK(!m.files.find(m.file, 0));
  CHECK(m.files.find(m.file, 49'999));
}

SCENARIO("pages that are used more than once survive a long read", "[vm][page_cache]") {
  file_machine m;
  const auto hot = m.files.add_file();
  for (int round = 0; round < 2; ++round) {
    for (std::uint64_t index = 0; index < 2000; ++index) {
      REQUIRE(m.files.read(m.ctx, hot, index));
    }
  }
  for (std::uint64_t index = 0; index < 50'000; ++index) {
    REQUIRE(m.files.read(m.ctx, m.file, index));
  }
  for (std::uint64_t index = 0; index < 2000; ++index) CHECK(m.files.find(hot, index));
}

SCENARIO("changed pages are dirty until they are written", "[vm][page_cache]") {
  slow_store disk;
  file_machine m{&disk};
  for (std::uint64_t index = 0; index < 3; ++index) {
    REQUIRE(m.files.write(m.ctx, m.file, index));
  }
  CHECK(m.ctx.done.pages_read == 0);
  CHECK(m.flags(1).has_any(page_flag::dirty));

  WHEN("the file is synced") {
    CHECK(m.files.sync(m.ctx, m.file) == 3);
    CHECK(m.ctx.done.pages_written_back == 3);
    THEN("they are under writeback until the device is done") {
      CHECK(m.flags(1).has_any(page_flag::writeback));
      CHECK(!m.flags(1).has_any(page_flag::dirty));
      CHECK(m.files.sync(m.ctx, m.file) == 0);
      disk.finish_all();
      CHECK(!m.flags(1).has_any(page_flag::writeback | page_flag::dirty));
    }
    THEN("what is truncated meanwhile does not come back") {
      m.files.truncate(m.ctx, m.file, 1);
      CHECK(m.files.cached() == 1);
      REQUIRE(m.files.write(m.ctx, m.file, 1));
      disk.finish_all();
      CHECK(m.flags(1).has_any(page_flag::dirty));
    }
    THEN("a page that was moved is found by the device's answer") {
      m.memory.flush_lru_batches();
      disk.finish_all();
      m.memory.compact_everything(m.ctx);
      CHECK(!m.flags(2).has_any(page_flag::writeback));
    }
  }
  WHEN("the device's queue is full") {
    disk.room = 2;
    CHECK(m.files.sync(m.ctx, m.file) == 2);
    CHECK(m.flags(2).has_any(page_flag::dirty));
  }
}

SCENARIO("dropping caches drops what is clean and free of pins", "[vm][page_cache]") {
  file_machine m;
  const auto free_before = m.memory.zones().back().exact_free_pages();
  for (std::uint64_t index = 0; index < 100; ++index) {
    REQUIRE(m.files.read(m.ctx, m.file, index));
  }
  REQUIRE(m.files.write(m.ctx, m.file, 5));
  m.memory.pin(*m.files.find(m.file, 6));
  CHECK(m.files.drop_clean(m.ctx) == 98);
  CHECK(m.files.cached() == 2);
  CHECK(m.files.drop_clean(m.ctx) == 0);

  m.memory.unpin(*m.files.find(m.file, 6));
  CHECK(m.files.sync(m.ctx, m.file) == 1);
  CHECK(m.files.drop_clean(m.ctx) == 2);
  m.memory.drain_all(m.ctx);
  CHECK(m.memory.zones().back().exact_free_pages() + 0 >= free_before);
}

SCENARIO("a truncated file keeps what is pinned", "[vm][page_cache]") {
  file_machine m;
  for (std::uint64_t index = 0; index < 10; ++index) {
    REQUIRE(m.files.write(m.ctx, m.file, index));
  }
  m.memory.pin(*m.files.find(m.file, 6));
  m.files.truncate(m.ctx, m.file, 4);
  CHECK(m.files.cached() == 5);
  CHECK(m.files.find(m.file, 6));
  CHECK(m.files.find(m.file, 3));
  CHECK(!m.files.find(m.file, 4));
}

SCENARIO("more dirty pages than memory are written as they come", "[vm][page_cache]") {
  file_machine m;
  for (std::uint64_t index = 0; index < 30'000; ++index) {
    REQUIRE(m.files.write(m.ctx, m.file, index));
  }
  CHECK(m.files.counts().writes_started >= 30'000 - m.files.cached());
  CHECK(m.memory.reclaim_events().writes_started > 0);
}

SCENARIO("a contiguous range drops clean pages of files", "[vm][page_cache]") {
  file_machine m;
  std::vector<pfn> pages;
  for (std::uint64_t index = 0; index < 2000; ++index) {
    pages.push_back(m.files.read(m.ctx, m.file, index).value());
  }
  const pfn block{pages.front().value() / pageblock_frames * pageblock_frames};
  REQUIRE(m.memory.alloc_contig_range(m.ctx, block, pageblock_frames));
  CHECK(m.files.counts().reclaimed > 0);
  CHECK(m.memory.counts().clean_pages_dropped == m.files.counts().reclaimed);
  for (std::uint64_t index = 0; index < 2000; ++index) {
    if (const auto page = m.files.find(m.file, index)) {
      CHECK((*page < block || *page >= block + pageblock_frames));
    }
  }
}

SCENARIO("a page cache that is detached leaves its pages to nobody", "[vm][page_cache]") {
  slow_store disk;
  page_allocator memory{{.memory = memory_map::x86_64(64_MiB)}};
  context ctx;
  pfn clean{};
  pfn written{};
  {
    page_cache files{memory, &disk};
    const auto file = files.add_file();
    clean = *files.read(ctx, file, 0);
    written = *files.write(ctx, file, 1);
    CHECK(files.cached(file) == 2);
    REQUIRE(files.sync(ctx, file) == 1);
    files.detach();
    CHECK(files.cached() == 0);
    CHECK_THROWS_WITH(files.cached(file), ContainsSubstring("file 0: there are 0"));
    CHECK_THROWS_WITH(files.add_file(), ContainsSubstring("detached"));
    disk.finish_all();
  }
  for (const auto page : {clean, written}) {
    CHECK(memory.page(page).owner == 0);
    CHECK(!memory.page(page).flags.has_any(page_flag::writeback));
  }
  memory.flush_lru_batches();
  CHECK(memory.reclaim(ctx, 100) == 2);
}

// SPDX-License-Identifier: Apache-2.0
// hugetlb's scheme outside hugetlb: a file of pages of 4 KiB, on a pool of single pages.
#include <memsim/policy/reservation.hpp>

#include <map>

#include <memsim/vm/virtual_memory.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

struct single_pages final : page_source {
  explicit single_pages(page_allocator& of) : memory{of} {}
  std::expected<pfn, error> get(context& ctx) override {
    return memory.alloc(ctx, order{0}, gfp_highuser);
  }
  void put(context& ctx, pfn page) override { memory.free(ctx, page, order{0}); }
  page_allocator& memory;
};

class promised_file final : public backing {
 public:
  promised_file(virtual_memory& vm, page_pool& pool) : backing{vm}, promises{pool, page_size::k4} {}
  [[nodiscard]] bool joins_areas() const override { return false; }
  std::expected<void, error> reserve(context& ctx, const mapped_area& of) override {
    return promises.reserve(ctx, of);
  }
  std::expected<backing_page, error> fault(context& ctx, const fault_request& want) override {
    const auto index = want.index();
    if (const auto found = pages.find(index); found != pages.end()) {
      return backing_page{.what = backing_page::kept, .first = found->second, .writable = true};
    }
    const auto page = promises.take(ctx, want.in.area, index);
    if (!page) return fail(errc::bus_error, "{}", page.error());
    pages[index] = *page;
    return backing_page{.what = backing_page::kept, .first = *page, .filled = 0, .writable = true};
  }
  std::expected<void, error> fork(context&, const mapped_area&, const mapped_area& child) override {
    reservation::disown(child);
    return {};
  }
  void unmap(context& ctx, const mapped_area& of) override { promises.unmap(ctx, of, mappings()); }
  void truncate(context& ctx, std::uint64_t size) override {
    std::uint64_t freed = 0;
    for (auto at = pages.lower_bound(size); at != pages.end(); at = pages.erase(at), ++freed) {
      promises.put(ctx, at->second);
    }
    promises.truncate(ctx, size, freed);
  }

  reservation promises;
  std::map<std::uint64_t, pfn> pages{};
};

struct machine_with_pool {
  explicit machine_with_pool(std::uint64_t pages) { pool.resize(ctx, pages); }

  page_allocator memory{{.memory = memory_map::x86_64(64_MiB)}};
  virtual_memory vm{memory};
  context ctx{};
  single_pages source{memory};
  page_pool pool{source};
};

}  // namespace

SCENARIO("reservation at mmap moves failure to mmap, over any pool", "[reservation]") {
  GIVEN("a pool of 10 pages, and a file") {
    machine_with_pool m{10};
    promised_file file{m.vm, m.pool};
    auto& one = m.vm.add_process();
    auto& two = m.vm.add_process();
    const mapping_request shared{.source = &file, .with = sharing::shared_pages};

    WHEN("processes map the same six pages") {
      const auto a = one.mmap(m.ctx, 6, shared);
      const auto b = two.mmap(m.ctx, 6, shared);
      REQUIRE(a);
      REQUIRE(b);
      THEN("these are promised once, and no fault in them fails") {
        CHECK(m.pool.counts().reserved == 6);
        for (frame_count i = 0; i < 6; ++i) REQUIRE(one.write(m.ctx, *a + i, i + 1));
        CHECK(two.read(m.ctx, *b + 5) == 6u);
        CHECK(m.pool.counts().reserved == 0);
        CHECK(m.pool.counts().free == 4);
      }
      THEN("more than is left fails at mmap, and changes nothing") {
        auto beyond = shared;
        beyond.offset = 6;
        const auto refused = two.mmap(m.ctx, 5, beyond);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code() == errc::no_memory);
        CHECK(m.pool.counts().reserved == 6);
        REQUIRE(two.mmap(m.ctx, 4, beyond));
        CHECK(m.pool.counts().reserved == 10);
      }
      THEN("without a promise mmap succeeds, and the fault fails") {
        auto beyond = shared;
        beyond.offset = 6;
        beyond.no_reserve = true;
        const auto hopeful = two.mmap(m.ctx, 5, beyond);
        REQUIRE(hopeful);
        for (frame_count i = 0; i < 4; ++i) REQUIRE(two.write(m.ctx, *hopeful + i, 1));
        const auto refused = two.write(m.ctx, *hopeful + 4, 1);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code() == errc::bus_error);
        REQUIRE(one.write(m.ctx, *a, 1));
      }
      THEN("the promises stay until the file loses the pages") {
        REQUIRE(one.write(m.ctx, *a, 1));
        REQUIRE(one.munmap(m.ctx, *a, 6));
        REQUIRE(two.munmap(m.ctx, *b, 6));
        CHECK(m.pool.counts().reserved == 5);
        m.vm.truncate(m.ctx, file, 2);
        CHECK(m.pool.counts().reserved == 1);
        CHECK(m.pool.counts().free == 9);
        m.vm.truncate(m.ctx, file, 0);
        CHECK(m.pool.counts().reserved == 0);
        CHECK(m.pool.counts().free == 10);
      }
    }
  }
}

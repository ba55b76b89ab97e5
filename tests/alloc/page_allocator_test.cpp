// SPDX-License-Identifier: Apache-2.0
// Bad requests, forks, gates, and the buddy system on a machine small enough to follow.
#include <memsim/alloc/page_allocator.hpp>

#include <algorithm>

#include <memsim/testing/fault_injection.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

// 4 MiB in one free block of order 10, marks of zero, batches of one page.
page_allocator one_block(const kernel_profile& profile) {
  zone_state z{.extent = {zone_type::dma, pfn{0}, 1024, 1024, 1024}};
  z.free_pages = 1024;
  z.counter_threshold = 2;
  z.cpus.push_back({.high = 4, .batch = 1, .high_min = 4, .high_max = 4});
  z.free_lists[10][static_cast<unsigned>(migratetype::movable)] = {pfn{0}};
  z.pageblocks = {migratetype::movable, migratetype::movable};
  allocator_state state;
  state.zones.push_back(std::move(z));
  return page_allocator::restore(state, profile).value();
}

std::vector<pfn> movable_list(const page_allocator& memory, unsigned size) {
  return memory.free_list(memory.zones().front(), order{size}, migratetype::movable);
}

using frames = std::vector<pfn>;

}  // namespace

TEST_CASE("a block is split from below and merged back, tails for what may merge again",
          "[alloc]") {
  for (const auto& profile : {linux_6_1, linux_6_12}) {
    auto memory = one_block(profile);
    context ctx;
    const auto take = [&] { return memory.alloc(ctx, order{0}, gfp_highuser_movable).value(); };
    const auto give = [&](unsigned frame) {
      memory.free(ctx, pfn{frame}, order{0});
      memory.drain_all(ctx);
    };
    INFO(profile.name);
    CHECK(take() == pfn{0});
    CHECK(take() == pfn{1});
    CHECK(take() == pfn{2});
    CHECK(movable_list(memory, 0) == frames{pfn{3}});
    for (unsigned o = 2; o < 10; ++o) CHECK(movable_list(memory, o) == frames{pfn{1u << o}});

    give(0);
    CHECK(movable_list(memory, 0) == frames{pfn{0}, pfn{3}});
    give(2);
    CHECK(movable_list(memory, 0) == frames{pfn{0}});
    CHECK(movable_list(memory, 1) == frames{pfn{2}});
    CHECK(take() == pfn{0});
    give(0);
    give(1);
    CHECK(movable_list(memory, 10) == frames{pfn{0}});
    CHECK(memory.zones().front().exact_free_pages() == 1024);
  }
}

TEST_CASE("bad requests throw, say what was allowed, and change nothing", "[alloc]") {
  page_allocator memory{{.memory = memory_map::x86_64(64_MiB), .cpus = 2}};
  context ctx;
  const auto page = memory.alloc(ctx, order{0}, gfp_kernel).value();
  const auto block = memory.alloc(ctx, order{3}, gfp_kernel).value();
  const auto large = memory.alloc(ctx, order{10}, gfp_kernel).value();
  const auto freed = memory.alloc(ctx, order{0}, gfp_kernel).value();
  memory.free(ctx, freed, order{0});
  const auto before = memory.state_digest();
  const auto refuses = [&](auto request, const std::string& words) {
    try {
      request();
      FAIL_CHECK("accepted: " << words);
    } catch (const usage_error& e) {
      CHECK_THAT(e.what(), ContainsSubstring(words));
    }
    CHECK(memory.state_digest() == before);
  };
  const auto give = [&](pfn frame, unsigned size) {
    return [&, frame, size] { memory.free(ctx, frame, order{size}); };
  };

  refuses([&] { (void)memory.alloc(ctx, order{11}, gfp_kernel); }, "order 11 is above 10");
  refuses([&] { (void)memory.alloc(ctx, order{40}, gfp_kernel); }, "order 40 is above 10");
  refuses([&] { (void)memory.alloc(ctx, order{0}, gfp_flag::movable | gfp_flag::reclaimable); },
          "two mobilities");
  refuses(give(freed, 0), "free on a per-CPU list");
  refuses(give(page, 1), fmt::format("free of frame {} as a block of order 1", page));
  refuses(give(block, 0), "an allocated block of order 3");
  refuses(give(block, 2), "an allocated block of order 3");
  refuses(give(block + 1, 0), "not the first frame of a block");
  refuses(give(large + 512, 9), "not the first frame of a block");
  refuses(give(large, 9), "an allocated block of order 10");
  refuses(give(pfn{0}, 0), "not memory");
  refuses(give(pfn{200}, 0), "not memory");
  refuses(give(pfn{1} + (64_MiB).frames(), 0), "not memory");
  refuses(give(pfn{1ULL << 40}, 0), "not memory");
  refuses(give(pfn{(1ULL << 32) + page.value()}, 0), "not memory");
  refuses(give(page, 63), "order 63 is above 10");
  ctx.cpu = cpu_id{2};
  refuses([&] { (void)memory.alloc(ctx, order{0}, gfp_kernel); }, "CPUs 0 to 1");
  refuses(give(page, 0), "CPUs 0 to 1");
  refuses([&] { memory.drain(ctx, cpu_id{0}); }, "CPUs 0 to 1");
}

TEST_CASE("a copy is a fork: it goes its own way, and nobody listens to it", "[alloc]") {
  struct counter final : allocator_observer {
    int allocations = 0;
    void on_allocation(const allocation_event&) override { ++allocations; }
  } seen;
  page_allocator memory{{.memory = memory_map::x86_64(64_MiB)}};
  context ctx;
  memory.add_observer(seen);
  const auto page = memory.alloc(ctx, order{0}, gfp_kernel).value();
  CHECK(seen.allocations == 1);

  auto fork = memory;
  CHECK(fork.state_digest() == memory.state_digest());
  CHECK(fork.state() == memory.state());
  context other;
  const auto next = fork.alloc(other, order{0}, gfp_kernel).value();
  CHECK(seen.allocations == 1);
  CHECK(fork.state_digest() != memory.state_digest());
  CHECK(memory.alloc(ctx, order{0}, gfp_kernel).value() == next);
  CHECK(fork.state_digest() == memory.state_digest());
  fork.free(other, page, order{0});
  CHECK_THROWS_AS(fork.free(other, page, order{0}), usage_error);
  CHECK_NOTHROW(memory.free(ctx, page, order{0}));
}

TEST_CASE("an allocator taken up from its state goes on as the original", "[alloc]") {
  for (const auto& profile : {linux_6_1, linux_6_12}) {
    page_allocator memory{{.memory = memory_map::x86_64(64_MiB), .profile = profile}};
    context ctx;
    std::vector<pfn> pages;
    for (unsigned i = 0; i < 500; ++i) {
      pages.push_back(
          memory.alloc(ctx, order{i % 4}, i % 3 ? gfp_kernel : gfp_highuser_movable).value());
    }
    for (unsigned i = 0; i < 500; i += 3) memory.free(ctx, pages[i], order{i % 4});
    memory.set_movable(pages[1], rule::on);
    auto again = page_allocator::restore(memory.state(), profile).value();
    CHECK(again.state() == memory.state());
    CHECK(again.state_digest() == memory.state_digest());
    for (unsigned i = 1; i < 500; i += 3) {
      memory.free(ctx, pages[i], order{i % 4});
      again.free(ctx, pages[i], order{i % 4});
    }
    CHECK(again.alloc(ctx, order{0}, gfp_kernel) == memory.alloc(ctx, order{0}, gfp_kernel));
    CHECK(again.state_digest() == memory.state_digest());
  }
}

TEST_CASE("a gate refuses a request before anything happens", "[alloc]") {
  page_allocator memory{{.memory = memory_map::x86_64(64_MiB)}};
  context ctx;
  REQUIRE(memory.alloc(ctx, order{0}, gfp_kernel));
  auto faults = memsim::testing::fault_injector::nth(2);
  memory.set_gate(&faults);
  REQUIRE(memory.alloc(ctx, order{0}, gfp_kernel));
  const auto before = memory.state_digest();
  const auto refused = memory.alloc(ctx, order{0}, gfp_kernel);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::injected);
  CHECK(memory.state_digest() == before);
  CHECK(memory.alloc(ctx, order{0}, gfp_kernel));
}

TEST_CASE("a machine that is full says so, and gives all of it back", "[alloc]") {
  page_allocator memory{{.memory = memory_map::x86_64(32_MiB)}};
  context ctx;
  const auto free_at_first = [&] {
    std::int64_t pages = 0;
    for (const auto& z : memory.zones()) pages += z.exact_free_pages();
    return pages;
  };
  const auto before = free_at_first();
  std::vector<pfn> pages;
  while (const auto page = memory.alloc(ctx, order{0}, gfp_highuser_movable)) {
    pages.push_back(*page);
  }
  const auto failed = memory.alloc(ctx, order{0}, gfp_highuser_movable);
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code() == errc::no_memory);
  CHECK(pages.size() > 6000);
  for (const auto page : pages) memory.free(ctx, page, order{0});
  memory.drain_all(ctx);
  CHECK(free_at_first() == before);
}

TEST_CASE("a pristine terabyte knows its size and gives out its highest zone first", "[alloc]") {
  page_allocator memory{{.memory = memory_map::x86_64(1_TiB)}};
  context ctx;
  const auto page = memory.alloc(ctx, order{0}, gfp_highuser_movable).value();
  CHECK(page == pfn{1u << 20});
  auto fork = memory;
  CHECK(fork.state_digest() == memory.state_digest());
}

TEST_CASE("a compound request gets one page, whatever frame of it is looked at", "[alloc]") {
  for (const auto& profile : {linux_6_1, linux_6_12}) {
    INFO(profile.name);
    auto memory = one_block(profile);
    context ctx;
    // From the free lists, and off a per-CPU list.
    for (const unsigned size : {5u, 2u, 2u}) {
      const auto block = memory.alloc(ctx, order{size}, gfp_kernel | gfp_flag::comp).value();
      const auto plain = memory.alloc(ctx, order{size}, gfp_kernel).value();
      CHECK(memory.frames().mark_at(block).is_compound());
      CHECK_FALSE(memory.frames().mark_at(plain).is_compound());
      const auto state = memory.state();
      const auto& allocated = state.zones.front().allocated;
      const auto is_in = [&](const allocated_block& b) {
        return std::ranges::find(allocated, b) != allocated.end();
      };
      CHECK(is_in({block, order{size}, true}));
      CHECK(is_in({plain, order{size}, false}));
      memory.free(ctx, block, order{size});
      memory.free(ctx, plain, order{size});
    }
    const auto block = memory.alloc(ctx, order{3}, gfp_kernel | gfp_flag::comp).value();
    memory.split(block, order{3}, order{1});
    CHECK_FALSE(memory.frames().mark_at(block).is_compound());
  }
}

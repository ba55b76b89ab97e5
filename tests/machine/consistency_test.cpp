// SPDX-License-Identifier: Apache-2.0
#include "machine/consistency.hpp"

#include <memsim/arch/tlb_flusher.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

machine_config small_machine() { return {.memory = memory_map::x86_64(3_GiB), .cpus = 2}; }

// What is said of parts that were made for `config`, in a machine of another configuration.
struct made_parts {
  explicit made_parts(const machine_config& config = small_machine())
      : memory{allocator_config(config)},
        map{boot_layout(config.memory, config.largest_mapping), memory, tlbs} {}

  [[nodiscard]] std::string message(const machine_config& config) const {
    return message(config, map);
  }
  [[nodiscard]] std::string message(const machine_config& config, const direct_map& other) const {
    const auto checked = detail::check_consistency(config, memory, other);
    return checked ? "" : checked.error().message();
  }

  page_allocator memory;
  counting_flusher tlbs{1};
  direct_map map;
  context ctx{};
};

}  // namespace

SCENARIO("parts that were made for each other are consistent", "[machine][consistency]") {
  made_parts parts;
  CHECK(parts.message(small_machine()).empty());
  REQUIRE(parts.map.change(parts.ctx, pfn{300'000}, 1, make_invalid));
  REQUIRE(parts.map.change(parts.ctx, pfn{0}, 1, make_invalid));
  CHECK(parts.message(small_machine()).empty());
  THEN("merged ones, too") {
    REQUIRE(parts.map.change(parts.ctx, pfn{300'000}, 1, make_default));
    parts.map.collapse(parts.ctx, pfn{0}, parts.map.end() - pfn{0}, {});
    CHECK(parts.map.page_tables() == 0);
    CHECK(parts.message(small_machine()).empty());
  }
}

SCENARIO("parts of different machines are told apart", "[machine][consistency]") {
  const made_parts parts;
  auto other = small_machine();
  SECTION("by their CPUs") {
    other.cpus = 3;
    CHECK(parts.message(other) == "a machine of 3 CPUs with a page allocator for 2");
  }
  SECTION("by their memory") {
    other.memory = memory_map::x86_64(2_GiB);
    CHECK_THAT(parts.message(other), ContainsSubstring("page allocator's memory"));
  }
  SECTION("by their CMA areas") {
    other.cma_areas.push_back({pfn{512 * 100}, 512});
    CHECK_THAT(parts.message(other), ContainsSubstring("CMA areas"));
  }
  SECTION("by what is mapped") {
    other.memory = memory_map::x86_64(2_GiB);
    const made_parts smaller{other};
    CHECK_THAT(parts.message(small_machine(), smaller.map), ContainsSubstring("direct map"));
  }
}

SCENARIO("a split took a frame", "[machine][consistency]") {
  made_parts parts;
  REQUIRE(parts.map.change(parts.ctx, pfn{300'000}, 1, make_invalid));
  auto state = parts.map.state();
  REQUIRE(state.tables.size() == 2);
  const auto without = [&](std::size_t table) {
    auto less = state;
    less.tables.erase(less.tables.begin() + static_cast<std::ptrdiff_t>(table));
    const auto map = direct_map::restore(less, parts.memory, parts.tlbs, {});
    REQUIRE(map);
    return parts.message(small_machine(), *map);
  };
  CHECK(without(0) ==
        "the 1G mapping at frame 262144 is split, but no frame was taken for its table");
  CHECK(without(1) ==
        "the 2M mapping at frame 299520 is split, but no frame was taken for its table");
}

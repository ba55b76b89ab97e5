// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A machine with secret memory of a design, for its tests.

#include <memsim/machine.hpp>
#include <memsim/policy/secretmem.hpp>
#include <memsim/testing/invariants.hpp>
#include <memsim/vm/virtual_memory.hpp>

#include "catch.hpp"

namespace memsim::test {

inline constexpr frame_count chunk = pageblock_frames;

inline machine_config machine_of(bytes size, frame_count cma = 0) {
  machine_config config{.memory = memory_map::x86_64(size), .profile = linux_6_1};
  if (cma > 0) config.cma_areas = {{.base = pfn{256_MiB .frames()}, .count = cma}};
  return config;
}

struct secret_machine {
  explicit secret_machine(const secretmem_config& how, bytes size = 1_GiB, frame_count cma = 0)
      : m{machine_of(size, cma)}, secrets{vm, m.map(), how} {}

  [[nodiscard]] context& ctx() { return m.cpu(0); }
  [[nodiscard]] address_space& process(std::uint32_t user = 0,
                                       frame_count limit = ~frame_count{0}) {
    return vm.add_process({.user = user, .memlock_limit = limit});
  }
  secretmem_file& file(const address_space& creator, frame_count pages) {
    auto made = secrets.create(creator);
    REQUIRE(made);
    REQUIRE((*made)->resize(pages));
    return **made;
  }
  [[nodiscard]] static mapping_request shared(secretmem_file& of) {
    return {.source = &of, .with = sharing::shared_pages};
  }
  [[nodiscard]] bool is_absent(pfn frame) const {
    return !m.map().at(frame)->flags.has(mapping_flag::present);
  }
  [[nodiscard]] frame_count absent() const {
    frame_count count = 0;
    for (const auto& run : m.map().runs())
      count += run.how.flags.has(mapping_flag::present) ? 0 : run.count;
    return count;
  }
  // A page of a file is absent, and nothing else is.
  void check() const {
    CHECK(absent() == secrets.absent_pages());
    for (const auto& f : secrets.files()) {
      for (std::uint64_t i = 0; i < f->size(); ++i) {
        if (const auto page = f->page_at(i)) CHECK(is_absent(*page));
      }
    }
    CHECK(memsim::testing::check_invariants(m.memory()).empty());
  }

  machine m;
  virtual_memory vm{m.memory()};
  secretmem secrets;
};

errc code_of(const auto& failed) {
  REQUIRE_FALSE(failed);
  return failed.error().code();
}

}  // namespace memsim::test

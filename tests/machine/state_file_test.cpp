// SPDX-License-Identifier: Apache-2.0
// Saved machines: what comes back is what was, and nothing else is let in.
#include <fstream>
#include <sstream>

#include <memsim/arch/merge_policy.hpp>
#include <memsim/core/random.hpp>
#include <memsim/machine.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

machine aged_machine(const kernel_profile& profile = linux_6_12) {
  machine m{{.memory = memory_map::x86_64(64_MiB),
             .cpus = 2,
             .cpu = presets::zen4(),
             .nested = nested_paging{.host_page = page_size::m2},
             .profile = profile,
             .settings = {.min_free_kbytes = 1000, .watermark_scale_factor = 20},
             .largest_mapping = page_size::m2,
             .seed = 7}};
  random_stream random{1, "test"};
  std::vector<pfn> pages;
  for (int i = 0; i < 4000; ++i) {
    auto& cpu = m.cpu(static_cast<unsigned>(random.below(2)));
    if (pages.empty() || random.chance(0.6)) {
      const auto flags = random.chance(0.5) ? gfp_kernel : gfp_highuser_movable;
      const auto page = m.memory().alloc(cpu, order{0}, flags);
      if (page) pages.push_back(*page);
    } else {
      m.memory().free(cpu, pages.back(), order{0});
      pages.pop_back();
    }
  }
  for (const auto how : {make_invalid, make_read_only, make_encrypted, make_small}) {
    REQUIRE(m.map().change(m.cpu(0), pages[random.below(pages.size())], 1, how));
  }
  static_cast<void>(m.take_charge(0));
  m.sim().run_for(sim_duration{12'345});
  m.access(1, pfn{1000});
  // TLBs are not saved, and the digest is of all.
  for (unsigned i = 0; i < 2; ++i) m.tlbs().cpu(cpu_id{i}).flush(tlb_flush::everything());
  return m;
}

std::string saved(const machine& m) {
  std::ostringstream output;
  m.save(output);
  return output.str();
}

std::expected<machine, error> loaded(const std::string& text) {
  std::istringstream input{text};
  return machine::load(input, "m.state");
}

std::string message(const std::string& text) {
  const auto m = loaded(text);
  return m ? std::string{"accepted"} : m.error().message();
}

}  // namespace

SCENARIO("a saved machine comes back as it was", "[machine][state_file]") {
  const auto& profile = GENERATE_REF(linux_6_1, linux_6_12);
  auto m = aged_machine(profile);
  const auto text = saved(m);
  auto back = loaded(text);
  REQUIRE(back);
  CHECK(back->state_digest() == m.state_digest());
  CHECK(saved(*back) == text);
  CHECK(back->memory().state() == m.memory().state());
  CHECK(back->map().state() == m.map().state());
  CHECK(back->config().cpu.tlb == m.config().cpu.tlb);
  CHECK(back->config().cpu.costs == m.config().cpu.costs);
  CHECK(back->config().nested == m.config().nested);
  CHECK(back->config().profile == m.config().profile);
  CHECK(back->config().settings == m.config().settings);
  CHECK(back->config().seed == 7);
  CHECK(back->done() == m.done());
  CHECK(back->sim().now() == m.sim().now());
  CHECK(back->take_charge(0) == sim_duration{0});
  CHECK(back->take_charge(1) == m.take_charge(1));
  CHECK(loaded(text)->take_charge(1) > sim_duration{0});
  THEN("and goes on as it would have") {
    for (int i = 0; i < 3000; ++i) {
      auto& cpu = m.cpu(static_cast<unsigned>(i % 2));
      auto& other = back->cpu(static_cast<unsigned>(i % 2));
      const auto size = order{static_cast<unsigned>(i % 3)};
      REQUIRE(m.memory().alloc(cpu, size, gfp_kernel) ==
              back->memory().alloc(other, size, gfp_kernel));
    }
    CHECK(back->state_digest() == m.state_digest());
  }
}

SCENARIO("a profile of one's own is kept", "[machine][state_file]") {
  auto profile = linux_6_12;
  profile.merging_retypes_pageblock = rule::off;
  const auto m = aged_machine(profile);
  const auto back = loaded(saved(m));
  REQUIRE(back);
  CHECK(back->config().profile == profile);
}

SCENARIO("a machine is saved to a file", "[machine][state_file]") {
  const auto path = std::filesystem::temp_directory_path() / "memsim_state_file_test";
  const auto m = aged_machine();
  REQUIRE(m.save(path));
  const auto back = machine::load(path, &merge_when_uniform);
  REQUIRE(back);
  CHECK(back->state_digest() == m.state_digest());
  CHECK(back->config().merging == &merge_when_uniform);
  std::filesystem::remove(path);
  CHECK(machine::load(path).error().code() == errc::io);
  CHECK(machine::load(path.parent_path()).error().code() == errc::io);  // a directory
  CHECK_THAT(m.save(path / "x").error().message(), ContainsSubstring("memsim_state_file_test/x: "));
}

// A file that was written when the format got its version. If it can no longer be read, or is
// written otherwise, the format is another one and needs a version of its own.
SCENARIO("a file of this version stays readable", "[machine][state_file]") {
  const std::filesystem::path path = MEMSIM_TEST_DATA "/version_5.machine";
  const auto m = machine::load(path);
  REQUIRE(m);
  CHECK(m->config().cpus == 2);
  CHECK(m->config().cpu.name == "zen4");
  CHECK(m->config().profile == linux_6_1);
  CHECK(m->config().flush_ceiling == 8);
  CHECK(m->config().nested == nested_paging{});
  CHECK(m->map().counts() == direct_map_counts{.m2_splits = 1});
  CHECK(m->done(1).remote_full_flushes == 1);
  CHECK(m->sim().now() == sim_time{sim_duration{12'345}});
  std::ifstream file{path, std::ios::binary};
  CHECK(saved(*m) == std::string{std::istreambuf_iterator<char>{file}, {}});
}

SCENARIO("a truncated, damaged or foreign file is refused", "[machine][state_file]") {
  const auto text = saved(aged_machine());
  CHECK_THAT(message(""), ContainsSubstring("m.state: this is not a saved machine"));
  CHECK_THAT(message("hello"), ContainsSubstring("this is not a saved machine"));
  CHECK_THAT(message(text.substr(0, 10)), ContainsSubstring("truncated within its header"));
  CHECK_THAT(message(text.substr(0, 20)), ContainsSubstring("truncated within its header"));
  CHECK_THAT(message(text.substr(0, text.size() - 1)), ContainsSubstring("truncated"));
  CHECK_THAT(message(text + "x"), ContainsSubstring("1 bytes after its end"));
  auto newer = text;
  newer[15] = 9;
  CHECK_THAT(message(newer), ContainsSubstring("of format version 9"));
  CHECK(loaded(newer).error().code() == errc::unsupported);
  // A bit anywhere.
  for (std::size_t i = 0; i < text.size(); i += 97) {
    auto damaged = text;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    REQUIRE_FALSE(loaded(damaged));
  }
}

// With the right checksum, as a program other than memsim could write it.
SCENARIO("content that is no machine is refused, whatever its checksum", "[machine][state_file]") {
  const auto text = saved(aged_machine());
  constexpr std::size_t header = 15 + 4 + 8 + 4;
  const auto with_checksum = [&](std::string payload) {
    std::string file = text.substr(0, 19);
    for (unsigned i = 0; i < 8; ++i) file += static_cast<char>(payload.size() >> (8 * i) & 0xff);
    std::uint32_t crc = ~0u;
    for (const char c : payload) {
      crc ^= static_cast<unsigned char>(c);
      for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    for (unsigned i = 0; i < 4; ++i) file += static_cast<char>(~crc >> (8 * i) & 0xff);
    return file + payload;
  };
  const auto payload = text.substr(header);
  REQUIRE(with_checksum(payload) == text);
  CHECK_THAT(message(with_checksum("")), ContainsSubstring("not that of a machine"));
  CHECK_THAT(message(with_checksum(payload + "x")), ContainsSubstring("not that of a machine"));
  // Whatever is in a byte, the answer is a machine or an error.
  int refused = 0;
  for (std::size_t i = 0; i < payload.size(); i += 211) {
    for (const char value : {'\0', '\x7f', '\xff'}) {
      auto changed = payload;
      changed[i] = value;
      refused += !loaded(with_checksum(changed));
    }
  }
  CHECK(refused > 10);
}

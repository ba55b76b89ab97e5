// SPDX-License-Identifier: Apache-2.0
// A trace of any bytes is read, strictly and leniently, and what can be read is replayed.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/workload/ftrace_reader.hpp>
#include <memsim/workload/machine_description.hpp>
#include <memsim/workload/replay.hpp>
#include <memsim/workload/trace_hints.hpp>

namespace {

using namespace memsim;

// With blocks in use from before, so that frees find something.
page_allocator machine() {
  page_allocator memory{{.memory = memory_map::x86_64(32_MiB), .cpus = 2}};
  context ctx;
  for (unsigned i = 0; i < 64; ++i) (void)memory.alloc(ctx, order{i % 5}, gfp_kernel);
  auto state = memory.state();
  for (auto& z : state.zones) z.allocated.clear();
  return page_allocator::restore(state, linux_6_12).value();
}

machine_description description() {
  machine_description m;
  m.zones.push_back(
      {.extent = {zone_type::dma32, pfn{4096}, 4096, 4096, 4096}, .pagesets = {{}, {}}});
  return m;
}

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const page_allocator fresh = machine();
  const std::string text{reinterpret_cast<const char*>(data), size};

  std::istringstream strict_in{text};
  ftrace_reader strict{strict_in, "fuzz"};
  trace_hints hints{description()};
  const auto read = hints.read(strict);

  std::istringstream lenient_in{text};
  ftrace_reader lenient{lenient_in, "fuzz", strictness::lenient};
  auto memory = fresh;
  const auto frees = memory.counts();
  const auto summary = replay(lenient, memory, {.sample_interval = std::chrono::seconds{1}});
  if (summary) {
    // Events that can be read and cannot be are counted with the malformed lines.
    require(read.has_value() || summary->malformed_lines > 0);
    require(lenient.bytes_read() == size);
    require(summary->counts.frees >= summary->counts.adopted);
    require(!to_text(*summary).empty() && frees == fresh.counts());
  } else {
    require(summary.error().message().size() < 1000);
  }
  if (!read) require(read.error().message().size() < 1000);
  return 0;
}

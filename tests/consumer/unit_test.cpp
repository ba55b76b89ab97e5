// SPDX-License-Identifier: Apache-2.0
// A test that links memsim::testing: the second allocation is made to fail.
#include <memsim/alloc/page_allocator.hpp>
#include <memsim/testing/fault_injection.hpp>

int main() {
  using namespace memsim;

  page_allocator memory{{.memory = memory_map::x86_64(1_GiB)}};
  auto faults = testing::fault_injector::nth(2);
  memory.set_gate(&faults);

  context ctx;
  const bool first = memory.alloc(ctx, order{0}, gfp_kernel).has_value();
  const auto second = memory.alloc(ctx, order{0}, gfp_kernel);
  return first && !second && second.error().code() == errc::injected ? 0 : 1;
}

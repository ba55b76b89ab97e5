// SPDX-License-Identifier: Apache-2.0
#include <memsim/frames/lazy_array.hpp>

#include <new>

#include <sys/mman.h>

namespace memsim::detail {

void* map_zero_pages(std::size_t size) {
  void* address = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED) throw std::bad_alloc{};
  // Large host pages where they can be had: random frames cost one TLB miss less each. It is a
  // hint, so its failure is no error.
  ::madvise(address, size, MADV_HUGEPAGE);
  return address;
}

void unmap_zero_pages(void* address, std::size_t size) noexcept { ::munmap(address, size); }

}  // namespace memsim::detail

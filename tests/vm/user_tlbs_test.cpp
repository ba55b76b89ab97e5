// SPDX-License-Identifier: Apache-2.0
#include <memsim/vm/user_tlbs.hpp>

#include <memsim/arch/kernel_tlbs.hpp>
#include <memsim/arch/tlb_presets.hpp>
#include <memsim/machine.hpp>
#include <memsim/vm/virtual_memory.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

constexpr frame_count huge = pageblock_frames;
constexpr auto reads = memory_access::read;
constexpr auto writes = memory_access::write;

// What flushes came to: on the CPU that acts, and on others.
struct flushed {
  std::uint64_t pages = 0;
  std::uint64_t full = 0;
  std::uint64_t remote_pages = 0;
  std::uint64_t remote_full = 0;
  std::uint64_t ipis = 0;

  friend bool operator==(const flushed&, const flushed&) = default;
  friend std::ostream& operator<<(std::ostream& out, const flushed& f) {
    return out << f.pages << " pages, " << f.full << " full, remote " << f.remote_pages
               << " pages, " << f.remote_full << " full, " << f.ipis << " interrupts";
  }
};

struct four_cpus {
  explicit four_cpus(const user_tlbs_config& how = {}) : user{tlbs, how} {
    for (unsigned i = 0; i < 4; ++i) cpu[i].cpu = cpu_id{i};
  }

  page_allocator memory{{.memory = memory_map::x86_64(64_MiB), .cpus = 4}};
  tlb_system tlbs{{.geometry = presets::skylake_sp_tlb()}, 4};
  user_tlbs user;
  virtual_memory vm{memory, {.tlbs = &user}};
  std::array<context, 4> cpu{};
  address_space* process = &vm.add_process({.score_adjustment = oom_candidate::never});

  access_result access(unsigned on, address_space& by, vpn page, memory_access how) {
    const auto done = by.access(cpu[on], page, how);
    REQUIRE(done);
    return *done;
  }
  access_result access(unsigned on, vpn page, memory_access how) {
    return access(on, *process, page, how);
  }
  // Written on a CPU, so that its TLB may write.
  vpn written(unsigned on, frame_count pages, thp_advice advice = thp_advice::none) {
    const auto first = *process->mmap(cpu[on], pages, {.advice = advice});
    for (frame_count i = 0; i < pages; ++i) access(on, first + i, writes);
    return first;
  }
  // What CPU 0 flushes meanwhile.
  template <class Change>
  flushed flushes_of(Change change) {
    const auto before = cpu[0].done;
    change(cpu[0]);
    const auto& after = cpu[0].done;
    return {.pages = after.tlb_page_flushes - before.tlb_page_flushes,
            .full = after.tlb_full_flushes - before.tlb_full_flushes,
            .remote_pages = after.remote_page_flushes - before.remote_page_flushes,
            .remote_full = after.remote_full_flushes - before.remote_full_flushes,
            .ipis = after.ipis - before.ipis};
  }
};

}  // namespace

SCENARIO("an access takes a fault, then a walk, then hits", "[vm][user_tlbs]") {
  four_cpus m;
  GIVEN("small pages") {
    const auto heap = *m.process->mmap(m.cpu[0], 8);
    const auto first = m.access(0, heap, writes);
    CHECK(first.fault == fault_kind::minor);
    CHECK(first.found == translation{0, page_size::k4, 4});
    CHECK(first.frame == m.process->translate(heap));
    CHECK(to_text(first) == fmt::format("frame {}, 4K walk of 4, minor fault", *first.frame));
    const auto second = m.access(0, heap, writes);
    CHECK(second.fault == fault_kind::none);
    CHECK(second.found == translation{1, page_size::k4, 0});
    CHECK(second.frame == first.frame);
    CHECK(to_text(second) == fmt::format("frame {}, 4K hit in L1", *first.frame));
    THEN("another CPU walks by itself, without a fault") {
      const auto other = m.access(3, heap, reads);
      CHECK(other.fault == fault_kind::none);
      CHECK(other.found == translation{0, page_size::k4, 4});
    }
    THEN("what was read before it was written is zeroes, and has no frame") {
      const auto zero = m.access(0, heap + 1, reads);
      CHECK(zero.fault == fault_kind::minor);
      CHECK(!zero.frame);
      CHECK(to_text(m.access(0, heap + 1, reads)) == "zeroes, 4K hit in L1");
    }
    CHECK(m.user.counts().minor_faults >= 1);
  }
  GIVEN("a huge page") {
    const auto heap = *m.process->mmap(m.cpu[0], huge, {.advice = thp_advice::huge});
    const auto first = m.access(0, heap + 7, writes);
    CHECK(first.fault == fault_kind::minor);
    CHECK(first.found == translation{0, page_size::m2, 3});
    for (frame_count i = 0; i < huge; ++i) {
      const auto hit = m.access(0, heap + i, writes);
      CHECK(hit.found == translation{1, page_size::m2, 0});
      CHECK(hit.frame == m.process->translate(heap + i));
    }
    CHECK(m.tlbs.counts().walks.walks() == 1);
  }
  GIVEN("nothing, or no right") {
    const auto heap = *m.process->mmap(m.cpu[0], 2, {.allowed = protection::read});
    CHECK(m.process->access(m.cpu[0], heap, writes).error().code() == errc::bad_address);
    CHECK(m.process->access(m.cpu[0], heap + 2, reads).error().code() == errc::bad_address);
    CHECK_THROWS_AS(m.process->access(m.cpu[0], vpn{std::uint64_t{1} << 40}, reads), usage_error);
    CHECK(m.tlbs.counts().walks.walks() == 0);
    CHECK(m.user.counts().accesses == 0);
  }
}

SCENARIO("contents are read and written through TLBs", "[vm][user_tlbs]") {
  four_cpus m;
  const auto heap = *m.process->mmap(m.cpu[0], 4);
  CHECK(m.process->read(m.cpu[1], heap) == 0);
  REQUIRE(m.process->write(m.cpu[0], heap, 7));
  CHECK(m.process->read(m.cpu[1], heap) == 7);
  CHECK(m.user.counts().accesses == 3);
  CHECK(m.process->read(m.cpu[1], heap + 4).error().code() == errc::bad_address);
  CHECK(m.process->write(m.cpu[1], heap + 4, 1).error().code() == errc::bad_address);
}

SCENARIO("without TLBs an access finds what the page table says", "[vm][user_tlbs]") {
  page_allocator memory{{.memory = memory_map::x86_64(64_MiB)}};
  virtual_memory vm{memory};
  context ctx;
  auto& process = vm.add_process();
  CHECK(process.id() == asid{});
  const auto heap = *process.mmap(ctx, 4);
  const auto first = process.access(ctx, heap, writes);
  REQUIRE(first);
  CHECK(first->fault == fault_kind::minor);
  CHECK(first->frame == process.translate(heap));
  CHECK(process.access(ctx, heap, reads)->fault == fault_kind::none);
  CHECK(!process.access(ctx, heap + 4, reads));
  CHECK(ctx.done.tlb_page_flushes + ctx.done.tlb_full_flushes == 0);
}

SCENARIO("who forgets a flush is served the page that was there", "[vm][user_tlbs]") {
  four_cpus m;
  const auto heap = m.written(0, 2);
  const auto right = *m.process->translate(heap);
  const auto wrong = *m.process->translate(heap + 1);
  REQUIRE(m.process->write(m.cpu[0], heap, 1));
  REQUIRE(m.process->write(m.cpu[0], heap + 1, 2));
  auto& entry = *m.process->table().find(heap, page_size::k4);
  const auto saved = entry;
  WHEN("an entry is changed behind the back of the TLB") {
    entry = page_entry::page(wrong).with(entry.flags());
    CHECK(m.process->translate(heap) == wrong);
    THEN("its CPU goes on with the old page until it is flushed; another finds the new one") {
      CHECK(m.access(0, heap, reads).frame == right);
      CHECK(m.process->read(m.cpu[0], heap) == 1);
      CHECK(m.access(1, heap, reads).frame == wrong);
      m.user.flush(m.cpu[0], m.process->id(), stale_range::of(heap, 1, page_size::k4));
      CHECK(m.access(0, heap, reads).frame == wrong);
      CHECK(m.process->read(m.cpu[0], heap) == 2);
    }
    entry = saved;
  }
  WHEN("it is written through though it has become read-only") {
    entry = entry.without(page_entry::writable);
    CHECK(m.access(0, heap, writes).fault == fault_kind::none);
    CHECK(m.access(1, heap, writes).fault == fault_kind::minor);
  }
}

SCENARIO("an unmapped range is flushed at once, page by page up to the ceiling",
         "[vm][user_tlbs]") {
  four_cpus m;
  SECTION("1 page") {
    const auto heap = m.written(0, 1);
    CHECK(m.flushes_of([&](context& c) { m.process->munmap(c, heap, 1); }) == flushed{.pages = 1});
    CHECK(!m.process->access(m.cpu[0], heap, reads));
  }
  SECTION("33 pages") {
    const auto heap = m.written(0, 33);
    CHECK(m.flushes_of([&](context& c) { m.process->munmap(c, heap, 33); }) ==
          flushed{.pages = 33});
  }
  SECTION("34 pages") {
    const auto heap = m.written(0, 34);
    CHECK(m.flushes_of([&](context& c) { m.process->munmap(c, heap, 34); }) == flushed{.full = 1});
  }
  SECTION("as far as something is mapped") {
    const auto heap = *m.process->mmap(m.cpu[0], 400);
    m.access(0, heap + 200, writes);
    m.access(0, heap + 210, writes);
    CHECK(m.flushes_of([&](context& c) { m.process->munmap(c, heap, 400); }) ==
          flushed{.pages = 11});
  }
  SECTION("nothing for nothing") {
    m.written(0, 1);
    const auto heap = *m.process->mmap(m.cpu[0], 10);
    CHECK(m.flushes_of([&](context& c) { m.process->munmap(c, heap, 10); }) == flushed{});
  }
  SECTION("huge pages one by one; by 4 KiB if there is a small page among them") {
    auto heap = m.written(0, 4 * huge, thp_advice::huge);
    CHECK(m.flushes_of([&](context& c) { m.process->munmap(c, heap, 4 * huge); }) ==
          flushed{.pages = 4});
    heap = m.written(0, 2 * huge, thp_advice::huge);
    m.process->split_huge_pages(m.cpu[0], heap, 1);
    for (frame_count i = 0; i < 2 * huge; ++i) m.access(0, heap + i, reads);
    CHECK(m.flushes_of([&](context& c) { m.process->munmap(c, heap, 2 * huge); }) ==
          flushed{.full = 1});
  }
  SECTION("likewise what is discarded") {
    const auto heap = m.written(0, 20);
    CHECK(m.flushes_of([&](context& c) { CHECK(m.process->discard(c, heap, 20)); }) ==
          flushed{.pages = 20});
    CHECK(!m.access(0, heap, reads).frame);
  }
  SECTION("a ceiling of one's own") {
    four_cpus other{{.flush_ceiling = 2}};
    const auto heap = other.written(0, 3);
    CHECK(other.flushes_of([&](context& c) { other.process->munmap(c, heap, 3); }) ==
          flushed{.full = 1});
  }
}

SCENARIO("a full flush is of one address space, and not of the kernel", "[vm][user_tlbs]") {
  four_cpus m;
  direct_map map{boot_layout(m.memory.memory()), m.memory, [] -> tlb_flusher& {
                   static counting_flusher nobody{1};
                   return nobody;
                 }()};
  kernel_tlbs kernel{m.tlbs};
  const auto heap = m.written(0, 34);
  auto& other = m.vm.add_process();
  const auto its = *other.mmap(m.cpu[0], 1);
  m.access(0, other, its, writes);
  kernel.access(cpu_id{0}, map, pfn{1000});
  m.process->munmap(m.cpu[0], heap, 34);
  CHECK(m.access(0, other, its, writes).found.hit_level == 1);
  CHECK(kernel.access(cpu_id{0}, map, pfn{1000}).hit_level == 1);
}

SCENARIO("only CPUs where the process has run are interrupted", "[vm][user_tlbs]") {
  four_cpus m;
  const auto heap = m.written(0, 2);
  auto& other = m.vm.add_process();
  const auto its = *other.mmap(m.cpu[3], 1);
  m.access(3, other, its, writes);
  m.access(2, heap, reads);
  CHECK(std::ranges::equal(m.user.cpus_of(m.process->id()), std::array{cpu_id{0}, cpu_id{2}}));
  CHECK(m.flushes_of([&](context& c) { m.process->munmap(c, heap, 1); }) ==
        flushed{.pages = 1, .remote_pages = 1, .ipis = 1});
  CHECK(m.tlbs.shootdowns(cpu_id{2}).ipis_received == 1);
  CHECK(m.tlbs.shootdowns(cpu_id{3}).ipis_received == 0);
  // Who acts without having run it has nothing to flush himself.
  CHECK(m.flushes_of([&](context& c) { other.munmap(c, its, 1); }) ==
        flushed{.remote_pages = 1, .ipis = 1});
}

SCENARIO("fork write-protects the parent, and flushes all of it once", "[vm][user_tlbs]") {
  four_cpus m;
  const auto heap = m.written(0, 2);
  m.access(1, heap, writes);
  address_space* child = nullptr;
  CHECK(m.flushes_of([&](context& c) { child = *m.process->fork(c); }) ==
        flushed{.full = 1, .remote_full = 1, .ipis = 1});
  CHECK(child->id() != m.process->id());
  CHECK(m.user.cpus_of(child->id()).empty());
  THEN("a write on either CPU makes a copy, which is one page's flush") {
    CHECK(m.access(1, heap, reads).found.hit_level == 0);
    const auto shared = *m.process->translate(heap);
    access_result written;
    CHECK(m.flushes_of([&](context&) { written = m.access(0, heap, writes); }) ==
          flushed{.pages = 1, .remote_pages = 1, .ipis = 1});
    CHECK(written.fault == fault_kind::minor);
    CHECK(written.frame != shared);
    CHECK(m.access(1, heap, reads).frame == written.frame);
    CHECK(m.access(2, *child, heap, reads).frame == shared);
    AND_THEN("the last that is left has the page to itself, without a flush") {
      m.access(0, *child, heap, reads);
      const auto before = m.user.counts().spurious_faults;
      access_result own;
      CHECK(m.flushes_of([&](context&) { own = m.access(0, *child, heap, writes); }) == flushed{});
      CHECK(own.fault == fault_kind::minor);
      CHECK(own.frame == shared);
      // CPU 2 had read it before and finds out by itself.
      CHECK(m.access(2, *child, heap, writes).fault == fault_kind::spurious);
      CHECK(m.user.counts().spurious_faults == before + 1);
      CHECK(m.access(2, *child, heap, writes).found.hit_level == 1);
    }
  }
  THEN("the end of a process is one flush on CPUs where it has run") {
    m.access(3, *child, heap, reads);
    CHECK(m.flushes_of([&](context& c) { m.vm.exit(c, *child); }) ==
          flushed{.remote_full = 1, .ipis = 1});
    CHECK(m.vm.add_process().id() != m.process->id());
  }
}

SCENARIO("a fork that fails has write-protected the parent too", "[vm][user_tlbs]") {
  four_cpus m;
  const auto heap = m.written(0, 1);
  m.written(0, 1);  // behind the next table
  std::vector<pfn> taken;
  while (const auto page = m.memory.alloc(m.cpu[3], order{0}, gfp_kernel)) taken.push_back(*page);
  // Until there is enough for the tables of the first page, and not for the second's.
  while (m.process->walk(heap).entry->has(page_entry::writable)) {
    m.access(0, heap, writes);
    m.memory.free(m.cpu[3], taken.back(), order{0});
    m.memory.drain_all(m.cpu[3]);
    taken.pop_back();
    const auto done = m.flushes_of([&](context& c) {
      const auto child = m.process->fork(c);
      REQUIRE(!child);
      CHECK(child.error().code() == errc::no_memory);
    });
    CHECK(done == flushed{.full = 1});
  }
  CHECK(m.access(0, heap, writes).fault == fault_kind::minor);
}

SCENARIO("a page of zeroes that is written is flushed too", "[vm][user_tlbs]") {
  four_cpus m;
  const auto heap = *m.process->mmap(m.cpu[0], 1);
  CHECK(!m.access(0, heap, reads).frame);
  CHECK(!m.access(1, heap, reads).frame);
  CHECK(m.flushes_of([&](context&) { m.access(0, heap, writes); }) ==
        flushed{.pages = 1, .remote_pages = 1, .ipis = 1});
  CHECK(m.access(1, heap, reads).frame == m.process->translate(heap));
}

SCENARIO("a change of rights is flushed where entries change", "[vm][user_tlbs]") {
  four_cpus m;
  const auto heap = m.written(0, 10);
  const auto to = [&](protection allowed) {
    return m.flushes_of([&](context& c) { CHECK(m.process->mprotect(c, heap, 10, allowed)); });
  };
  CHECK(to(protection::read) == flushed{.pages = 10});
  CHECK(!m.process->access(m.cpu[0], heap, writes));
  CHECK(m.access(0, heap, reads).fault == fault_kind::none);
  CHECK(to(protection::none) == flushed{.pages = 10});
  CHECK(!m.process->access(m.cpu[0], heap, reads));
  // What could not be used is in no TLB.
  CHECK(to(protection::read) == flushed{});
  m.access(0, heap, reads);
  CHECK(to(protection::read_write) == flushed{.pages = 10});
  CHECK(m.access(0, heap, writes).fault == fault_kind::none);
}

SCENARIO("a huge page's mapping is split, moved and made anew", "[vm][user_tlbs]") {
  four_cpus m;
  const auto heap = m.written(0, huge, thp_advice::huge);
  m.access(1, heap, reads);
  SECTION("a split is one flush of 2 MiB") {
    CHECK(m.flushes_of([&](context& c) { m.process->split_huge_pages(c, heap, 1); }) ==
          flushed{.pages = 1, .remote_pages = 1, .ipis = 1});
    CHECK(m.access(0, heap + 5, reads).found.size == page_size::k4);
    AND_THEN("a page that lost its dirty bit with it is walked to again, and that is no fault") {
      m.access(0, heap, writes);
      REQUIRE(m.process->mprotect(m.cpu[0], heap + 8, 8, protection::read));
      CHECK(m.access(0, heap + 100, writes).fault == fault_kind::none);
    }
    AND_THEN("a collapse is a full flush") {
      CHECK(m.flushes_of([&](context& c) { CHECK(m.process->collapse(c, heap)); }) ==
            flushed{.full = 1, .remote_full = 1, .ipis = 1});
      CHECK(m.access(0, heap + 5, reads).found == translation{0, page_size::m2, 3});
      CHECK(m.access(0, heap + 5, reads).frame == m.process->translate(heap + 5));
    }
  }
  SECTION("a move of all of it is one flush") {
    const auto to = heap + 4 * huge;
    CHECK(m.flushes_of([&](context& c) { CHECK(m.process->mremap(c, heap, huge, to)); }) ==
          flushed{.pages = 1, .remote_pages = 1, .ipis = 1});
    CHECK(!m.process->access(m.cpu[0], heap, reads));
    CHECK(m.access(0, to + 3, reads).frame == m.process->translate(to + 3));
  }
  SECTION("a move of a part splits first, and flushes the part") {
    const auto to = heap + 4 * huge;
    CHECK(m.flushes_of([&](context& c) { CHECK(m.process->mremap(c, heap, 8, to)); }) ==
          flushed{.pages = 1 + 8, .remote_pages = 1 + 8, .ipis = 2});
  }
}

SCENARIO("a page that migration moves is flushed wherever it is mapped", "[vm][user_tlbs]") {
  four_cpus m{{.migration_cpu = cpu_id{3}}};
  const auto heap = m.written(0, 1);
  auto& child = **m.process->fork(m.cpu[0]);
  m.access(0, heap, reads);
  m.access(1, child, heap, reads);
  const auto old = *m.process->translate(heap);
  m.memory.flush_lru_batches();
  const pfn block{old.value() / huge * huge};
  CHECK(m.user.migration_work() == work{});
  REQUIRE(m.memory.alloc_contig_range(m.cpu[2], block, huge));
  CHECK(m.access(0, heap, reads).frame == m.process->translate(heap));
  CHECK(m.access(1, child, heap, reads).frame == m.process->translate(heap));
  CHECK(m.process->translate(heap) != old);
  CHECK(m.user.migration_work().ipis == 2);
  CHECK(m.user.migration_work().remote_page_flushes == 2);
  m.memory.free_contig_range(m.cpu[2], block, huge);
  CHECK_THROWS_AS((user_tlbs{m.tlbs, {.migration_cpu = cpu_id{4}}}), usage_error);
}

SCENARIO("a CPU keeps translations of as many processes as it has tags", "[vm][user_tlbs]") {
  const auto hits_after_switch = [](unsigned tags, unsigned others) {
    four_cpus m{{.tags = tags}};
    const auto heap = m.written(0, 1);
    for (unsigned i = 0; i < others; ++i) {
      auto& other = m.vm.add_process();
      m.access(0, other, *other.mmap(m.cpu[0], 1), writes);
    }
    const auto before = m.cpu[0].done.tlb_full_flushes;
    CHECK(before == (tags == 0 ? others : others - std::min(others, tags - 1)));
    // What has been flushed with the switch needs no interrupt.
    const bool hits = m.access(0, heap, reads).found.hit_level != 0;
    CHECK((m.cpu[0].done.tlb_full_flushes == before) == hits);
    CHECK(m.user.counts().switches == others + 1);
    return hits;
  };
  CHECK(hits_after_switch(6, 5));
  CHECK(!hits_after_switch(6, 6));
  CHECK(hits_after_switch(2, 1));
  CHECK(!hits_after_switch(1, 1));
  CHECK(!hits_after_switch(0, 1));
}

SCENARIO("a CPU that runs another process is interrupted, or flushes when it is back",
         "[vm][user_tlbs]") {
  const auto interrupts = [](const user_tlbs_config& how) {
    four_cpus m{how};
    const auto heap = m.written(0, 2);
    m.access(1, heap, writes);
    auto& other = m.vm.add_process();
    m.access(1, other, *other.mmap(m.cpu[1], 1), writes);
    const auto done = m.flushes_of([&](context& c) { CHECK(m.process->discard(c, heap, 1)); });
    CHECK(done.pages == 1);
    CHECK(!m.access(1, heap, reads).frame);
    CHECK(m.access(1, heap + 1, writes).frame == m.process->translate(heap + 1));
    CHECK(m.user.counts().flushes_on_return == (how.absent == absent_flush::on_return));
    return done.ipis;
  };
  CHECK(interrupts({}) == 1);
  CHECK(interrupts({.absent = absent_flush::on_return}) == 0);
  // Without tags nothing was left there.
  CHECK(interrupts({.tags = 0}) == 0);
}

SCENARIO("a guest's huge page in pieces of 4 KiB is flushed piece by piece", "[vm][user_tlbs]") {
  page_allocator memory{{.memory = memory_map::x86_64(64_MiB)}};
  tlb_system tlbs{{.geometry = presets::skylake_sp_tlb(), .nested = nested_paging{}}, 1};
  user_tlbs user{tlbs};
  virtual_memory vm{memory, {.tlbs = &user}};
  context ctx;
  auto& process = vm.add_process();
  const auto heap = *process.mmap(ctx, huge, {.advice = thp_advice::huge});
  for (const frame_count i : {0, 5, 511}) {
    const auto walked = process.access(ctx, heap + i, writes);
    REQUIRE(walked);
    CHECK(walked->found.size == page_size::k4);
    CHECK(walked->frame == process.translate(heap + i));
    CHECK(process.access(ctx, heap + i, reads)->found.hit_level == 1);
  }
  process.munmap(ctx, heap, huge);
  for (const frame_count i : {0, 5, 511}) CHECK(!process.access(ctx, heap + i, reads));
  CHECK(ctx.done.tlb_full_flushes == 1);
}

SCENARIO("the numbers of address spaces are used again, and nothing of the old is left",
         "[vm][user_tlbs]") {
  four_cpus m;
  auto& first = m.vm.add_process();
  const auto number = first.id();
  const auto heap = *first.mmap(m.cpu[2], 1);
  m.access(2, first, heap, writes);
  m.vm.exit(m.cpu[2], first);
  CHECK_THROWS_AS(m.user.cpus_of(number), usage_error);
  CHECK_THROWS_AS(m.user.cpus_of(asid{}), usage_error);
  auto& second = m.vm.add_process();
  CHECK(second.id() == number);
  CHECK(m.user.cpus_of(number).empty());
  CHECK(second.mmap(m.cpu[2], 1) == heap);
  CHECK(m.access(2, second, heap, reads).fault == fault_kind::minor);
}

SCENARIO("a machine's bill has what its processes' translations took", "[vm][user_tlbs]") {
  machine m{{.memory = memory_map::x86_64(64_MiB), .cpus = 2}};
  user_tlbs user{m.tlbs()};
  virtual_memory vm{m.memory(), {.tlbs = &user}};
  auto& process = vm.add_process();
  const auto heap = *process.mmap(m.cpu(0), 2);
  REQUIRE(process.access(m.cpu(0), heap, writes));
  REQUIRE(process.access(m.cpu(1), heap, reads));
  process.munmap(m.cpu(0), heap, 2);
  CHECK(m.done(0).page_walks == 1);
  CHECK(m.done(1).walk_pte_references == 1);
  CHECK(m.done().ipis == 1);
  CHECK_THAT(to_text(m.costs(), m.done()), ContainsSubstring("page_walks"));
  CHECK(user.statistics().front().value == 2);
}

// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What thp_cow argues with: a pinned guest, halves of a huge page, a fork while pages are pinned.

#include <cstdint>
#include <string_view>

#include <memsim/machine.hpp>
#include <memsim/vm/user_tlbs.hpp>
#include <memsim/vm/virtual_memory.hpp>

namespace thp_cow {

using namespace memsim;

inline constexpr frame_count huge = pageblock_frames;
inline constexpr frame_count half = huge / 2;
inline constexpr hold_mode device_pin{hold_kind::pin, memory_access::write, pin_term::long_term};

// Two CPUs, and processes under one kernel's rules.
struct laboratory {
  explicit laboratory(const cow_rules& rules) : vm{m.memory(), {.cow = rules, .tlbs = &user}} {}

  machine m{{.memory = memory_map::x86_64(256_MiB), .cpus = 2}};
  user_tlbs user{m.tlbs()};
  virtual_memory vm;

  [[nodiscard]] double microseconds() const {
    return static_cast<double>(m.costs().price_of(m.done()).count()) / 1e6;
  }
  // A new process that has written to all of its memory.
  address_space& start(vpn& heap, frame_count pages) {
    auto& process = vm.add_process();
    heap = process.mmap(m.cpu(0), pages, {.advice = thp_advice::huge}).value();
    write(process, heap, pages);
    return process;
  }
  void write(address_space& process, vpn first, frame_count pages, frame_count step = 1) {
    for (frame_count i = 0; i < pages; i += step) {
      process.write(m.cpu(1), first + i, ++version).value();
    }
  }
  // What a hypervisor does to learn which pages its guest writes.
  void log_writes(address_space& process, vpn first, frame_count pages) {
    process.mprotect(m.cpu(0), first, pages, protection::read).value();
    process.mprotect(m.cpu(0), first, pages, protection::read_write).value();
  }
  // A huge page of which two processes map one half each: the parent the lower.
  address_space& share_by_halves(address_space& parent, vpn heap) {
    parent.madvise(m.cpu(0), heap + 1, 1, thp_advice::no_huge).value();
    parent.madvise(m.cpu(0), heap + 1, 1, thp_advice::huge).value();
    auto& child = *parent.fork(m.cpu(0)).value();
    child.munmap(m.cpu(1), heap, half).value();
    parent.munmap(m.cpu(0), heap + half, half).value();
    return child;
  }
  // Frames of huge pages that no process maps, and that nobody else can have.
  [[nodiscard]] frame_count wasted() const {
    frame_count frames = 0;
    const auto& pages = vm.pages();
    for (pfn first{}; first < m.memory().frames().end(); first += huge) {
      if (pages[first].huge() == huge_page_id::none) continue;
      const auto& whole = pages[pages[first].huge()];
      if (whole.pmd_mappings == 0) frames += huge - whole.mapped_parts;
    }
    return frames;
  }

  std::uint64_t version = 0;
};

// (a) A guest's memory is pinned for its device, and what comes then write-protects it.
struct guest_outcome {
  frame_count lost = 0;
  frame_count differ = 0;  // pages of which guest and device see different contents
  std::uint64_t false_copies = 0;
  double us = 0;
};

enum class disturbance { write_logging, helper };
inline constexpr frame_count guest_pages = 4 * huge;

inline guest_outcome run_guest(const cow_rules& rules, disturbance what) {
  laboratory lab{rules};
  vpn ram;
  auto& guest = lab.start(ram, guest_pages);
  const auto pins = guest.hold(lab.m.cpu(0), ram, guest_pages, device_pin).value();
  const auto before = lab.microseconds();
  if (what == disturbance::helper) {
    lab.vm.exit(lab.m.cpu(0), *guest.fork(lab.m.cpu(0)).value());
  } else {
    lab.log_writes(guest, ram, guest_pages / 2);
    constexpr frame_count slot = 16;
    for (auto i = guest_pages / 2; i < guest_pages; i += slot) lab.log_writes(guest, ram + i, slot);
  }
  lab.write(guest, ram, guest_pages, 8);
  for (frame_count i = 4; i < guest_pages; i += 8) lab.vm.set_content(*pins[i].page, ++lab.version);
  guest_outcome end{.lost = guest.incoherent(ram, pins),
                    .false_copies = lab.vm.faults().needless_copies,
                    .us = lab.microseconds() - before};
  for (frame_count i = 0; i < guest_pages; ++i) {
    end.differ += guest.read(lab.m.cpu(1), ram + i).value() != lab.vm.content(*pins[i].page);
  }
  return end;
}

// (b) The counter-example: child and parent have one half each, and the child writes.
struct halves_outcome {
  std::uint64_t false_copies = 0;
  std::uint64_t stolen = 0;
  std::uint64_t mapped = 0;
  std::uint64_t found = 0;  // of these, by the reverse map
  bool moves = false;
  frame_count wasted = 0;  // once the child is gone
  frame_count kept = 0;    // of these, after the shrinker
  double us = 0;
};

inline halves_outcome run_halves(const cow_rules& rules) {
  laboratory lab{rules};
  vpn heap;
  auto& parent = lab.start(heap, huge);
  auto& child = lab.share_by_halves(parent, heap);
  const auto before = lab.microseconds();
  lab.write(child, heap + half, half);
  const auto page = *parent.translate(heap);
  halves_outcome end{.false_copies = lab.vm.faults().needless_copies,
                     .stolen = lab.vm.faults().lost_mappings,
                     .mapped = lab.vm.pages().total_mapcount(page),
                     .found = lab.vm.mappings_of(page).size(),
                     .us = lab.microseconds() - before};
  auto& memory = lab.m.memory();
  memory.flush_lru_batches();
  end.moves = memory.alloc_contig_range(lab.m.cpu(0), page, huge).has_value();
  if (end.moves) memory.free_contig_range(lab.m.cpu(0), page, huge);
  lab.vm.exit(lab.m.cpu(0), child);
  end.wasted = lab.wasted();
  lab.vm.shrink(lab.m.cpu(0));
  end.kept = lab.wasted();
  return end;
}

// (c) A fork while a device has pinned some pages of a huge page; then both processes write.
inline constexpr frame_count ring = 16;

struct fork_outcome {
  std::uint64_t fork_copies = 0;
  std::uint64_t copies = 0;  // pages of 4 KiB, by writes
  frame_count lost = 0;
  std::string_view keeper;
  double us = 0;
};

enum class writes_first { parent, child };

inline fork_outcome run_fork(const cow_rules& rules, writes_first who) {
  laboratory lab{rules};
  vpn heap;
  auto& parent = lab.start(heap, huge);
  const auto pins = parent.hold(lab.m.cpu(0), heap, ring, device_pin).value();
  const auto before = lab.microseconds();
  auto& child = *parent.fork(lab.m.cpu(0)).value();
  lab.write(who == writes_first::parent ? parent : child, heap, ring);
  lab.write(who == writes_first::parent ? child : parent, heap, ring);
  const auto lost = parent.incoherent(heap, pins);
  const bool is_childs = child.incoherent(heap, pins) == 0;
  const auto& faults = lab.vm.faults();
  return {.fork_copies = faults.fork_copies,
          .copies = faults.copies + huge * faults.huge_copies,
          .lost = lost,
          .keeper = lost == 0   ? "parent"
                    : is_childs ? "child"
                                : "nobody",
          .us = lab.microseconds() - before};
}

// The owner pins pages of its half, and neither forks, moves nor unmaps any more. Pins lost, where
// the neighbour who has the other half forks or does not.
enum class neighbour { stays, forks };

inline frame_count run_neighbour(const cow_rules& rules, neighbour does) {
  laboratory lab{rules};
  vpn heap;
  auto& parent = lab.start(heap, huge);
  auto& child = lab.share_by_halves(parent, heap);
  const auto pins = parent.hold(lab.m.cpu(0), heap, ring, device_pin).value();
  if (does == neighbour::forks) static_cast<void>(child.fork(lab.m.cpu(1)).value());
  lab.log_writes(parent, heap, half);
  lab.write(parent, heap, ring);
  return parent.incoherent(heap, pins);
}

// A pin that only reads, of what parent and child share, and then its owner writes.
inline frame_count run_reader(const cow_rules& rules) {
  laboratory lab{rules};
  vpn heap;
  auto& child = *lab.start(heap, huge).fork(lab.m.cpu(0)).value();
  const auto pins = child.hold(lab.m.cpu(0), heap, ring, pin_to_read).value();
  lab.write(child, heap, ring);
  return child.incoherent(heap, pins);
}

}  // namespace thp_cow

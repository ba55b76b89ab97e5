// SPDX-License-Identifier: Apache-2.0
// The direct map from and to plain data and text.
#include <algorithm>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/arch/direct_map.hpp>
#include <memsim/frames/memory_map.hpp>

namespace memsim {
namespace {

// Puts runs end to end.
class run_list {
 public:
  void add(pfn first, frame_count count, mapping how) {
    if (!runs_.empty() && runs_.back().end() == first && runs_.back().how == how) {
      runs_.back().count += count;
    } else {
      runs_.push_back({first, count, how});
    }
  }
  [[nodiscard]] std::vector<mapped_run> take() { return std::move(runs_); }

 private:
  std::vector<mapped_run> runs_;
};

}  // namespace

std::string to_text(const mapping_counts& counts) {
  return fmt::format("{} x 4K, {} x 2M, {} x 1G", counts.k4, counts.m2, counts.g1);
}

direct_map::direct_map(std::span<const mapped_run> layout, page_allocator& memory,
                       tlb_flusher& tlbs, const direct_map_config& config)
    : memory_{&memory}, tlbs_{&tlbs}, config_{config} {
  pfn last{};
  for (const auto& run : layout) {
    const auto size = frames_of(run.how.size);
    if (run.count == 0 || run.first.value() % size != 0 || run.count % size != 0) {
      throw_usage("run {} of a direct map is not of whole pages of {}", run, run.how.size);
    }
    if (run.first < last) throw_usage("run {} of a direct map begins before frame {}", run, last);
    if (run.first > max_frame_end || run.count > max_frame_end - run.first) {
      throw_usage("run {} of a direct map goes beyond frame {}, the last that there can be", run,
                  max_frame_end - 1);
    }
    if (run.how.size > config.largest) {
      throw_usage("run {} of a direct map: the largest pages are of {}", run, config.largest);
    }
    last = run.end();
  }
  gigabytes_.resize((last.value() + g1_frames - 1) / g1_frames);
  for (const auto& run : layout) lay_out(run);
}

direct_map::direct_map(const direct_map& other, page_allocator& memory, tlb_flusher& tlbs)
    : memory_{&memory},
      tlbs_{&tlbs},
      config_{other.config_},
      gigabytes_{other.gigabytes_},
      m2_tables_{other.m2_tables_},
      k4_tables_{other.k4_tables_},
      unused_m2_tables_{other.unused_m2_tables_},
      unused_k4_tables_{other.unused_k4_tables_},
      mapped_{other.mapped_},
      counts_{other.counts_},
      page_tables_{other.page_tables_} {}

void direct_map::lay_out(const mapped_run& run) {
  const auto size = frames_of(run.how.size);
  const auto flags = run.how.flags.bits();
  count_of(run.how.size) += run.count / size;
  if (run.how.size == page_size::k4) {
    for (pfn frame = run.first; frame < run.end();) {
      auto& table = m2_entry_to_lay_out(frame.value() / m2_frames);
      const frame_count begin = frame.value() % m2_frames;
      const frame_count count = std::min(m2_frames - begin, run.end() - frame);
      const bool is_new = table.is == entry::kind::hole;
      table.is = entry::kind::table;
      if (count == m2_frames) {
        table.flags = flags;
      } else {
        auto& entries = k4_entries(table);
        if (is_new) entries.fill(0);
        std::fill_n(entries.begin() + static_cast<std::ptrdiff_t>(begin), count, flags | is_there);
      }
      frame += count;
    }
    return;
  }
  for (auto page = run.first.value() / size; page < run.end().value() / size; ++page) {
    auto& e = run.how.size == page_size::g1 ? gigabytes_[page] : m2_entry_to_lay_out(page);
    e.is = entry::kind::page;
    e.flags = flags;
  }
}

direct_map::entry& direct_map::m2_entry_to_lay_out(std::uint64_t block) {
  auto& g1 = gigabytes_[block / page_table_entries];
  if (g1.is == entry::kind::hole) {
    g1.is = entry::kind::table;
    g1.child = new_m2_table();
  }
  return m2_entry(block);
}

std::vector<mapped_run> direct_map::runs() const {
  run_list runs;
  for (std::uint64_t g = 0; g < gigabytes_.size(); ++g) {
    const auto& g1 = gigabytes_[g];
    const pfn begin{g * g1_frames};
    if (g1.is == entry::kind::page) {
      runs.add(begin, g1_frames, {page_size::g1, mapping_flags{g1.flags}});
    }
    if (g1.is != entry::kind::table) continue;
    for (std::uint64_t b = 0; b < page_table_entries; ++b) {
      const auto& m2 = m2_tables_[g1.child][b];
      const pfn first = begin + b * m2_frames;
      if (m2.is == entry::kind::page) {
        runs.add(first, m2_frames, {page_size::m2, mapping_flags{m2.flags}});
      } else if (m2.is == entry::kind::table && m2.child == none) {
        runs.add(first, m2_frames, {page_size::k4, mapping_flags{m2.flags}});
      } else if (m2.is == entry::kind::table) {
        const auto& entries = k4_tables_[m2.child];
        for (std::uint64_t i = 0; i < page_table_entries; ++i) {
          if ((entries[i] & is_there) == 0) continue;
          const mapping_flags flags{static_cast<std::uint8_t>(entries[i] & ~is_there)};
          runs.add(first + i, 1, {page_size::k4, flags});
        }
      }
    }
  }
  return runs.take();
}

direct_map_state direct_map::state() const {
  direct_map_state state{.runs = runs(), .tables = {}, .counts = counts_};
  const auto note = [&](pfn first, page_size size, const entry& e) {
    if (e.frame != none) state.tables.push_back({first, size, pfn{e.frame}});
  };
  for (std::uint64_t g = 0; g < gigabytes_.size(); ++g) {
    const auto& g1 = gigabytes_[g];
    note(pfn{g * g1_frames}, page_size::g1, g1);
    if (g1.is != entry::kind::table) continue;
    for (std::uint64_t b = 0; b < page_table_entries; ++b) {
      note(pfn{g * g1_frames + b * m2_frames}, page_size::m2, m2_tables_[g1.child][b]);
    }
  }
  return state;
}

std::expected<direct_map, error> direct_map::restore(const direct_map_state& state,
                                                     page_allocator& memory, tlb_flusher& tlbs,
                                                     const direct_map_config& config) {
  try {
    direct_map map{state.runs, memory, tlbs, config};
    for (const auto& table : state.tables) {
      if (auto adopted = map.adopt(table); !adopted) return std::unexpected{adopted.error()};
    }
    auto frames = state.tables;
    std::ranges::sort(frames, {}, &page_table_frame::table);
    const auto twice = std::ranges::adjacent_find(frames, {}, &page_table_frame::table);
    if (twice != frames.end()) {
      return fail(errc::inconsistent, "frame {} is two page tables of the direct map",
                  twice->table);
    }
    map.counts_ = state.counts;
    return map;
  } catch (const usage_error& e) {
    return fail(errc::inconsistent, "{}", e.what());
  }
}

// Notes the frame of a table that the runs make necessary.
std::expected<void, error> direct_map::adopt(const page_table_frame& table) {
  const auto refuse = [&table] {
    return fail(errc::inconsistent, "the direct map has no table of a {} mapping at frame {}",
                table.split, table.first);
  };
  const auto size = frames_of(table.split);
  if (table.split == page_size::k4 || table.first.value() % size != 0 || table.first >= end()) {
    return refuse();
  }
  auto* e = &gigabytes_[table.first.value() / g1_frames];
  if (e->is == entry::kind::table && table.split == page_size::m2) {
    e = &m2_entry(table.first.value() / m2_frames);
  }
  if (e->is != entry::kind::table || e->frame != none) return refuse();
  const auto& frames = memory_->frames();
  if (table.table >= frames.end() || !frames.mark_at(table.table).is_allocated(0)) {
    return fail(errc::inconsistent,
                "frame {} is a page table of the direct map, but not a page in use", table.table);
  }
  e->frame = static_cast<std::uint32_t>(table.table.value());
  ++page_tables_;
  return {};
}

digest direct_map::state_digest() const {
  const auto now = state();
  digest d;
  d.add(now.runs.size());
  for (const auto& run : now.runs) {
    d.add(run.first.value()).add(run.count);
    d.add(static_cast<unsigned>(run.how.size)).add(run.how.flags.bits());
  }
  d.add(now.tables.size());
  for (const auto& table : now.tables) {
    d.add(table.first.value()).add(static_cast<unsigned>(table.split)).add(table.table.value());
  }
  for (const auto& s : direct_map_statistics) d.add(now.counts.*s.member);
  return d;
}

std::string direct_map::meminfo_text() const {
  const auto kib = [](std::uint64_t pages, page_size size) {
    return pages * frames_of(size) * (page_bytes / 1024);
  };
  return fmt::format("DirectMap4k:  {:>10} kB\nDirectMap2M:  {:>10} kB\nDirectMap1G:  {:>10} kB\n",
                     kib(mapped_.k4, page_size::k4), kib(mapped_.m2, page_size::m2),
                     kib(mapped_.g1, page_size::g1));
}

}  // namespace memsim

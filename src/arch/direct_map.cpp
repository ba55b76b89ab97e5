// SPDX-License-Identifier: Apache-2.0
// Changes of the direct map: what is split, what stays large, what collapses.
#include <memsim/arch/direct_map.hpp>

#include <algorithm>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/arch/merge_policy.hpp>
#include <memsim/arch/tlb_flusher.hpp>

namespace memsim {
namespace {

// Calls f(index, first, last) for the parts of [first, last) in pages of `size` frames, with their
// bounds counted from the page's begin.
template <class F>
void for_each_page(std::uint64_t first, std::uint64_t last, frame_count size, F f) {
  while (first < last) {
    const auto page = first / size;
    const auto end = std::min(last, (page + 1) * size);
    f(page, first - page * size, end - page * size);
    first = end;
  }
}

}  // namespace

// One change of a range, and what it does with a large page.
struct direct_map::walk {
  pfn first;
  pfn last;
  mapping_change how;
  bool leaves_equal = true;    // a large page that is as wanted stays (D3)
  bool leaves_covered = true;  // a large page is changed as it is if the range covers it (D4)

  // Whether a page with these flags, of so many frames, must be split to change part of it.
  [[nodiscard]] bool must_split(std::uint8_t flags, frame_count from, frame_count to,
                                frame_count size) const {
    if (leaves_equal && is_as_wanted(flags)) return false;
    return !leaves_covered || from != 0 || to != size;
  }
  [[nodiscard]] bool is_as_wanted(std::uint8_t flags) const {
    return how.applied_to(mapping_flags{flags}) == mapping_flags{flags};
  }
};

const direct_map::entry& direct_map::m2_entry(std::uint64_t block) const {
  const auto& g1 = gigabytes_[block / page_table_entries];
  return m2_tables_[g1.child][block % page_table_entries];
}

direct_map::entry& direct_map::m2_entry(std::uint64_t block) {
  const auto& g1 = gigabytes_[block / page_table_entries];
  return m2_tables_[g1.child][block % page_table_entries];
}

std::uint64_t& direct_map::count_of(page_size size) {
  switch (size) {
    case page_size::k4: return mapped_.k4;
    case page_size::m2: return mapped_.m2;
    case page_size::g1: break;
  }
  return mapped_.g1;
}

std::expected<void, error> direct_map::change(context& ctx, pfn first, frame_count count,
                                              mapping_change how, change_calls calls) {
  check_mapped(first, count);
  const bool on_purpose = how.set.has(mapping_flag::keep_small);
  const walk range{.first = first,
                   .last = first + count,
                   .how = how,
                   .leaves_equal = !on_purpose,
                   .leaves_covered = !on_purpose && calls == change_calls::one_call};

  // Page tables first: a change that cannot be finished is not begun.
  std::vector<pfn> tables(tables_needed(range));
  for (std::size_t i = 0; i < tables.size(); ++i) {
    const auto table = memory_->alloc(ctx, order{0}, gfp_kernel);
    if (!table) {
      for (std::size_t taken = 0; taken < i; ++taken) {
        memory_->free(ctx, tables[taken], order{0});
      }
      return fail(errc::no_memory, "no frame for a page table of the direct map");
    }
    tables[i] = *table;
  }
  const auto written = ctx.done.entries_written;
  apply(ctx, range, tables);
  if (config_.merging != nullptr && ctx.done.entries_written != written) {
    config_.merging->on_change(*this, ctx, first, count);
  }
  return {};
}

// How often apply() will split.
std::uint64_t direct_map::tables_needed(const walk& range) const {
  std::uint64_t tables = 0;
  const auto first = range.first.value();
  for_each_page(first, range.last.value(), g1_frames, [&](auto g, auto from, auto to) {
    const auto& g1 = gigabytes_[g];
    const bool splits = g1.is == entry::kind::page;
    if (splits) {
      if (!range.must_split(g1.flags, from, to, g1_frames)) return;
      ++tables;
    }
    for_each_page(from, to, m2_frames, [&](auto block, auto low, auto high) {
      const auto& m2 = splits ? g1 : m2_entry(g * page_table_entries + block);
      if (m2.is == entry::kind::page) tables += range.must_split(m2.flags, low, high, m2_frames);
    });
  });
  return tables;
}

// D2 to D5, with the tables at hand.
void direct_map::apply(context& ctx, const walk& range, std::span<const pfn> tables) {
  auto table = tables.begin();
  const auto first = range.first.value();
  for_each_page(first, range.last.value(), g1_frames, [&](auto g, auto from, auto to) {
    auto& g1 = gigabytes_[g];
    if (g1.is == entry::kind::page) {
      if (!range.must_split(g1.flags, from, to, g1_frames)) {
        return change_page(ctx, g1, range.how);
      }
      split(ctx, g1, page_size::g1, *table++);
    }
    for_each_page(from, to, m2_frames, [&](auto block, auto low, auto high) {
      auto& m2 = m2_entry(g * page_table_entries + block);
      if (m2.is == entry::kind::page) {
        if (!range.must_split(m2.flags, low, high, m2_frames)) {
          return change_page(ctx, m2, range.how);
        }
        split(ctx, m2, page_size::m2, *table++);
      }
      change_small(ctx, m2, low, high, range.how);
    });
  });
}

void direct_map::change_page(context& ctx, entry& page, mapping_change how) {
  const auto flags = how.applied_to(mapping_flags{page.flags}).bits();
  ctx.done.entries_written += flags != page.flags;
  page.flags = flags;
}

// Entries [first, last) of a table.
void direct_map::change_small(context& ctx, entry& table, frame_count first, frame_count last,
                              mapping_change how) {
  if (table.child == none) {
    const auto flags = how.applied_to(mapping_flags{table.flags}).bits();
    if (flags == table.flags) return;
    if (last - first == page_table_entries) {
      table.flags = flags;
      ctx.done.entries_written += page_table_entries;
      return;
    }
  }
  auto& entries = k4_entries(table);
  for (auto i = first; i < last; ++i) {
    const auto old = entries[i];
    const auto flags = how.applied_to(mapping_flags{static_cast<std::uint8_t>(old & ~is_there)});
    entries[i] = flags.bits() | is_there;
    ctx.done.entries_written += entries[i] != old;
  }
}

// The entries of a table, each of its own from now on.
direct_map::k4_table& direct_map::k4_entries(entry& table) {
  if (table.child == none) {
    if (unused_k4_tables_.empty()) {
      table.child = static_cast<std::uint32_t>(k4_tables_.size());
      k4_tables_.emplace_back();
    } else {
      table.child = unused_k4_tables_.back();
      unused_k4_tables_.pop_back();
    }
    k4_tables_[table.child].fill(table.flags | is_there);
  }
  return k4_tables_[table.child];
}

std::uint32_t direct_map::new_m2_table() {
  if (unused_m2_tables_.empty()) {
    m2_tables_.emplace_back();
    return static_cast<std::uint32_t>(m2_tables_.size() - 1);
  }
  const auto table = unused_m2_tables_.back();
  unused_m2_tables_.pop_back();
  m2_tables_[table].fill({});
  return table;
}

// D5: one level, the flags are inherited, every TLB is flushed.
void direct_map::split(context& ctx, entry& page, page_size size, pfn table) {
  page.is = entry::kind::table;
  page.frame = static_cast<std::uint32_t>(table.value());
  if (size == page_size::g1) {
    page.child = new_m2_table();
    m2_tables_[page.child].fill({.is = entry::kind::page, .flags = page.flags});
    ++counts_.g1_splits;
    mapped_.m2 += page_table_entries;
  } else {
    ++counts_.m2_splits;
    mapped_.k4 += page_table_entries;
  }
  --count_of(size);
  ++page_tables_;
  ++ctx.done.mappings_split;
  ctx.done.entries_written += page_table_entries + 1;
  tlbs_->flush_all(ctx);
}

void direct_map::flush(context& ctx, pfn first, frame_count count) {
  tlbs_->flush_range(ctx, first, count);
}

void direct_map::request_collapse(context& ctx, pfn first, frame_count count) {
  check_mapped(first, count);
  if (config_.merging != nullptr) config_.merging->on_request(*this, ctx, first, count);
}

std::uint64_t direct_map::collapse(context& ctx, pfn first, frame_count count,
                                   const collapse_limits& limits) {
  if (first >= end()) return 0;
  const pfn last = first + std::min(count, end() - first);
  const auto largest = std::min(limits.largest, config_.largest);
  std::uint64_t collapsed = 0;
  std::vector<pfn> freed;
  for_each_page(first.value(), last.value(), g1_frames, [&](auto g, auto from, auto to) {
    auto& g1 = gigabytes_[g];
    if (g1.is != entry::kind::table || largest == page_size::k4) return;
    for_each_page(from, to, m2_frames, [&](auto block, auto, auto) {
      auto& m2 = m2_entry(g * page_table_entries + block);
      if (m2.is != entry::kind::table) return;
      collapsed += collapse_table(ctx, m2, page_size::m2, limits, freed);
    });
    if (largest == page_size::g1) collapsed += collapse_table(ctx, g1, largest, limits, freed);
  });
  if (collapsed != 0) tlbs_->flush_all(ctx);
  for (const pfn table : freed) memory_->free(ctx, table, order{0});
  return collapsed;
}

// Makes the table one page of size `to`, if its entries let it.
bool direct_map::collapse_table(context& ctx, entry& table, page_size to,
                                const collapse_limits& limits, std::vector<pfn>& freed) {
  ctx.done.entries_scanned += page_table_entries;
  const auto flags = common_flags(table, to);
  if (!flags || flags->has(mapping_flag::keep_small) || (*flags | limits.wanted) != *flags) {
    return false;
  }
  if (table.child != none) {
    (to == page_size::g1 ? unused_m2_tables_ : unused_k4_tables_).push_back(table.child);
  }
  if (table.frame != none) {
    freed.emplace_back(table.frame);
    --page_tables_;
  }
  table = {.is = entry::kind::page, .flags = flags->bits()};
  ++count_of(to);
  if (to == page_size::g1) {
    ++counts_.g1_collapses;
    mapped_.m2 -= page_table_entries;
  } else {
    ++counts_.m2_collapses;
    mapped_.k4 -= page_table_entries;
  }
  ++ctx.done.mappings_collapsed;
  ++ctx.done.entries_written;
  return true;
}

// The flags of all entries of a table whose pages together are one of size `of`, if they are equal.
std::optional<mapping_flags> direct_map::common_flags(const entry& table, page_size of) const {
  if (of == page_size::g1) {
    const auto& entries = m2_tables_[table.child];
    const auto is_alike = [&](const entry& e) {
      return e.is == entry::kind::page && e.flags == entries[0].flags;
    };
    if (!std::ranges::all_of(entries, is_alike)) return std::nullopt;
    return mapping_flags{entries[0].flags};
  }
  if (table.child == none) return mapping_flags{table.flags};
  const auto& entries = k4_tables_[table.child];
  const auto one = entries[0];
  if ((one & is_there) == 0) return std::nullopt;
  if (!std::ranges::all_of(entries, [&](auto e) { return e == one; })) return std::nullopt;
  return mapping_flags{static_cast<std::uint8_t>(one & ~is_there)};
}

std::optional<mapping> direct_map::at(pfn frame) const {
  if (frame >= end()) return std::nullopt;
  const auto& g1 = gigabytes_[frame.value() / g1_frames];
  if (g1.is == entry::kind::hole) return std::nullopt;
  if (g1.is == entry::kind::page) return mapping{page_size::g1, mapping_flags{g1.flags}};
  const auto& m2 = m2_entry(frame.value() / m2_frames);
  if (m2.is == entry::kind::hole) return std::nullopt;
  if (m2.is == entry::kind::page) return mapping{page_size::m2, mapping_flags{m2.flags}};
  if (m2.child == none) return mapping{page_size::k4, mapping_flags{m2.flags}};
  const auto k4 = k4_tables_[m2.child][frame.value() % m2_frames];
  if ((k4 & is_there) == 0) return std::nullopt;
  return mapping{page_size::k4, mapping_flags{static_cast<std::uint8_t>(k4 & ~is_there)}};
}

pfn direct_map::end() const { return pfn{gigabytes_.size() * g1_frames}; }

void direct_map::check_mapped(pfn first, frame_count count) const {
  if (count == 0) throw_usage("a range of the direct map at frame {} of 0 frames", first);
  if (first > end() || count > end() - first) {
    throw_usage("a range of {} frames at frame {} leaves the direct map, which ends at frame {}",
                count, first, end());
  }
  const pfn last = first + count;
  const auto refuse = [&](pfn frame) {
    throw_usage("frames [{}, {}) of the direct map: frame {} is not mapped", first, last, frame);
  };
  for (pfn frame = first; frame < last;) {
    const auto how = at(frame);
    if (!how) refuse(frame);
    const auto size = frames_of(how->size);
    frame = pfn{(frame.value() / size + 1) * size};
  }
}

}  // namespace memsim

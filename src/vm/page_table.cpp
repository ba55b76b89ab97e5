// SPDX-License-Identifier: Apache-2.0
#include <memsim/vm/page_table.hpp>

#include <algorithm>

namespace memsim {
namespace {

constexpr unsigned index_bits = 9;
static_assert(page_table_entries == 1u << index_bits);

// Level 0 has the entries of 4 KiB pages.
constexpr unsigned level_of(page_size size) { return order_of(size).value() / index_bits; }

constexpr std::size_t index_at(vpn page, unsigned level) {
  return page.value() >> (level * index_bits) & (page_table_entries - 1);
}

// Pages that a table of a level holds.
constexpr std::uint64_t span_of(unsigned level) {
  return std::uint64_t{1} << ((level + 1) * index_bits);
}

}  // namespace

std::expected<std::uint32_t, error> page_table::make_node(context& ctx) {
  const auto frame = memory_->alloc(ctx, order{0}, gfp_kernel_account | gfp_flag::zero);
  if (!frame) return std::unexpected{frame.error()};
  if (unused_.empty()) {
    nodes_.push_back(std::make_unique<node>());
    unused_.push_back(static_cast<std::uint32_t>(nodes_.size()));
  }
  const auto number = unused_.back();
  unused_.pop_back();
  nodes_[number - 1]->frame = *frame;
  ++tables_;
  return number;
}

void page_table::free_node(context& ctx, std::uint32_t number) {
  auto& gone = *nodes_[number - 1];
  if (leaf_ == &gone.entries) forget_leaf();
  memory_->free(ctx, gone.frame, order{0});
  gone.entries.fill({});
  unused_.push_back(number);
  --tables_;
}

// Most walks end in the table that the last one ended in.
page_entry* page_table::leaf_entry(vpn page) {
  if (leaf_ == nullptr || leaf_region_ != page.value() >> index_bits) return nullptr;
  return &(*leaf_)[index_at(page, 0)];
}

page_entry* page_table::find(vpn page, page_size size) {
  const auto target = level_of(size);
  if (target == 0) {
    if (auto* const entry = leaf_entry(page)) return entry;
  }
  auto number = root_;
  for (unsigned level = levels - 1; number != 0; --level) {
    auto& entries = nodes_[number - 1]->entries;
    auto& entry = entries[index_at(page, level)];
    if (level == target) {
      if (level == 0) remember_leaf(page, entries);
      return &entry;
    }
    if (!entry.is_table()) return nullptr;
    number = entry.table_number();
  }
  return nullptr;
}

table_walk page_table::walk(vpn page) {
  if (auto* const entry = leaf_entry(page)) return {entry};
  auto number = root_;
  for (unsigned level = levels - 1; number != 0; --level) {
    auto& entries = nodes_[number - 1]->entries;
    auto& entry = entries[index_at(page, level)];
    if (entry.is_table()) {
      number = entry.table_number();
      continue;
    }
    if (level == 0) remember_leaf(page, entries);
    const auto span = span_of(level) / page_table_entries;
    if (level < all_page_sizes.size()) return {&entry, all_page_sizes[level], span};
    return {.span = span};
  }
  return {.span = span_of(levels - 1)};
}

std::expected<page_entry*, error> page_table::make(context& ctx, vpn page, page_size size) {
  const auto target = level_of(size);
  if (target == 0) {
    if (auto* const entry = leaf_entry(page)) return entry;
  }
  if (root_ == 0) {
    const auto root = make_node(ctx);
    if (!root) return std::unexpected{root.error()};
    root_ = *root;
  }
  auto number = root_;
  for (unsigned level = levels - 1;; --level) {
    const auto index = index_at(page, level);
    if (level == target) {
      if (level == 0) remember_leaf(page, nodes_[number - 1]->entries);
      return &nodes_[number - 1]->entries[index];
    }
    const auto entry = nodes_[number - 1]->entries[index];
    if (entry.is_table()) {
      number = entry.table_number();
      continue;
    }
    if (!entry.is_none()) throw_usage("page {} has a larger mapping than of {}", page, size);
    const auto made = make_node(ctx);
    if (!made) return std::unexpected{made.error()};
    nodes_[number - 1]->entries[index] = page_entry::table(*made);
    ++ctx.done.entries_written;
    number = *made;
  }
}

std::expected<void, error> page_table::deposit(context& ctx) {
  const auto made = make_node(ctx);
  if (!made) return std::unexpected{made.error()};
  deposited_.push_back(*made);
  return {};
}

void page_table::withdraw(context& ctx) {
  free_node(ctx, deposited_.back());
  deposited_.pop_back();
}

std::array<page_entry, page_table_entries>& page_table::install_deposited(vpn page) {
  auto* const large = find(page, page_size::m2);
  const auto number = deposited_.back();
  deposited_.pop_back();
  *large = page_entry::table(number);
  return nodes_[number - 1]->entries;
}

void page_table::set_aside(vpn page) {
  forget_leaf();
  auto& entry = *find(page, page_size::m2);
  deposited_.push_back(entry.table_number());
  entry = {};
}

void page_table::move_whole(context& ctx, vpn from, vpn to, page_size size) {
  forget_leaf();
  auto& target = *find(to, size);
  // A table that was emptied makes room for the one that comes.
  if (target.is_table()) free_node(ctx, target.table_number());
  target = std::exchange(*find(from, size), page_entry{});
  ctx.done.entries_written += 2;
}

void page_table::trim(context& ctx, vpn first, vpn before) {
  if (root_ == 0 || first >= before) return;
  if (trim_level(ctx, root_, levels - 1, 0, first.value(), before.value())) {
    free_node(ctx, root_);
    root_ = 0;
  }
}

// Whether the table has nothing outside the range, and so can go.
bool page_table::trim_level(context& ctx, std::uint32_t number, unsigned level, std::uint64_t base,
                            std::uint64_t first, std::uint64_t before) {
  if (level > 0) {
    const auto span = span_of(level - 1);
    const auto from = first <= base ? 0 : (first - base) / span;
    const auto to = std::min<std::uint64_t>((before - base - 1) / span + 1, page_table_entries);
    for (auto i = from; i < to; ++i) {
      auto& entry = nodes_[number - 1]->entries[i];
      if (!entry.is_table()) continue;
      if (!trim_level(ctx, entry.table_number(), level - 1, base + i * span, first, before))
        continue;
      free_node(ctx, entry.table_number());
      nodes_[number - 1]->entries[i] = {};
      ++ctx.done.entries_written;
    }
  }
  return first <= base && base + span_of(level) <= before;
}

}  // namespace memsim

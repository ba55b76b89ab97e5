// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// When the direct map gets its large pages back.
///
/// | policy             | merges                                       | as in                    |
/// |--------------------|----------------------------------------------|--------------------------|
/// | merge_never        | nothing                                      | Linux 6.1 and 6.12       |
/// | merge_on_request   | what request_collapse() is asked for         | Linux 6.15 and later     |
/// | merge_when_uniform | a table as soon as its 512 entries are equal | an RFC of 2022 (A. Lu)   |
/// | merge_scanner      | equal tables that a daemon comes upon        | nothing: an assumption   |
///
/// A policy of your own derives from merge_policy and calls direct_map::collapse().

#include <cstdint>

#include <memsim/arch/direct_map.hpp>

namespace memsim {

/// Chooses; the direct map does. Without state of its own, so that copies of a map can share it.
class merge_policy {
 public:
  /// After the flags of a range were changed.
  virtual void on_change(direct_map& map, context& ctx, pfn first, frame_count count) const;
  /// When somebody asked for large pages. Both do nothing unless a policy overrides them.
  virtual void on_request(direct_map& map, context& ctx, pfn first, frame_count count) const;

 protected:
  constexpr ~merge_policy() = default;  // a map refers to its policy and never owns it
};

class merging_never final : public merge_policy {};

/// Entries must be present.
class merging_on_request final : public merge_policy {
 public:
  void on_request(direct_map& map, context& ctx, pfn first, frame_count count) const override;
};

class merging_when_uniform final : public merge_policy {
 public:
  /// \param largest  of the pages that are made: 2M or 1G
  /// \throws usage_error if it is 4K
  constexpr explicit merging_when_uniform(page_size largest = page_size::g1) : largest_{largest} {
    if (largest == page_size::k4) refuse();
  }
  void on_change(direct_map& map, context& ctx, pfn first, frame_count count) const override;

 private:
  [[noreturn]] static void refuse();

  page_size largest_;
};

inline constexpr merging_never merge_never;
inline constexpr merging_on_request merge_on_request;
inline constexpr merging_when_uniform merge_when_uniform;

/// A daemon that goes round the map, a few tables at a time.
///
/// Modelling assumption: no kernel has one. It collapses equal entries, present or not, as
/// merge_when_uniform does.
class merge_scanner {
 public:
  /// \param largest  of the pages that are made: 2M or 1G
  /// \throws usage_error if it is 4K
  explicit merge_scanner(page_size largest = page_size::g1);

  /// Looks at the next `budget` 2 MiB ranges that frames may be mapped in, and begins anew at the
  /// end of the map.
  /// \return how many tables collapsed
  std::uint64_t scan(direct_map& map, context& ctx, std::uint64_t budget);

 private:
  merging_when_uniform merging_;
  pfn next_{};
};

}  // namespace memsim

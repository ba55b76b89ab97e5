// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// GFP flags: what an allocation request may do and where its page may lie.

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include <memsim/alloc/migratetype.hpp>
#include <memsim/core/error.hpp>
#include <memsim/frames/zones.hpp>

namespace memsim {

/// A set of flags, combined with `|`. The numbers are memsim's own; the names are Linux's.
class gfp {
 public:
  constexpr gfp() = default;
  constexpr explicit gfp(std::uint32_t bits) : bits_{bits} {}

  [[nodiscard]] constexpr std::uint32_t bits() const { return bits_; }
  [[nodiscard]] constexpr bool has_all(gfp flags) const {
    return (bits_ & flags.bits_) == flags.bits_;
  }
  [[nodiscard]] constexpr bool has_any(gfp flags) const { return (bits_ & flags.bits_) != 0; }

  friend constexpr gfp operator|(gfp a, gfp b) { return gfp{a.bits_ | b.bits_}; }
  friend constexpr gfp operator&(gfp a, gfp b) { return gfp{a.bits_ & b.bits_}; }
  /// The flags of `a` that are not in `b`.
  friend constexpr gfp operator-(gfp a, gfp b) { return gfp{a.bits_ & ~b.bits_}; }
  friend constexpr bool operator==(gfp, gfp) = default;

 private:
  std::uint32_t bits_ = 0;
};

namespace gfp_flag {
// Where the page may lie.
inline constexpr gfp dma{1u << 0};
inline constexpr gfp highmem{1u << 1};
inline constexpr gfp dma32{1u << 2};
// How it can be got out of the way; neither: unmovable.
inline constexpr gfp movable{1u << 3};
inline constexpr gfp reclaimable{1u << 4};
// What the request may do.
inline constexpr gfp high{1u << 5};            ///< may use part of the reserve
inline constexpr gfp atomic{1u << 6};          ///< __GFP_ATOMIC, until Linux 6.2
inline constexpr gfp direct_reclaim{1u << 7};  ///< may sleep and reclaim
inline constexpr gfp kswapd_reclaim{1u << 8};  ///< may wake the background reclaimer
inline constexpr gfp io{1u << 9};
inline constexpr gfp fs{1u << 10};
inline constexpr gfp noretry{1u << 11};
inline constexpr gfp retry_mayfail{1u << 12};
inline constexpr gfp nofail{1u << 13};
inline constexpr gfp memalloc{1u << 14};
inline constexpr gfp nomemalloc{1u << 15};
// What is to be done with the page.
inline constexpr gfp zero{1u << 16};
inline constexpr gfp comp{1u << 17};
// Bookkeeping that does not bear on the choice of a page.
inline constexpr gfp write{1u << 18};
inline constexpr gfp nowarn{1u << 19};
inline constexpr gfp hardwall{1u << 20};
inline constexpr gfp thisnode{1u << 21};
inline constexpr gfp account{1u << 22};
inline constexpr gfp other{1u << 23};  ///< a flag that exists but that memsim has no use for
}  // namespace gfp_flag

// The usual combinations, as in Linux 6.1 and 6.12.
inline constexpr gfp gfp_reclaim = gfp_flag::direct_reclaim | gfp_flag::kswapd_reclaim;
inline constexpr gfp gfp_atomic = gfp_flag::high | gfp_flag::atomic | gfp_flag::kswapd_reclaim;
inline constexpr gfp gfp_nowait = gfp_flag::kswapd_reclaim;
inline constexpr gfp gfp_noio = gfp_reclaim;
inline constexpr gfp gfp_nofs = gfp_reclaim | gfp_flag::io;
inline constexpr gfp gfp_kernel = gfp_reclaim | gfp_flag::io | gfp_flag::fs;
inline constexpr gfp gfp_kernel_account = gfp_kernel | gfp_flag::account;
inline constexpr gfp gfp_user = gfp_kernel | gfp_flag::hardwall;
inline constexpr gfp gfp_dma = gfp_flag::dma;
inline constexpr gfp gfp_dma32 = gfp_flag::dma32;
inline constexpr gfp gfp_highuser = gfp_user | gfp_flag::highmem;
inline constexpr gfp gfp_highuser_movable = gfp_highuser | gfp_flag::movable;
inline constexpr gfp gfp_transhuge_light =
    (gfp_highuser_movable | gfp_flag::comp | gfp_flag::nomemalloc | gfp_flag::nowarn) - gfp_reclaim;
inline constexpr gfp gfp_transhuge = gfp_transhuge_light | gfp_flag::direct_reclaim;

/// The mobility that the flags ask for. Movable and reclaimable together are no mobility: the
/// allocator refuses them.
[[nodiscard]] constexpr migratetype migratetype_of(gfp flags) {
  if (flags.has_any(gfp_flag::movable)) return migratetype::movable;
  return flags.has_any(gfp_flag::reclaimable) ? migratetype::reclaimable : migratetype::unmovable;
}

/// The highest zone that a request may use. DMA goes before DMA32; ZONE_MOVABLE needs both
/// `highmem` and `movable`.
[[nodiscard]] constexpr zone_type highest_zone_of(gfp flags) {
  if (flags.has_any(gfp_flag::dma)) return zone_type::dma;
  if (flags.has_any(gfp_flag::dma32)) return zone_type::dma32;
  return flags.has_all(gfp_flag::highmem | gfp_flag::movable) ? zone_type::movable
                                                              : zone_type::normal;
}

/// Reads flags as the kernel's tracepoints print them: `GFP_KERNEL|__GFP_ZERO`, `none`, `0`.
///
/// \return errc::malformed if a name is not a GFP flag
[[nodiscard]] std::expected<gfp, error> parse_gfp(std::string_view text);

/// As the kernel's tracepoints print them, the longest combination first.
[[nodiscard]] std::string to_text(gfp);

}  // namespace memsim

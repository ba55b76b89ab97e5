// SPDX-License-Identifier: Apache-2.0
#include <memsim/alloc/gfp.hpp>

#include <array>
#include <charconv>
#include <optional>

#include <memsim/core/text.hpp>

namespace memsim {
namespace {

struct named_flags {
  std::string_view name;
  gfp flags;
};

// What tracepoints print, in the order in which they try: a combination before its parts. Where a
// name's meaning has changed between Linux 6.1 and 6.18, what changed does not bear on which page
// is chosen (GFP_NOWAIT includes __GFP_NOWARN since 6.7) or is harmless on the later kernel
// (GFP_ATOMIC includes __GFP_ATOMIC until 6.2, whose right later kernels do not ask for).
constexpr std::array printed_names{
    named_flags{"GFP_TRANSHUGE", gfp_transhuge},
    named_flags{"GFP_TRANSHUGE_LIGHT", gfp_transhuge_light},
    named_flags{"GFP_HIGHUSER_MOVABLE", gfp_highuser_movable},
    named_flags{"GFP_HIGHUSER", gfp_highuser},
    named_flags{"GFP_USER", gfp_user},
    named_flags{"GFP_KERNEL_ACCOUNT", gfp_kernel_account},
    named_flags{"GFP_KERNEL", gfp_kernel},
    named_flags{"GFP_NOFS", gfp_nofs},
    named_flags{"GFP_ATOMIC", gfp_atomic},
    named_flags{"GFP_NOIO", gfp_noio},
    named_flags{"GFP_NOWAIT", gfp_nowait},
    named_flags{"GFP_DMA", gfp_dma},
    named_flags{"GFP_DMA32", gfp_dma32},
    named_flags{"__GFP_HIGHMEM", gfp_flag::highmem},
    named_flags{"__GFP_HIGH", gfp_flag::high},
    named_flags{"__GFP_ATOMIC", gfp_flag::atomic},
    named_flags{"__GFP_IO", gfp_flag::io},
    named_flags{"__GFP_FS", gfp_flag::fs},
    named_flags{"__GFP_NOWARN", gfp_flag::nowarn},
    named_flags{"__GFP_RETRY_MAYFAIL", gfp_flag::retry_mayfail},
    named_flags{"__GFP_NOFAIL", gfp_flag::nofail},
    named_flags{"__GFP_NORETRY", gfp_flag::noretry},
    named_flags{"__GFP_COMP", gfp_flag::comp},
    named_flags{"__GFP_ZERO", gfp_flag::zero},
    named_flags{"__GFP_NOMEMALLOC", gfp_flag::nomemalloc},
    named_flags{"__GFP_MEMALLOC", gfp_flag::memalloc},
    named_flags{"__GFP_HARDWALL", gfp_flag::hardwall},
    named_flags{"__GFP_THISNODE", gfp_flag::thisnode},
    named_flags{"__GFP_RECLAIMABLE", gfp_flag::reclaimable},
    named_flags{"__GFP_MOVABLE", gfp_flag::movable},
    named_flags{"__GFP_ACCOUNT", gfp_flag::account},
    named_flags{"__GFP_WRITE", gfp_flag::write},
    named_flags{"__GFP_DIRECT_RECLAIM", gfp_flag::direct_reclaim},
};

// Other spellings, and flags that memsim has no use for; read but never printed.
constexpr std::array read_names{
    named_flags{"__GFP_RECLAIM", gfp_reclaim},
    named_flags{"__GFP_KSWAPD_RECLAIM", gfp_flag::kswapd_reclaim},
    named_flags{"__GFP_DMA", gfp_flag::dma},
    named_flags{"__GFP_DMA32", gfp_flag::dma32},
    named_flags{"__GFP_ZEROTAGS", gfp_flag::other},
    named_flags{"__GFP_SKIP_ZERO", gfp_flag::other},
    named_flags{"__GFP_SKIP_KASAN", gfp_flag::other},
    named_flags{"__GFP_SKIP_KASAN_POISON", gfp_flag::other},
    named_flags{"__GFP_SKIP_KASAN_UNPOISON", gfp_flag::other},
    named_flags{"__GFP_NOLOCKDEP", gfp_flag::other},
    named_flags{"__GFP_NO_OBJ_EXT", gfp_flag::other},
    named_flags{"none", gfp{}},
};

std::optional<gfp> find_name(std::string_view name) {
  for (const auto& entry : printed_names) {
    if (entry.name == name) return entry.flags;
  }
  for (const auto& entry : read_names) {
    if (entry.name == name) return entry.flags;
  }
  return std::nullopt;
}

// Bits that the kernel had no name for, `0x2000`: which flags they are depends on its release.
std::optional<gfp> read_number(std::string_view text) {
  if (text == "0") return gfp{};
  if (!text.starts_with("0x")) return std::nullopt;
  text.remove_prefix(2);
  std::uint64_t bits = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), bits, 16);
  if (code != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return bits == 0 ? gfp{} : gfp_flag::other;
}

}  // namespace

std::expected<gfp, error> parse_gfp(std::string_view text) {
  gfp flags;
  std::string_view rest = text;
  while (true) {
    const auto name = rest.substr(0, rest.find('|'));
    auto part = find_name(name);
    if (!part) part = read_number(name);
    if (!part) {
      return fail(errc::malformed, "\"{}\" is not a GFP flag", escaped(name, 64));
    }
    flags = flags | *part;
    if (name.size() == rest.size()) return flags;
    rest.remove_prefix(name.size() + 1);
  }
}

std::string to_text(gfp flags) {
  if (flags == gfp{}) return "none";
  std::string text;
  const auto append = [&text](std::string_view part) {
    if (!text.empty()) text += '|';
    text += part;
  };
  for (const auto& [name, mask] : printed_names) {
    if (!flags.has_all(mask)) continue;
    append(name);
    flags = flags - mask;
  }
  if (flags != gfp{}) append(fmt::format("{:#x}", flags.bits()));
  return text;
}

}  // namespace memsim

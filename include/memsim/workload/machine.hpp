// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The machine that a workload runs on: from a TOML file, or like a captured one.
///
///     memory = "16 GiB"
///     cpus = 4
///     cpu = "zen4"
///     profile = "linux_6_12"
///     merging = "when_uniform"
///     movable_zone = "2 GiB"
///
///     [[cma]]
///     base = "5 GiB"
///     size = "256 MiB"
///
///     [tuning]
///     watermark_scale_factor = 100

#include <cstdint>
#include <expected>
#include <filesystem>
#include <optional>
#include <string_view>
#include <variant>

#include <memsim/alloc/kernel_profile.hpp>
#include <memsim/alloc/page_allocator.hpp>
#include <memsim/core/error.hpp>
#include <memsim/machine.hpp>
#include <memsim/workload/machine_description.hpp>

namespace memsim {

class trace_hints;

/// A machine that boots, or one taken over while it runs.
using machine_source = std::variant<page_allocator_config, machine_description>;

/// Reads the text of a machine file.
///
/// Keys: `memory` (a size) or `[[region]]` tables (`start`, `size`, `kind` = ram, reserved or
/// undescribed); `cpus`, `cpu` (a preset), `profile`, `movable_zone`, `[[cma]]` tables (`size`,
/// `order_per_bit`, and either `base` or, for it to be given a place, `alignment` and `limit`),
/// `largest_mapping` (4K, 2M or 1G), `merging` (never, on_request or when_uniform),
/// `seed`, `[nested]` (`host_page`, `host_table_levels`: the machine is a guest), and `[tuning]`
/// with the members of `tuning`. Sizes and addresses are numbers of bytes or strings such as
/// `"16 GiB"`.
///
/// \param name  the file's, for messages
/// \return errc::malformed or errc::inconsistent; the message names file, line, key, value and what
///         is allowed. Unknown keys are refused
[[nodiscard]] std::expected<machine_config, error> parse_machine_config(std::string_view text,
                                                                        std::string_view name);

/// \return errc::io if the file cannot be read
[[nodiscard]] std::expected<machine_config, error> load_machine_config(
    const std::filesystem::path& path);

/// Likewise, of which the page allocator needs only a part.
[[nodiscard]] std::expected<page_allocator_config, error> parse_machine(std::string_view text,
                                                                        std::string_view name);

/// Loads a machine file (`.toml`), or a captured zoneinfo as load_capture() does.
[[nodiscard]] std::expected<machine_source, error> load_machine(const std::filesystem::path& path);

struct machine_options {
  /// Instead of the machine's own profile.
  std::optional<kernel_profile> profile{};
  /// Of the streams that lay out a captured machine's memory.
  std::uint64_t seed = 1;
  /// What a trace says about where memory was free and where in use; may be nullptr.
  const trace_hints* hints = nullptr;
};

/// Makes the machine.
/// \return errc::inconsistent if a captured machine cannot have been, or a machine file asks for
///         what cannot be
[[nodiscard]] std::expected<page_allocator, error> make_machine(
    const machine_source& source, const machine_options& options = {});

}  // namespace memsim

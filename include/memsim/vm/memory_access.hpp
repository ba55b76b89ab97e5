// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace memsim {

/// What a process does with a page.
enum class memory_access : bool { read, write };

}  // namespace memsim

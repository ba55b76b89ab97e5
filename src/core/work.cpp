// SPDX-License-Identifier: Apache-2.0
#include <memsim/core/work.hpp>

namespace memsim {

work& work::operator+=(const work& other) {
  for (const auto& s : work_statistics) this->*s.member += other.*s.member;
  return *this;
}

}  // namespace memsim

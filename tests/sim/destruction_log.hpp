// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Tells when a local variable is destroyed.

#include <vector>

namespace memsim {

class destruction_log {
 public:
  destruction_log(std::vector<int>& log, int number) : log_{&log}, number_{number} {}
  destruction_log(const destruction_log&) = delete;
  destruction_log& operator=(const destruction_log&) = delete;
  ~destruction_log() { log_->push_back(number_); }

 private:
  std::vector<int>* log_;
  int number_;
};

}  // namespace memsim

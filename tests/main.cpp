// SPDX-License-Identifier: Apache-2.0
// The main function of the test program. Catch2 v2 makes it from a macro, v3 brings one in a
// library.
#if !__has_include(<catch2/catch_all.hpp>)
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
#endif

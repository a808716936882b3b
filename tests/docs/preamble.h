// What a block of C++ in the documentation may use without saying so.
#ifndef RKVS_TESTS_DOCS_PREAMBLE_H_
#define RKVS_TESTS_DOCS_PREAMBLE_H_

#include <rkvs/all.h>

#include <chrono>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#endif  // RKVS_TESTS_DOCS_PREAMBLE_H_

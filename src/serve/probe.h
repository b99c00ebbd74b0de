// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

namespace gcvit::serve {

/// Asks the server at `url`, such as "http://127.0.0.1:8080", whether it is ready. Who it is doesn't matter: with https its certificate may
/// be anybody's. Throws `Error` where it isn't ready or doesn't answer within `patience`, or where `url` isn't http://HOST:PORT or
/// https://HOST:PORT.
void expect_ready(const std::string& url, std::chrono::milliseconds patience);

}  // namespace gcvit::serve

// SPDX-License-Identifier: Apache-2.0
// gcvit's side of opening.py: for each line, a weight file, answers the seconds until its model was loaded.
#include <chrono>
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>

#include "weights/load.h"

int main() try {
  using Clock = std::chrono::steady_clock;
  std::string file;
  while (std::getline(std::cin, file)) {
    const Clock::time_point begin = Clock::now();
    const gcvit::weights::LoadedModel loaded = gcvit::weights::load_model(file);
    const std::chrono::duration<double> seconds = Clock::now() - begin;
    std::cout << seconds.count() << std::endl;
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}

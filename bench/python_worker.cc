// SPDX-License-Identifier: Apache-2.0
// The C++ side of python.py's price of a call: classifies an image that is in memory, in the way Python's calls are measured.
//
//   python_worker MODEL PIXELS SIDE THREADS      PIXELS: a file of SIDE x SIDE x 3 bytes
//
// For each line on standard input, a number of seconds, answers "times" and the seconds of each call.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "gcvit/classifier.h"

int main(int argc, char** argv) try {
  if (argc != 5) throw std::runtime_error("[python_worker] arguments: expected MODEL PIXELS SIDE THREADS");
  std::cout.precision(9);
  const int side = std::stoi(argv[3]);
  gcvit::Classifier classifier(argv[1], {.threads = std::stoi(argv[4])});
  std::ifstream file(argv[2], std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  const std::vector<std::uint8_t> pixels(bytes.begin(), bytes.end());
  for (double seconds = 0.0; std::cin >> seconds;) {
    using Clock = std::chrono::steady_clock;
    std::vector<double> times;
    const Clock::time_point begin = Clock::now();
    Clock::time_point now = begin;
    do {
      const Clock::time_point start = now;
      classifier.classify(gcvit::Image::pixels(pixels, side, side), 3);
      now = Clock::now();
      times.push_back(std::chrono::duration<double>(now - start).count());
    } while (std::chrono::duration<double>(now - begin).count() < seconds);
    std::cout << "times";
    for (const double time : times) std::cout << ' ' << time;
    std::cout << std::endl;
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}

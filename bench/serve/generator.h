// SPDX-License-Identifier: Apache-2.0
// Sends requests to a server from one thread, and measures its answers.
//
// Open loop: requests begin at times that a Poisson process draws, whether or not earlier ones were answered, each on a connection that is
// idle or a new one. A latency counts from the drawn time on, so that a server or generator that falls behind shows in it.
// Closed loop: so many connections send their next request when their last one was answered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "answer.h"
#include "sockets.h"

namespace gcvit::bench {

struct LoadOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 8080;
  std::vector<std::string> requests;  ///< each the bytes of a whole HTTP request
  std::vector<std::string> expected;  ///< the body of the answer to each
  Check check = Check::kExact;
  double rate = 0.0;  ///< requests a second; 0 is the closed loop
  std::size_t connections = 4096;  ///< open loop: at most; closed loop: as many
  double warm_up = 1.0;  ///< seconds that aren't measured
  double seconds = 10.0;
  double patience = 30.0;  ///< seconds for the last answers
  std::uint64_t seed = 1;
  std::vector<int> processes;  ///< whose CPU time is taken over the same seconds
};

enum class Outcome {
  kAnswered,
  kWrong,  ///< status 200, but not what was expected
  kLost,  ///< sent completely; the connection ended without an answer
  kCut,  ///< the connection ended before all was sent
  kUnconnected,  ///< no connection could be had
  kUnanswered  ///< nothing came until the generator gave up
};

/// A request that was to begin in the measured seconds.
struct Sample {
  double intended = 0.0;  ///< seconds from the measuring's begin on
  double late = 0.0;  ///< seconds until its first byte was sent
  double latency = 0.0;  ///< seconds from the intended time to the answer's last byte
  std::size_t request = 0;
  Outcome outcome = Outcome::kUnanswered;
  int status = 0;
};

struct LoadReport {
  std::vector<Sample> samples;
  std::size_t good = 0;  ///< answers with status 200, as expected, that ended in the measured seconds
  double seconds = 0.0;
  double own_cpu = 0.0;  ///< seconds, of this generator
  double processes_cpu = 0.0;  ///< of the processes that were named
  std::size_t connections = 0;
};

class Generator {
 public:
  explicit Generator(const LoadOptions& options);
  LoadReport run();

 private:
  struct Connection {
    Descriptor socket;
    bool busy = false;
    bool waits_to_send = false;
    std::size_t sent = 0;
    Clock::time_point intended;
    Sample sample;
    AnswerReader answer;
  };

  void start_due_requests(Clock::time_point now);
  void start(Clock::time_point intended);
  void begin(std::size_t index, Clock::time_point intended);
  std::size_t open_connection();
  void send(std::size_t index);
  void receive(std::size_t index);
  void on_answer(std::size_t index);
  void on_broken(std::size_t index);
  void finish(std::size_t index, Outcome outcome);
  void close(std::size_t index);
  void release(std::size_t index);
  void count(const Sample& sample, Clock::time_point intended);
  void begin_measuring();
  void end_measuring();
  double seconds_since_begin(Clock::time_point time) const;

  const LoadOptions& options_;
  const sockaddr_in address_;
  Poller poller_;
  std::mt19937_64 random_;
  std::vector<Connection> connections_;
  std::vector<std::size_t> idle_;
  std::vector<std::size_t> closed_;  ///< whose places are free
  std::deque<Clock::time_point> waiting_;  ///< for a connection
  std::size_t busy_ = 0;
  Clock::time_point next_;
  Clock::time_point begin_;
  Clock::time_point end_;
  bool measuring_ = false;
  bool measured_ = false;
  LoadReport report_;
};

/// The body of a server's answer to a request, on a connection of its own. Throws `Error` where its status isn't 200.
std::string ask(const LoadOptions& options, const std::string& request);

}  // namespace gcvit::bench

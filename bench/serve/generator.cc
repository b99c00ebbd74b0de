// SPDX-License-Identifier: Apache-2.0
#include "generator.h"

#include <sys/resource.h>

#include <sstream>
#include <algorithm>
#include <array>
#include <fstream>
#include <utility>

namespace gcvit::bench {
namespace {

constexpr std::size_t kReadBytes = std::size_t{64} << 10;
constexpr std::chrono::milliseconds kLongestWait{100};

Clock::duration duration_of(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

double own_cpu_seconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// Of a process with all its threads; 0 where it has gone.
double cpu_seconds_of(int process) {
  std::ifstream file(fmt::format("/proc/{}/stat", process));
  std::string line;
  std::getline(file, line);
  // Its name, in parentheses, may have spaces.
  std::istringstream fields(line.substr(std::min(line.size(), line.rfind(')') + 1)));
  constexpr int kFieldsBeforeTimes = 11;
  std::string skipped;
  for (int i = 0; i < kFieldsBeforeTimes; ++i) fields >> skipped;
  double user = 0.0;
  double system = 0.0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

double cpu_seconds_of(const std::vector<int>& processes) {
  double seconds = 0.0;
  for (const int process : processes) seconds += cpu_seconds_of(process);
  return seconds;
}

}  // namespace

Generator::Generator(const LoadOptions& options)
    : options_(options), address_(address_of(options.host, options.port)), random_(options.seed) {
  if (options.requests.empty()) fail("[load] expected a request, found none");
}

double Generator::seconds_since_begin(Clock::time_point time) const {
  return std::chrono::duration<double>(time - begin_).count();
}

LoadReport Generator::run() {
  const Clock::time_point started = Clock::now();
  begin_ = started + duration_of(options_.warm_up);
  end_ = begin_ + duration_of(options_.seconds);
  const Clock::time_point last = end_ + duration_of(options_.patience);
  next_ = started;
  if (options_.rate == 0.0) {
    for (std::size_t i = 0; i < options_.connections; ++i) start(started);
  }
  for (Clock::time_point now = started; now < last; now = Clock::now()) {
    if (!measuring_ && now >= begin_) begin_measuring();
    if (!measured_ && now >= end_) end_measuring();
    if (options_.rate > 0.0) start_due_requests(now);
    if (now >= end_ && busy_ == 0 && waiting_.empty()) break;
    Clock::time_point until = now + kLongestWait;
    for (const Clock::time_point time : {options_.rate > 0.0 ? next_ : until, begin_, end_}) {
      if (time > now) until = std::min(until, time);
    }
    for (const epoll_event& event : poller_.wait_until(until)) {
      const auto index = static_cast<std::size_t>(event.data.u64);
      if (!connections_[index].socket.is_open()) continue;
      if ((event.events & EPOLLOUT) != 0) send(index);
      if ((event.events & ~static_cast<unsigned>(EPOLLOUT)) != 0 && connections_[index].socket.is_open()) {
        receive(index);
      }
    }
  }
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    if (connections_[i].busy) finish(i, Outcome::kUnanswered);
  }
  for (const Clock::time_point intended : waiting_) count({}, intended);
  return std::move(report_);
}

void Generator::begin_measuring() {
  measuring_ = true;
  report_.own_cpu = -own_cpu_seconds();
  report_.processes_cpu = -cpu_seconds_of(options_.processes);
  report_.seconds = -seconds_since_begin(Clock::now());
}

void Generator::end_measuring() {
  measured_ = true;
  report_.own_cpu += own_cpu_seconds();
  report_.processes_cpu += cpu_seconds_of(options_.processes);
  report_.seconds += seconds_since_begin(Clock::now());
}

void Generator::start_due_requests(Clock::time_point now) {
  std::exponential_distribution<double> gap(options_.rate);
  while (next_ <= now && next_ < end_) {
    start(next_);
    next_ += duration_of(gap(random_));
  }
}

void Generator::start(Clock::time_point intended) {
  if (!idle_.empty()) {
    const std::size_t index = idle_.back();
    idle_.pop_back();
    return begin(index, intended);
  }
  if (busy_ >= options_.connections) return waiting_.push_back(intended);
  const std::size_t index = open_connection();
  if (!connections_[index].socket.is_open()) {
    closed_.push_back(index);
    Sample sample;
    sample.outcome = Outcome::kUnconnected;
    return count(sample, intended);
  }
  begin(index, intended);
}

std::size_t Generator::open_connection() {
  std::size_t index = connections_.size();
  if (closed_.empty()) {
    connections_.emplace_back();
  } else {
    index = closed_.back();
    closed_.pop_back();
  }
  connections_[index].socket = connect_to(address_);
  if (connections_[index].socket.is_open()) {
    connections_[index].waits_to_send = false;
    poller_.add(connections_[index].socket.get(), EPOLLIN, index);
    ++report_.connections;
  }
  return index;
}

void Generator::begin(std::size_t index, Clock::time_point intended) {
  Connection& connection = connections_[index];
  connection.busy = true;
  connection.sent = 0;
  connection.intended = intended;
  connection.sample = {};
  connection.sample.request = std::uniform_int_distribution<std::size_t>(0, options_.requests.size() - 1)(random_);
  connection.answer.reset();
  ++busy_;
  send(index);
}

void Generator::send(std::size_t index) {
  Connection& connection = connections_[index];
  if (!connection.busy) return;
  const std::string& request = options_.requests[connection.sample.request];
  while (connection.sent < request.size()) {
    const ssize_t sent = ::send(connection.socket.get(), request.data() + connection.sent,
                                request.size() - connection.sent, MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == EINPROGRESS)) break;
    if (sent < 0) return on_broken(index);
    if (connection.sent == 0) {
      connection.sample.late = std::chrono::duration<double>(Clock::now() - connection.intended).count();
    }
    connection.sent += static_cast<std::size_t>(sent);
  }
  const bool waits = connection.sent < request.size();
  if (waits != connection.waits_to_send) {
    connection.waits_to_send = waits;
    poller_.change(connection.socket.get(), EPOLLIN | (waits ? EPOLLOUT : 0u), index);
  }
}

void Generator::receive(std::size_t index) {
  std::array<char, kReadBytes> bytes;
  Connection& connection = connections_[index];
  const ssize_t received = ::recv(connection.socket.get(), bytes.data(), bytes.size(), 0);
  if (received < 0 && errno == EAGAIN) return;
  if (received <= 0 || !connection.busy) return on_broken(index);
  if (connection.answer.add({bytes.data(), static_cast<std::size_t>(received)})) on_answer(index);
}

void Generator::on_answer(std::size_t index) {
  Connection& connection = connections_[index];
  const std::size_t request = connection.sample.request;
  connection.sample.status = connection.answer.status();
  const bool wrong =
      connection.sample.status == 200 && options_.check != Check::kNone &&
      comparable(connection.answer.body(), options_.check) != comparable(options_.expected[request], options_.check);
  const bool reusable = connection.answer.keeps_alive() && connection.sent == options_.requests[request].size();
  finish(index, wrong ? Outcome::kWrong : Outcome::kAnswered);
  reusable ? release(index) : close(index);
  if (options_.rate == 0.0 && Clock::now() < end_) start(Clock::now());
}

/// The connection has ended.
void Generator::on_broken(std::size_t index) {
  Connection& connection = connections_[index];
  if (!connection.busy) {
    std::erase(idle_, index);
    return close(index);
  }
  int error = 0;
  socklen_t size = sizeof(error);
  getsockopt(connection.socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  const bool whole = connection.sent == options_.requests[connection.sample.request].size();
  finish(index, whole ? Outcome::kLost : connection.sent == 0 ? Outcome::kUnconnected : Outcome::kCut);
  close(index);
  if (options_.rate == 0.0 && Clock::now() < end_) start(Clock::now());
}

void Generator::finish(std::size_t index, Outcome outcome) {
  Connection& connection = connections_[index];
  connection.sample.outcome = outcome;
  connection.busy = false;
  --busy_;
  count(connection.sample, connection.intended);
}

void Generator::count(const Sample& sample, Clock::time_point intended) {
  const Clock::time_point now = Clock::now();
  if (sample.outcome == Outcome::kAnswered && sample.status == 200 && measuring_ && !measured_) ++report_.good;
  if (intended < begin_) return;
  Sample& counted = report_.samples.emplace_back(sample);
  counted.intended = seconds_since_begin(intended);
  counted.latency = std::chrono::duration<double>(now - intended).count();
}

void Generator::close(std::size_t index) {
  connections_[index].socket.reset();
  closed_.push_back(index);
  if (!waiting_.empty()) {
    const Clock::time_point intended = waiting_.front();
    waiting_.pop_front();
    start(intended);
  }
}

void Generator::release(std::size_t index) {
  idle_.push_back(index);
  if (!waiting_.empty()) {
    const Clock::time_point intended = waiting_.front();
    waiting_.pop_front();
    start(intended);
  }
}

std::string ask(const LoadOptions& options, const std::string& request) {
  const Descriptor socket = connect_to(address_of(options.host, options.port));
  if (!socket.is_open()) fail("[load] {}:{}: expected a server, found none", options.host, options.port);
  const int flags = fcntl(socket.get(), F_GETFL);
  fcntl(socket.get(), F_SETFL, flags & ~O_NONBLOCK);
  for (std::size_t sent = 0; sent < request.size();) {
    const ssize_t bytes = ::send(socket.get(), request.data() + sent, request.size() - sent, MSG_NOSIGNAL);
    if (bytes <= 0) fail("[load] can't send a request: {}", std::strerror(errno));
    sent += static_cast<std::size_t>(bytes);
  }
  AnswerReader answer;
  std::vector<char> bytes(kReadBytes);
  while (true) {
    const ssize_t received = ::recv(socket.get(), bytes.data(), bytes.size(), 0);
    if (received <= 0) fail("[load] expected an answer, found the end of the connection");
    if (answer.add({bytes.data(), static_cast<std::size_t>(received)})) break;
  }
  if (answer.status() != 200) fail("[load] expected status 200, found {}: {}", answer.status(), answer.body());
  return std::string(answer.body());
}

}  // namespace gcvit::bench

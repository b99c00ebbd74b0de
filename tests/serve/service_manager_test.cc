// SPDX-License-Identifier: Apache-2.0
#include "serve/service_manager.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <ranges>
#include <stdexcept>
#include <string>

namespace gcvit::serve {
namespace {

/// The manager's end.
class Manager {
 public:
  explicit Manager(const std::string& name) : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::ranges::copy(name, address.sun_path);
    const bool abstract = name.starts_with('@');
    if (abstract) address.sun_path[0] = '\0';
    const std::size_t size = offsetof(sockaddr_un, sun_path) + name.size() + (abstract ? 0 : 1);
    if (::bind(socket_, reinterpret_cast<const sockaddr*>(&address), static_cast<socklen_t>(size)) != 0) {
      throw std::runtime_error("can't bind");
    }
  }
  ~Manager() { ::close(socket_); }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  /// "" where there is none.
  std::string message() const {
    char text[512];
    const ssize_t size = ::recv(socket_, text, sizeof(text), MSG_DONTWAIT);
    return size < 0 ? "" : std::string(text, static_cast<std::size_t>(size));
  }

 private:
  int socket_;
};

struct ServiceManagerTest : ::testing::Test {
  std::filesystem::path path = std::filesystem::path(::testing::TempDir()) / ("notify_" + std::to_string(::getpid()));

  ~ServiceManagerTest() override { std::filesystem::remove(path); }
};

TEST_F(ServiceManagerTest, IsToldWhatHappens) {
  const Manager manager(path);
  const ServiceManager told(path.string());
  told.ready("listening on http://127.0.0.1:8080");
  EXPECT_EQ(manager.message(), "READY=1\nSTATUS=listening on http://127.0.0.1:8080");
  told.reloading();
  const std::string reloading = manager.message();
  const std::string begin = "RELOADING=1\nMONOTONIC_USEC=";
  ASSERT_EQ(reloading.substr(0, begin.size()), begin);
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const double seconds = std::stod(reloading.substr(begin.size())) / 1e6;
  EXPECT_NEAR(seconds, static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9, 5.0);
  told.stopping();
  EXPECT_EQ(manager.message(), "STOPPING=1\nSTATUS=finishing what was accepted");
}

TEST_F(ServiceManagerTest, MayHaveAnAbstractSocket) {
  const std::string name = "@gcvit_test_" + std::to_string(::getpid());
  const Manager manager(name);
  ServiceManager(name).ready("x");
  EXPECT_EQ(manager.message(), "READY=1\nSTATUS=x");
}

TEST_F(ServiceManagerTest, IsNamedByTheEnvironmentOnce) {
  const Manager manager(path);
  ASSERT_EQ(::setenv("NOTIFY_SOCKET", path.c_str(), 1), 0);
  const ServiceManager told = ServiceManager::of_environment();
  EXPECT_EQ(std::getenv("NOTIFY_SOCKET"), nullptr);
  told.ready("x");
  EXPECT_EQ(manager.message(), "READY=1\nSTATUS=x");
  ServiceManager::of_environment().ready("y");
  EXPECT_EQ(manager.message(), "");
}

TEST_F(ServiceManagerTest, MayBeMissing) {
  for (const std::string& socket :
       {std::string(), std::string("/"), std::string("@"), std::string("vsock:2:1"), "/" + std::string(200, 'x')}) {
    const ServiceManager told(socket);
    told.ready("x");
    told.stopping();
  }
  ServiceManager(path.string()).ready("nobody listens");
}

}  // namespace
}  // namespace gcvit::serve

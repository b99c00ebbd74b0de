// SPDX-License-Identifier: Apache-2.0
// Programs on a pseudo-terminal.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <string>

namespace gcvit::testing {

/// A terminal of which the test is the far end. A root without /dev/pts has none to give: then `missing()` says why.
class Terminal {
 public:
  Terminal() {
    if (openpty(&far_, &near_, nullptr, nullptr, nullptr) == 0) {
      fcntl(far_, F_SETFD, FD_CLOEXEC);
      fcntl(near_, F_SETFD, FD_CLOEXEC);
    } else {
      missing_ = std::string("no pseudo-terminal can be made here: ") + std::strerror(errno);
    }
  }
  ~Terminal() {
    hang_up();
    if (near_ >= 0) close(near_);
    if (pid_ > 0 && !ended_) {
      kill(pid_, SIGKILL);
      wait();
    }
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  /// Empty where there is a terminal.
  const std::string& missing() const { return missing_; }

  /// Runs a shell's command with all three streams and the session on the terminal.
  void start(const std::string& command) {
    pid_ = fork();
    if (pid_ == 0) {
      enter();
      execute(command);
    }
    close(near_);
    near_ = -1;
  }

  /// The same in the background of a terminal that stops what writes from there. `wait` gives 99 for a command that was
  /// stopped.
  void start_behind(const std::string& command) {
    pid_ = fork();
    if (pid_ == 0) {
      enter();
      termios settings{};
      tcgetattr(STDERR_FILENO, &settings);
      settings.c_lflag |= TOSTOP;
      tcsetattr(STDERR_FILENO, TCSANOW, &settings);
      const pid_t behind = fork();
      if (behind == 0) {
        setpgid(0, 0);
        execute(command);
      }
      int status = 0;
      waitpid(behind, &status, WUNTRACED);
      if (WIFSTOPPED(status)) kill(behind, SIGKILL);
      _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 99);
    }
    close(near_);
    near_ = -1;
  }

  /// What the program wrote since, for at most so long; "" and `ended()` once nobody has the terminal open any more.
  std::string read(int milliseconds) {
    pollfd one{far_, POLLIN, 0};
    if (poll(&one, 1, milliseconds) <= 0) return "";
    char text[4096];
    const ssize_t got = ::read(far_, text, sizeof text);
    closed_ = got <= 0;
    return got > 0 ? std::string(text, static_cast<std::size_t>(got)) : "";
  }
  std::string read_all() {
    std::string text;
    while (!closed_) text += read(60'000);
    return text;
  }
  /// The far end goes away: SIGHUP for the session, and nothing can be written any more.
  void hang_up() {
    if (far_ >= 0) close(far_);
    far_ = -1;
  }
  void send(int signal) const { kill(pid_, signal); }
  /// The exit code; 128 and the signal's number for one that a signal ended.
  int wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    ended_ = true;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  void enter() {
    std::signal(SIGHUP, SIG_DFL);  // whatever the tests were started with
    setsid();
    ioctl(near_, TIOCSCTTY, 0);
    for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(near_, stream);
  }
  [[noreturn]] static void execute(const std::string& command) {
    setenv("TERM", "xterm", 1);  // whatever the tests were started on
    execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    _exit(127);
  }

  int far_ = -1;
  int near_ = -1;
  pid_t pid_ = -1;
  bool closed_ = false;
  bool ended_ = false;
  std::string missing_;
};

}  // namespace gcvit::testing

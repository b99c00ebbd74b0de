// SPDX-License-Identifier: Apache-2.0
// server.py for a test: started with a file to serve, gone with the object.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

namespace gcvit::hub {

/// A child process that reads from us and writes to us.
class Child {
 public:
  explicit Child(const std::vector<std::string>& command) {
    int to[2];
    int from[2];
    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    std::vector<char*> words;
    for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    process_ = fork();
    if (process_ == 0) {
      dup2(to[0], STDIN_FILENO);
      dup2(from[1], STDOUT_FILENO);
      execvp(words[0], words.data());
      _exit(127);
    }
    close(to[0]);
    close(from[1]);
    input_ = to[1];
    output_ = fdopen(from[0], "r");
  }
  ~Child() {
    close(input_);
    std::fclose(output_);
    int status = 0;
    waitpid(process_, &status, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  std::string read_line() {
    char line[256] = "";
    if (std::fgets(line, sizeof line, output_) == nullptr) throw std::runtime_error("the child process said nothing");
    return line;
  }

 private:
  pid_t process_ = -1;
  int input_ = -1;
  std::FILE* output_ = nullptr;
};

class Server {
 public:
  /// Options are those of server.py.
  explicit Server(const std::string& file, const std::vector<std::string>& options = {})
      : child_(command(file, options)), port_(std::stoi(child_.read_line())) {
    setenv("no_proxy", "*", 1);  // the server is right here
  }

  std::string url(const std::string& path, const std::string& scheme = "http") const {
    return scheme + "://127.0.0.1:" + std::to_string(port_) + "/" + path;
  }

 private:
  static std::vector<std::string> command(const std::string& file, const std::vector<std::string>& options) {
    std::vector<std::string> words = {"python3", std::string(GCVIT_SOURCE_DIR) + "/tests/hub/server.py", file};
    words.insert(words.end(), options.begin(), options.end());
    return words;
  }

  Child child_;
  int port_;
};

/// Bytes that look random and are always the same.
inline std::string sample_bytes(std::size_t size) {
  std::string bytes(size, '\0');
  std::uint32_t state = 1;
  for (char& byte : bytes) {
    state = state * 1664525u + 1013904223u;
    byte = static_cast<char>(state >> 24);
  }
  return bytes;
}

}  // namespace gcvit::hub

// SPDX-License-Identifier: Apache-2.0
// The certificate with which a server proves who it is, and the rules of its encrypted connections: TLS 1.2 and 1.3.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <mutex>
#include <string>

namespace gcvit::serve {

/// Files in PEM: a chain of certificates, the server's own first, and its key.
struct TlsFiles {
  std::string certificate;
  std::string key;
};

class Tls {
 public:
  using Context = boost::asio::ssl::context;

  /// Reads the files. Throws `Error`.
  explicit Tls(TlsFiles files);

  const TlsFiles& files() const { return files_; }
  /// Reads the files again, for connections that come from now on. Throws `Error`, and then all stays as it was.
  void reload();
  /// For one connection. Any thread may call it.
  std::shared_ptr<Context> context() const;

 private:
  TlsFiles files_;
  mutable std::mutex mutex_;
  std::shared_ptr<Context> context_;
};

}  // namespace gcvit::serve

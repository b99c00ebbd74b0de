// SPDX-License-Identifier: Apache-2.0
#include "serve/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <cstdint>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/open_file.h"

namespace gcvit::serve {
namespace {

namespace asio = boost::asio;

constexpr std::uint64_t kMostBytes = 1 << 20;
constexpr unsigned char kProtocols[] = "\x08http/1.1\x08http/1.0";
/// Of TLS 1.2, whose other ones lack forward secrecy or authenticate what they encrypt in a way that has been broken.
constexpr const char* kCiphers = "ECDHE+AESGCM:ECDHE+CHACHA20";

/// A client that names protocols (ALPN) but none of ours is refused by the handshake: it would not understand our answers.
int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* chosen_size, const unsigned char* offered,
                    unsigned int offered_size, void*) {
  unsigned char* found = nullptr;
  if (SSL_select_next_proto(&found, chosen_size, kProtocols, sizeof(kProtocols) - 1, offered, offered_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

Tls::Context rules() {
  Tls::Context context(Tls::Context::tls_server);
  SSL_CTX* const native = context.native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_options(native, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);  // clients keep their sessions, as tickets
  SSL_CTX_set_alpn_select_cb(native, choose_protocol, nullptr);
  if (SSL_CTX_set_cipher_list(native, kCiphers) != 1) fail("[serve] OpenSSL: expected the ciphers {}", kCiphers);
  return context;
}

/// Whether a text in PEM holds something of this kind. OpenSSL's own words for one that doesn't are about start lines and decoders.
bool holds(std::string_view pem, std::string_view kind) {
  return pem.find(fmt::format("{}-----", kind)) != std::string_view::npos;
}

std::shared_ptr<Tls::Context> read(const TlsFiles& files) {
  const std::string certificate = read_regular_text(files.certificate, "serve", kMostBytes);
  std::string key = read_regular_text(files.key, "serve", kMostBytes);
  auto context = std::make_shared<Tls::Context>(rules());
  boost::system::error_code error;
  context->use_certificate_chain(asio::buffer(certificate), error);
  if (error) {
    fail("[serve] {}: expected a chain of certificates in PEM, found: {}", files.certificate,
         holds(certificate, "CERTIFICATE") ? error.message() : "another kind of file");
  }
  // Without it OpenSSL would ask at the terminal.
  context->set_password_callback([](std::size_t, Tls::Context::password_purpose) { return std::string(); }, error);
  ERR_clear_error();
  context->use_private_key(asio::buffer(key), Tls::Context::pem, error);
  const bool fits = SSL_CTX_check_private_key(context->native_handle()) == 1;
  const bool is_key = holds(key, "PRIVATE KEY");
  const bool is_encrypted = key.find("ENCRYPTED") != std::string::npos;
  std::ranges::fill(key, '\0');
  if (!is_key || is_encrypted) {
    fail("[serve] {}: expected a private key in PEM without a password, found {}", files.key,
         is_encrypted ? "one with a password" : "another kind of file");
  }
  if (error && ERR_GET_REASON(static_cast<unsigned long>(error.value())) != X509_R_KEY_VALUES_MISMATCH) {
    fail("[serve] {}: expected a private key in PEM without a password, found: {}", files.key, error.message());
  }
  if (error || !fits) fail("[serve] {}: expected the key of {}, found another one", files.key, files.certificate);
  return context;
}

}  // namespace

Tls::Tls(TlsFiles files) : files_(std::move(files)), context_(read(files_)) {}

void Tls::reload() {
  std::shared_ptr<Context> context = read(files_);
  const std::scoped_lock lock(mutex_);
  context_.swap(context);
}

std::shared_ptr<Tls::Context> Tls::context() const {
  const std::scoped_lock lock(mutex_);
  return context_;
}

}  // namespace gcvit::serve

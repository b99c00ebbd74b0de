// SPDX-License-Identifier: Apache-2.0
// Certificates that tests make, and a client that speaks TLS.
#pragma once

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/time.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "serve/tls.h"
#include "tests/serve/client.h"
#include "tests/weights/test_files.h"

namespace gcvit::serve {

template <auto kFree>
struct Freed {
  template <typename T>
  void operator()(T* pointer) const {
    kFree(pointer);
  }
};

using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;

template <typename Write>
std::string in_pem(Write&& write) {
  const std::unique_ptr<BIO, Freed<BIO_free_all>> out(BIO_new(BIO_s_mem()));
  write(out.get());
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(out.get(), &bytes);
  return {bytes, static_cast<std::size_t>(size)};
}

/// Writes a new key and a certificate of `name` that it signed itself.
inline void write_pair(const TlsFiles& files, const std::string& name, const char* password = nullptr) {
  const Key key(EVP_EC_gen("P-256"));
  const Certificate certificate(X509_new());
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  X509_set_pubkey(certificate.get(), key.get());
  X509_NAME* const subject = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1,
                             0);
  X509_set_issuer_name(certificate.get(), subject);
  X509_sign(certificate.get(), key.get(), EVP_sha256());
  weights::write_text(files.certificate, in_pem([&](BIO* out) { PEM_write_bio_X509(out, certificate.get()); }));
  weights::write_text(files.key, in_pem([&](BIO* out) {
                        PEM_write_bio_PrivateKey(out, key.get(), password == nullptr ? nullptr : EVP_aes_128_cbc(),
                                                 nullptr, 0, nullptr, const_cast<char*>(password));
                      }));
}

struct TlsClientOptions {
  int most_version = TLS1_3_VERSION;
  std::string_view protocols = "";  ///< as ALPN has them, each behind its length
};

class TlsClient : public Client {
 public:
  /// Throws where there is no handshake.
  explicit TlsClient(std::uint16_t port, const TlsClientOptions& options = {})
      : Client(port), context_(SSL_CTX_new(TLS_client_method())) {
    const timeval patience = {.tv_sec = 20, .tv_usec = 0};
    ::setsockopt(socket(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    SSL_CTX_set_security_level(context_.get(), 0);
    SSL_CTX_set_min_proto_version(context_.get(), TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context_.get(), options.most_version);
    ssl_.reset(SSL_new(context_.get()));
    if (!options.protocols.empty()) {
      SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(options.protocols.data()),
                          static_cast<unsigned>(options.protocols.size()));
    }
    SSL_set_fd(ssl_.get(), socket());
    ERR_clear_error();
    if (SSL_connect(ssl_.get()) != 1) throw std::runtime_error("no handshake");
  }

  std::string name_of_server() const {
    const Certificate certificate(SSL_get1_peer_certificate(ssl_.get()));
    char name[64] = {};
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate.get()), NID_commonName, name, sizeof(name));
    return name;
  }
  std::string version() const { return SSL_get_version(ssl_.get()); }
  std::string protocol() const {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &name, &size);
    return {reinterpret_cast<const char*>(name), size};
  }
  /// Says that nothing more comes from here.
  void finish() { SSL_shutdown(ssl_.get()); }
  /// Whether the server said the same, rather than just ending the connection.
  bool is_finished_by_server() const { return (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0; }
  /// Asks for new keys in the way of TLS 1.2; whether the server does that.
  bool renegotiate() { return SSL_renegotiate(ssl_.get()) == 1 && SSL_do_handshake(ssl_.get()) == 1; }

 private:
  ssize_t put(std::string_view bytes) override {
    return SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()));
  }
  ssize_t take(std::span<char> bytes) override {
    return SSL_read(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()));
  }

  std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>> context_;
  std::unique_ptr<SSL, Freed<SSL_free>> ssl_;
};

}  // namespace gcvit::serve

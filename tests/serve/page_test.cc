// SPDX-License-Identifier: Apache-2.0
#include "serve/page.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>

#include "serve/page_files.h"
#include "tests/serve/refused.h"
#include "tests/serve/tiny_service.h"

namespace gcvit::serve {
namespace {

std::string read(const std::string& path) {
  std::ifstream file(GCVIT_SOURCE_DIR "/" + path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string field(const Response& response, std::string_view name) {
  for (const auto& [field, value] : response.fields) {
    if (field == name) return value;
  }
  return "";
}

TEST(Page, HasTheBytesOfItsFiles) {
  const Response start = page_response("", "");
  EXPECT_EQ(start.status, 200U);
  EXPECT_EQ(start.content_type, "text/html; charset=utf-8");
  EXPECT_EQ(start.body, read("web/page/index.html"));
  EXPECT_EQ(page_response("app.js", "").body, read("web/page/app.js"));
  EXPECT_EQ(page_response("app.js", "").content_type, "text/javascript; charset=utf-8");
  EXPECT_EQ(page_response("tulips.jpg", "").body, read("examples/photos/tulips.jpg"));
  EXPECT_EQ(page_response("tulips.jpg", "").content_type, "image/jpeg");
}

TEST(Page, HasEveryFileThatItsFilesName) {
  std::set<std::string_view> names;
  for (const PageFile& file : page_files()) EXPECT_TRUE(names.insert(file.name).second) << file.name;
  const std::regex reference(R"re((?:"/page/|from '\./)([\w.]+)["'])re");
  int references = 0;
  for (const PageFile& file : page_files()) {
    const std::string text(file.bytes);
    for (std::sregex_iterator at(text.begin(), text.end(), reference), end; at != end; ++at, ++references) {
      EXPECT_TRUE(names.contains((*at)[1].str())) << file.name << " names " << (*at)[1];
    }
  }
  EXPECT_GT(references, 20);
}

TEST(Page, LetsBrowsersRunNothingElse) {
  const std::string policy = field(page_response("", ""), "Content-Security-Policy");
  EXPECT_TRUE(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';")) << policy;
  EXPECT_EQ(policy.find("unsafe"), std::string::npos);
}

TEST(Page, SaysWhenABrowserHasAFileAlready) {
  const Response first = page_response("style.css", "");
  const std::string tag = field(first, "ETag");
  EXPECT_EQ(field(first, "Cache-Control"), "no-cache");
  EXPECT_EQ(tag.size(), 18U);
  EXPECT_NE(tag, field(page_response("app.js", ""), "ETag"));
  EXPECT_EQ(page_response("style.css", tag).status, 304U);
  EXPECT_EQ(page_response("style.css", "\"other\", W/" + tag).status, 304U);
  EXPECT_EQ(page_response("style.css", "*").status, 304U);
  EXPECT_EQ(page_response("style.css", "\"other\"").status, 200U);
}

TEST(Page, HasNoOtherFiles) {
  EXPECT_EQ(refused([] { page_response("secret.txt", ""); }),
            "404 [serve] /page/secret.txt: the page has no such file");
  EXPECT_EQ(refused([] { page_response("index.html", ""); }).substr(0, 3), "404");  // it is "/"
}

TEST(PageOfService, IsThereWithoutAKey) {
  TinyModel tiny;
  ServiceOptions options = tiny.options();
  options.keys = ApiKeys("a-key-of-this-test\n", "keys");
  Service service(options, [](const std::string&) {});
  EXPECT_EQ(get(service, "/").status, 200U);
  EXPECT_EQ(get(service, "/page/app.js").status, 200U);
  EXPECT_EQ(get(service, "/v2").status, 401U);
  EXPECT_EQ(get(service, "/page/app.js/more").status, 401U);
  EXPECT_EQ(post(service, "/", "").status, 401U);
}

TEST(PageOfService, CanBeLeftOut) {
  TinyModel tiny;
  Service service(tiny.options(), [](const std::string&) {});
  RouteGroups without = RouteGroups::all();
  without.remove(RouteGroup::kPage);
  EXPECT_EQ(get(service, "/", without).status, 404U);
  EXPECT_EQ(get(service, "/page/app.js", without).status, 404U);
  EXPECT_EQ(get(service, "/v2", without).status, 200U);
}

}  // namespace
}  // namespace gcvit::serve

// SPDX-License-Identifier: Apache-2.0
#include "serve/listener.h"

#include <gtest/gtest.h>

#include "tests/serve/refused.h"

namespace gcvit::serve {
namespace {

constexpr RouteGroup kMetrics = RouteGroup::kMetrics;
constexpr RouteGroup kExplain = RouteGroup::kExplain;

std::vector<ListenerOptions> placed(std::string metrics, std::string explain, std::uint16_t port = 8080) {
  const std::vector<Placement> placements = {{.group = kMetrics, .where = std::move(metrics)},
                                             {.group = kExplain, .where = std::move(explain)}};
  return place({.port = port}, placements);
}

TEST(RouteGroups, AlwaysHaveHealth) {
  RouteGroups groups = {kMetrics};
  EXPECT_TRUE(groups.contains(RouteGroup::kHealth));
  EXPECT_TRUE(groups.contains(kMetrics));
  EXPECT_FALSE(groups.contains(kExplain));
  groups.remove(kMetrics);
  groups.remove(RouteGroup::kHealth);
  EXPECT_EQ(groups, RouteGroups({}));
  EXPECT_TRUE(groups.contains(RouteGroup::kHealth));
  EXPECT_TRUE(RouteGroups::all().contains(kExplain));
}

TEST(Listener, IsParsed) {
  const ListenerOptions one = parse_listener("0.0.0.0:9090");
  EXPECT_EQ(one.host, "0.0.0.0");
  EXPECT_EQ(one.port, 9090);
  EXPECT_EQ(one.groups, RouteGroups({}));
  EXPECT_EQ(parse_listener("[::1]:0").host, "::1");
  EXPECT_EQ(parse_listener("name:1").host, "name");
  for (const char* const text :
       {"", "on", ":80", "::1:80", "a:", "a:65536", "a:-1", "a:+1", "a:b", "[]:80", "[::1]", "[::1:80"}) {
    EXPECT_TRUE(refused([&] { parse_listener(text); }).starts_with("400 [serve] expected on, off or HOST:PORT"))
        << text;
  }
}

TEST(Listener, OffersWhatIsPlacedThere) {
  std::vector<ListenerOptions> listeners = placed("on", "on");
  ASSERT_EQ(listeners.size(), 1u);
  EXPECT_EQ(listeners[0].groups, RouteGroups::all());

  listeners = placed("off", "127.0.0.1:8080");
  ASSERT_EQ(listeners.size(), 1u);
  EXPECT_FALSE(listeners[0].groups.contains(kMetrics));
  EXPECT_TRUE(listeners[0].groups.contains(kExplain));
  EXPECT_TRUE(listeners[0].groups.contains(RouteGroup::kInference));

  listeners = placed("127.0.0.1:9090", "127.0.0.1:9090");
  ASSERT_EQ(listeners.size(), 2u);
  EXPECT_FALSE(listeners[0].groups.contains(kMetrics) || listeners[0].groups.contains(kExplain));
  EXPECT_EQ(listeners[1].port, 9090);
  EXPECT_EQ(listeners[1].groups, RouteGroups({kMetrics, kExplain}));

  listeners = placed("127.0.0.1:0", "127.0.0.1:0", 0);  // three ports
  ASSERT_EQ(listeners.size(), 3u);
  EXPECT_EQ(listeners[2].groups, RouteGroups({kExplain}));
  EXPECT_EQ(placed("on", "on", 0).size(), 1u);
}

TEST(Listener, HasANameWithBracketsWhereItNeedsThem) {
  EXPECT_EQ(name_of("127.0.0.1", 80), "127.0.0.1:80");
  EXPECT_EQ(name_of("::1", 80), "[::1]:80");
}

}  // namespace
}  // namespace gcvit::serve

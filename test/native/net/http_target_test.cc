// Request targets: which form each has, with which method, and the authority in it.
#include "net/http_target.h"

#include <string_view>

#include "test/native/harness.h"

namespace heddle::test {

TEST_CASE("each form goes with its methods") {
  const auto form_of = [](std::string_view method, std::string_view target) {
    return classify_target(method, target).form;
  };
  CHECK_EQ(form_of("GET", "/"), HttpTargetForm::kOrigin);
  CHECK_EQ(form_of("OPTIONS", "/a?b"), HttpTargetForm::kOrigin);
  CHECK_EQ(form_of("OPTIONS", "*"), HttpTargetForm::kAsterisk);
  CHECK_EQ(form_of("GET", "*"), HttpTargetForm::kInvalid);
  CHECK_EQ(form_of("CONNECT", "a:1"), HttpTargetForm::kAuthority);
  CHECK_EQ(form_of("GET", "a:1"), HttpTargetForm::kInvalid);
  CHECK_EQ(form_of("CONNECT", "/"), HttpTargetForm::kInvalid);
  CHECK_EQ(form_of("GET", "http://a"), HttpTargetForm::kAbsolute);
  CHECK_EQ(form_of("CONNECT", "http://a"), HttpTargetForm::kInvalid);
}

TEST_CASE("the authority of a target is what names its host") {
  const auto authority_of = [](std::string_view target) {
    return classify_target("GET", target).authority;
  };
  CHECK_EQ(authority_of("/a"), "");
  CHECK_EQ(authority_of("http://a/b"), "a");
  CHECK_EQ(authority_of("HTTPS://a.example:8080?b"), "a.example:8080");
  CHECK_EQ(authority_of("http://[2001:db8::1]:80"), "[2001:db8::1]:80");
  CHECK_EQ(classify_target("CONNECT", "[::1]:443").authority, "[::1]:443");
}

TEST_CASE("a value of Host is a host with a port or without") {
  for (const char* good : {"", "a", "A-1.example", "a:", "a:0", "a:65535", "1.2.3.4:80", "[::1]",
                           "[::ffff:1.2.3.4]:1", "%c3%A4", "a_b~!$&'()*+,;="}) {
    CHECK(is_host_value(good));
  }
  for (const char* bad : {" ", "a b", "a:b", "a:65536", "a:-1", "a:1:1", "a/", "a?", "u@a", "::1",
                          "[]", "[a]", "[::1", "::1]", "[::1]a", "[[::1]]", "%", "%4", "%4g"}) {
    CHECK(!is_host_value(bad));
  }
}

}  // namespace heddle::test

"""G01: challenges that fish for the credentials. G02: tokens that are none."""
from urllib.parse import parse_qs, urlsplit

import registry
from cases import (AUTH, AUTH_REALM, CONTENT, NETWORK, OK, asked_at_most, at, both, challenge,
                   group, never_asked, of_case, realm, tokens)
from registry import Answer

add = group("G01")
SITE, UNUSABLE, DOWN = "another site", "cannot be used", "from https to http is never followed"
for what, url, code, says in (
        ("on another site", "https://other.test/token/REPO", AUTH, SITE),
        ("plain http at the registry's own host", "http://reg.evil.test/token/REPO", NETWORK, DOWN),
        ("plain http at the site's token server", "http://auth.evil.test/token/REPO", NETWORK, DOWN),
        ("the token server by its address", "https://11.1.1.2/token/REPO", AUTH, SITE),
        ("loopback", "https://127.0.0.9/REPO", AUTH, SITE),
        ("loopback, plain", "http://127.0.0.9/REPO", NETWORK, DOWN),
        ("localhost", "https://localhost/REPO", AUTH, SITE),
        ("the metadata service", "https://169.254.169.254/REPO", AUTH, SITE),
        ("the metadata service, plain", "http://169.254.169.254/REPO", NETWORK, DOWN),
        ("the metadata service over IPv6", "https://[fd00:ec2::254]/REPO", AUTH, SITE),
        ("the metadata service, mapped", "https://[::ffff:169.254.169.254]/REPO", AUTH, SITE),
        ("a private address", "https://10.9.9.9/REPO", AUTH, SITE),
        ("127.1 in hexadecimal", "https://0x7f.1/REPO", AUTH, UNUSABLE),
        ("127.1", "https://127.1/REPO", AUTH, UNUSABLE),
        ("an address as one number", "https://2852039166/REPO", AUTH, UNUSABLE),
        ("an address in octal", "https://0251.0376.0251.0376/REPO", AUTH, UNUSABLE),
        ("localhost with a dot", "https://localhost./REPO", AUTH, UNUSABLE),
        ("a zone id", "https://[fe80::1234%25lo]/REPO", AUTH, UNUSABLE),
        ("with a user", "https://eve:x@auth.evil.test/REPO", AUTH, UNUSABLE),
        ("another host as user", "https://auth.evil.test@other.test/REPO", AUTH, UNUSABLE),
        ("with a backslash", "https://other.test\\\\.auth.evil.test/REPO", AUTH, UNUSABLE),
        ("with a fragment", "https://other.test/#.auth.evil.test/REPO", AUTH, UNUSABLE),
        ("file", "file:///etc/passwd", AUTH, UNUSABLE),
        ("gopher", "gopher://127.0.0.9/REPO", AUTH, UNUSABLE),
        ("javascript", "javascript:alert(1)", AUTH, UNUSABLE),
        ("relative", "token", AUTH, UNUSABLE), ("an absolute path", "/token", AUTH, UNUSABLE),
        ("no scheme", "//auth.evil.test/token", AUTH, UNUSABLE),
        ("empty", "", AUTH, "Bearer without a realm"),
        ("port 25", "https://auth.evil.test:25/REPO", NETWORK, "port 25"),
        ("port 22", "https://auth.evil.test:22/REPO", NETWORK, "port 22"),
        ("port 0", "https://auth.evil.test:0/REPO", AUTH, UNUSABLE),
        ("port 65536", "https://auth.evil.test:65536/REPO", AUTH, UNUSABLE),
        ("8 KiB and more", "https://auth.evil.test/" + "x" * 8200, NETWORK, "too long"),
        ("a name that only ends alike", "https://notevil.test/REPO", AUTH, SITE),
        ("the registry's name as a prefix", "https://reg.evil.test.other.test/REPO", AUTH, SITE),
        ("a look-alike in punycode", "https://auth.xn--evl-zza.test/REPO", AUTH, SITE),
        ("a letter that is none", "https://auth.\u0435vil.test/REPO".encode().decode("latin-1"),
         NETWORK, "printable ASCII")):
    add("realm: " + what, realm(url), code, says,
        after=None if says == "port 0" else never_asked("REPO", "auth.evil.test"))

# The site's own names lead astray: the rule of the site lets them pass, dial does not.
for name, what in (("meta", "the metadata service"), ("meta6", "the one over IPv6"),
                   ("mapped", "the mapped one"), ("nat64", "the one behind NAT64"),
                   ("sixtofour", "the one in 6to4"), ("cname", "it by a CNAME"),
                   ("loop", "loopback"), ("loop6", "::1"), ("private", "a private address"),
                   ("ula", "a unique local address"), ("zero", "0.0.0.0"),
                   ("multicast", "a multicast address")):
    add("realm: a name of the site that is " + what, realm("https://%s.evil.test/REPO" % name),
        NETWORK, "never dialled|this pull began at a public address")

def asked_as_nobody(world, case, result):
    """The token server of another site was asked, without credentials."""
    asked = world.server("other.test").asked("^/token/%s(?![a-z])" % case.repo)
    shown = [r.path for r in asked if r.header("Authorization")]
    return "asked %d times, with credentials for %s" % (len(asked), shown) if shown or not asked else None


# Without credentials a realm may be anywhere that is as public as the registry.
add("realm without credentials: another site, which is fine",
    both(realm("https://other.test/token/REPO"), tokens(server="other.test", user=False)), OK,
    host="plain", creds=None, after=asked_as_nobody)
for what, url in (("the metadata service", "http://169.254.169.254/REPO"),
                  ("the metadata service over IPv6", "http://[fd00:ec2::254]/REPO"),
                  ("the cloud's other address", "http://100.100.100.200/REPO"),
                  ("loopback", "http://127.0.0.9/REPO"), ("localhost", "http://localhost/REPO"),
                  ("a private address", "http://192.168.9.9/REPO"),
                  ("behind the carrier's NAT", "http://100.64.9.9/REPO")):
    add("realm without credentials, plain registry: " + what, realm(url), NETWORK,
        "never dialled|this pull began at a public address", host="plain", creds=None)
add("realm from a private registry: loopback", realm("http://127.0.0.9/REPO"), NETWORK,
    "this pull began at a private address", host="private", creds=None)
add("realm from a private registry, credentials at hand: loopback", realm("http://127.0.0.9/REPO"),
    AUTH, SITE, host="private")
add("realm from a loopback registry: the metadata service",
    realm("http://169.254.169.254/REPO"), NETWORK, "never dialled", host="loop", creds=None)

# The header itself.
add("a line end within the realm", at("all", challenge(
    'Bearer realm="https://auth.evil.test/\r\nX-Evil: REPO"')), NETWORK, "quote is not closed")
add("two WWW-Authenticate headers, the second elsewhere", at("all", challenge(
    'Bearer realm="%s"' % AUTH_REALM, 'Bearer realm="https://other.test/token/REPO"')), NETWORK,
    "two bearer tokens", after=never_asked("REPO", "other.test"))
add("two bearer challenges in one header", at("all", challenge(
    'Bearer realm="%s", Bearer realm="https://other.test/"' % AUTH_REALM)), NETWORK,
    "two bearer tokens")
add("Basic beside a realm of another site: no Basic instead", at("all", challenge(
    'Basic realm="x", Bearer realm="https://other.test/REPO"')), AUTH, SITE)
add("Basic beside a good realm, which is fine", both(at("all", challenge(
    'Basic realm="x"', 'Bearer realm="%s"' % AUTH_REALM)), tokens()), OK)
add("only Negotiate", at("all", challenge("Negotiate")), AUTH, "not supported: Negotiate")
add("only NTLM with bytes of its own", at("all", challenge("NTLM TlRMTVNTUAAB")), AUTH,
    "not supported")
add("only Digest", at("all", challenge('Digest realm="x", nonce="Bearer realm=y"')), AUTH,
    "not supported: Digest")
for what, value, says in (
        ("an open quote", 'Bearer realm="https://auth.evil.test', "quote is not closed"),
        ("the realm twice", 'Bearer realm="%s",realm="https://other.test/"' % AUTH_REALM, "twice"),
        ("a parameter without value", "Bearer realm=", "without a realm"),
        ("nothing", "", "empty"), ("only commas", ", , ,", "empty"),
        ("a parameter before any scheme", 'realm="%s"' % AUTH_REALM, "before any scheme"),
        ("a control byte", 'Bearer realm="\x01"', "control byte|printable"),
        ("16 KiB of scope", 'Bearer realm="%s",scope="%s"' % (AUTH_REALM, "s" * 16384),
         "too long")):
    add("header: " + what, at("all", challenge(value)), AUTH if "without a realm" in says else
        NETWORK, says, after=never_asked("REPO", "auth.evil.test"))
add("401 without WWW-Authenticate", at("all", registry.status(401)), AUTH, "credentials are needed")
add("a challenge with status 403", at("all", challenge('Bearer realm="%s"' % AUTH_REALM,
    status=403)), AUTH, "403", after=never_asked("REPO", "auth.evil.test"))


def own_scope(world, case, result):
    """The scope that was asked for is reading this repository, whatever the challenge says."""
    asked = world.server("auth.evil.test").asked("^/token/%s(?![a-z])" % case.repo)
    wanted = ["repository:%s:pull" % case.repo]
    bad = [r.path for r in asked if parse_qs(urlsplit(r.path).query).get("scope") != wanted]
    return "asked for %s" % bad if bad or not asked else None


for what, scope in (("push", "repository:REPO:pull,push"), ("everything", "repository:REPO:*"),
                    ("another repository", "repository:tenant/b:pull"),
                    ("the catalog", "registry:catalog:*"), ("many", "a:b:c " * 150)):
    add("scope of %s: only our own is asked for" % what,
        both(realm(AUTH_REALM, ',scope="%s"' % scope), tokens()), OK, after=own_scope)
add("service with an ampersand: it stays one parameter", both(at("all", challenge(
    'Bearer realm="%s",service="a&scope=repository:x:push"' % AUTH_REALM)), tokens()), OK,
    after=own_scope)
add("upper-case scheme and host, which is fine", both(realm("HTTPS://AUTH.EVIL.TEST/token/REPO"),
    tokens()), OK, after=own_scope)
add("a realm with a query of its own, which is fine", both(realm(AUTH_REALM + "?x=y"), tokens()),
    OK, after=own_scope)

# From files a secret may be for this registry, or none: at another site nobody asks with it.
for what, action, code, says in (
        ("gives everybody what is enough", None, OK, ""),
        ("gives everybody what is not enough", registry.give_token("other"), AUTH,
         "log in at https://other.test, another site"),
        ("wants a login", registry.status(401, [("WWW-Authenticate", 'Basic realm="x"')]), AUTH,
         "asks for credentials; log in first .credentials: none from files: it is another site")):
    add("the file's secret and a token server of another site that " + what,
        both(realm("https://other.test/token/REPO"), tokens(action, "other.test", user=False)), code,
        says, creds="file", after=asked_as_nobody)
add("the realm is another port of the registry's host, plain", realm(
    "http://reg.evil.test:8080/token/REPO"), NETWORK, DOWN)

add = group("G02")


def gives(text, status=200, headers=()):
    """The token server answers that; TOKEN stands for the case's."""
    @of_case
    def make(case):
        body = text.replace(b"TOKEN", case.token.encode())
        return registry.status(status, [("Content-Type", "application/json"), *headers], body)
    return make


def with_tokens(action):
    return both(realm(AUTH_REALM), tokens(action))


once = asked_at_most(1, "^/token/REPO", "auth.evil.test")
ANSWER = "token server's answer is refused"
add("a token that is not taken: one challenge a request", with_tokens(gives(b'{"token":"other"}')),
    AUTH, "refused the credentials", after=once)
add("a token for another service is not taken either", with_tokens(gives(
    b'{"token":"other","service":"elsewhere"}')), AUTH, "refused the credentials", after=once)
for what, text in (("0", b"0"), ("-1", b"-1"), ("10^10", b"10000000000"), ("10^30", b"1e30"),
                   ("text", b'"soon"'), ("an array", b"[1]")):
    add("expires_in %s, which is fine" % what, with_tokens(gives(
        b'{"token":"TOKEN","expires_in":%s}' % text)), OK, after=once)
add("access_token alone, which is fine", with_tokens(gives(b'{"access_token":"TOKEN"}')), OK)
add("a refresh_token as well, which is ignored", with_tokens(gives(
    b'{"token":"TOKEN","refresh_token":"keep-this"}')), OK)
add("token and access_token disagree", with_tokens(gives(
    b'{"token":"TOKEN","access_token":"x"}')), AUTH, "disagree")
for what, text, says in (
        ("nothing", b"", "not one JSON object"), ("an empty object", b"{}", "holds no token"),
        ("an array", b"[]", "not one JSON object"), ("a number", b'{"token":5}', "not a string"),
        ("null", b'{"token":null}', "holds no token"), ("an empty one", b'{"token":""}', "no token"),
        ("a line end", b'{"token":"a\\r\\nX-Evil: 1"}', "bytes that a header must not"),
        ("a space", b'{"token":"a b"}', "bytes that a header must not"),
        ("a NUL", b'{"token":"a\\u0000b"}', "bytes that a header must not|not a string"),
        ("UTF-8", '{"token":"\u00e9"}'.encode(), "bytes that a header must not"),
        ("16 KiB and one byte", b'{"token":"%s"}' % (b"a" * 16385), "longer than 16 KiB"),
        ("twice", b'{"token":"a","token":"b"}', "twice"),
        ("two documents", b'{"token":"TOKEN"}{"token":"x"}', "not one JSON object"),
        ("a page of HTML", b"<html>log in</html>", "not one JSON object"),
        ("a byte order mark", b'\xef\xbb\xbf{"token":"TOKEN"}', "not one JSON object"),
        ("10,000 levels", b'{"x":' + b"[" * 10000 + b"]" * 10000 + b"}", "not JSON|not one JSON")):
    add("token answer: " + what, with_tokens(gives(text)), AUTH, says, after=once)
add("token answer: 1 MiB and one byte", with_tokens(gives(
    b'{"token":"TOKEN"' + b" " * ((1 << 20) + 1 - 30) + b'}' + b" " * 30)), CONTENT, "allowed|longer")
add("token answer: without end", with_tokens(lambda server, request, answer: registry.endless()(
    server, request, Answer(200))), NETWORK, "no length")
add("token answer: compressed", with_tokens(gives(b"\x1f\x8b", headers=[(
    "Content-Encoding", "gzip")])), NETWORK, "compressed in transit")
add("token server: 401 again", with_tokens(registry.status(401, [(
    "WWW-Authenticate", 'Basic realm="x"')])), AUTH, "token server refuses the credentials")
add("token server: 401 to one without credentials", both(realm(AUTH_REALM), tokens(
    registry.status(401, [("WWW-Authenticate", 'Basic realm="x"')]), user=False)), AUTH,
    "asks for credentials", host="plain", creds=None)
add("token server: 401 with a challenge of its own elsewhere", with_tokens(registry.status(401, [(
    "WWW-Authenticate", 'Bearer realm="https://other.test/token"')])), AUTH, "token server",
    after=never_asked("REPO", "other.test"))
add("token server: 403", with_tokens(registry.status(403)), AUTH, "403")
add("token server: 404 is no missing image", with_tokens(registry.status(404)), NETWORK, "404")
add("token server: 500", with_tokens(registry.status(500)), NETWORK, "500", slow=True)
add("token server: it closes", with_tokens(registry.raw(b"")), NETWORK, "auth.evil.test", slow=True)
add("token server: no HTTP", with_tokens(registry.raw(b"220 smtp ready\r\n")), NETWORK, "auth.evil")


def always(server, request, answer):
    return Answer(401, [("WWW-Authenticate", 'Bearer realm="https://auth.evil.test/token/%s"' %
                         request.path.split("/manifests/")[0][4:])], b"{}")


add("no token is ever taken", both(at("all", always), tokens()), AUTH, "refused the credentials",
    after=once)
add("Basic is never taken", at("all", challenge('Basic realm="x"')), AUTH,
    "refused the credentials", after=asked_at_most(3, "REPO"))
add("Basic is asked for, none is at hand", at("all", registry.need_basic("a", "b")), AUTH,
    "demands a login|no credentials for it", host="private", creds=None)

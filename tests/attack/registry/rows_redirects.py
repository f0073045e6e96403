"""G03: redirects. G04: redirects of everything else. G05: layers that are said to be elsewhere."""
import registry
from cases import (AUTH, AUTH_REALM, CONTENT, NETWORK, OK, asked_at_most, at, both, challenge, group,
                   image_of, logged_in, manifest, moved, never_asked, no_login_at, of_case, realm,
                   serves, tokens)
from mkimage import Index
from registry import Answer

add = group("G03")
ELSEWHERE = "https://other.test/moved/REPO/x"
DOWN, CLASS = "from https to http is never followed", "never dialled|this pull began at"


def layer_there(key="other.test"):
    """What the redirects above lead to: the layer, for whoever asks."""
    @of_case
    def make(case):
        return lambda server, request, answer: Answer(200, [(
            "Content-Type", "application/octet-stream")], case.image.layers[-1].blob.read())
    return serves(key, make)


for code in (301, 302, 303, 307, 308):
    add("%d to another host, with a token: it goes without" % code,
        logged_in(moved(ELSEWHERE, code), layer_there()), OK, after=no_login_at("other.test"))
for code in (300, 304, 305, 306):
    add("%d is none that is followed" % code, moved(ELSEWHERE, code), NETWORK, str(code),
        after=never_asked("REPO", "other.test"))
add("to another host, with the file's secret", both(moved(ELSEWHERE), layer_there(), at(
    "all", challenge('Basic realm="x"'))), AUTH, "refused the credentials", creds="file",
    after=never_asked("REPO", "other.test"))
add("to a host that the file has a secret for", both(moved(ELSEWHERE), layer_there()), OK,
    creds="file", after=no_login_at("other.test"))
add("the manifest is elsewhere", logged_in(moved("https://other.testPATH", what="manifest"),
    serves("other.test")), OK, after=no_login_at("other.test"))
add("the config is elsewhere", logged_in(moved("https://other.testPATH", what="config"),
    serves("other.test")), OK, after=no_login_at("other.test"))
add("a cookie on the way", logged_in(moved(ELSEWHERE, headers=[("Set-Cookie", "a=b; Domain=test")]),
    layer_there()), OK, after=no_login_at("other.test"))
add("the registry's own name, another server", logged_in(moved("http://reg.evil.test/x")),
    NETWORK, DOWN, after=never_asked("", "http://reg.evil.test"))
add("to a site's other server", logged_in(moved("https://auth.evil.test/moved/REPO/x"),
    layer_there("auth.evil.test")), OK, after=no_login_at("auth.evil.test"))
add("from https to http", moved("http://other.test/moved/REPO/x"), NETWORK, DOWN,
    after=never_asked("REPO", "http://other.test"))
add("from http to https, which is fine", both(moved(ELSEWHERE), layer_there()), OK, host="plain",
    after=no_login_at("other.test"))
add("from http to http elsewhere", both(moved("http://other.test/moved/REPO/x"),
    layer_there("http://other.test")), OK, host="plain", after=no_login_at("http://other.test"))
add("two slashes: the same scheme elsewhere", both(moved("//other.test/moved/REPO/x"),
    layer_there()), OK, after=no_login_at("other.test"))

INSIDE = (("loopback", "127.0.0.9"), ("localhost", "localhost"), ("::1", "[::1]"),
          ("the metadata service", "169.254.169.254"), ("another cloud's", "100.100.100.200"),
          ("the host agent", "168.63.129.16"), ("the metadata service over IPv6", "[fd00:ec2::254]"),
          ("a mapped address", "[::ffff:169.254.169.254]"), ("NAT64", "[64:ff9b::a9fe:a9fe]"),
          ("a private address", "10.9.9.9"), ("another", "172.16.9.9"), ("a third", "192.168.9.9"),
          ("the carrier's NAT", "100.64.9.9"), ("a unique local address", "[fd00:9::9]"),
          ("this network", "0.0.0.0"), ("a multicast address", "224.0.0.1"),
          ("everybody", "255.255.255.255"), ("the unspecified address", "[::]"))
for what, host in INSIDE:
    add("from a public registry to %s" % what, moved("https://%s/REPO" % host), NETWORK, CLASS)
for what, host in (INSIDE[0], INSIDE[3], INSIDE[6]):
    add("from a public plain registry to %s, plain" % what, moved("http://%s/REPO" % host), NETWORK,
        CLASS, host="plain")
for name in ("meta", "meta6", "loop", "private", "mapped", "nat64", "cname", "zero"):
    add("to a public name that resolves inside (%s)" % name,
        moved("https://%s.evil.test/REPO" % name), NETWORK, CLASS)
add("to a name with one public address that is dead, others inside",
    moved("https://half.evil.test/REPO"), NETWORK, "cannot connect|no connection", slow=True)
add("a name that is another's address at first and then the metadata service's", both(
    moved("https://flip.evil.test/moved/REPO/x", what="config"), serves("other.test", of_case(
        lambda case: registry.raw(b"HTTP/1.1 307 X\r\nConnection: close\r\nLocation: "
                                  b"https://flip.evil.test/moved/%s/y\r\nContent-Length: 0\r\n\r\n" %
                                  case.repo.encode())))),
    NETWORK, "flip.evil.test: 169.254.169.254:443 .* never dialled")
add("from a private registry to loopback", moved("http://127.0.0.9/REPO"), NETWORK, CLASS,
    host="private")
add("from a private registry to another private one", both(moved(
    "http://10.7.0.1:5000/moved/REPO/x"), layer_there("private")), OK, host="private")
add("from a loopback registry to the metadata service", moved("http://169.254.169.254/REPO"),
    NETWORK, "never dialled", host="loop")
add("from a loopback registry to a public one, which is fine", both(moved(
    "http://other.test/moved/REPO/x"), layer_there("http://other.test")), OK, host="loop",
    after=no_login_at("http://other.test"))
add("from a loopback registry to another, which is fine", both(moved(
    "http://127.0.0.2:5000/moved/REPO/x"), layer_there("loop-too")), OK, host="loop",
    after=no_login_at("loop-too"))

for what, place, says in (
        ("file", "file:///etc/passwd", "neither http nor https"),
        ("ftp", "ftp://127.0.0.9/x", "neither http nor https"),
        ("dict", "dict://127.0.0.9:11211/stat", "neither http nor https"),
        ("gopher", "gopher://127.0.0.9:6379/_x", "neither http nor https"),
        ("ldap", "ldap://127.0.0.9/x", "neither http nor https"),
        ("data", "data:text/plain,x", "neither http nor https"),
        ("httpsx", "httpsx://other.test/", "neither http nor https"),
        ("nothing", "", "empty Location|no host|404|307"), ("only a scheme", "https://", "host"),
        ("no slashes", "https:other.test/x", "no //"),
        ("a backslash", "https://other.test\\@127.0.0.9/", "no place there"),
        ("a user", "https://eve:pw@other.test/x", "user name"),
        ("a fragment", "https://other.test/x#y", "no place there"),
        ("a space", "https://other.test/a b", "no place there"),
        ("a control byte", "https://other.test/\x01", "control byte"),
        ("UTF-8", "https://\u0435vil.test/".encode().decode("latin-1"), "no place there"),
        ("octal", "https://0251.0376.0251.0376/", "plain address"),
        ("hexadecimal", "https://0xa9fea9fe/", "plain address"),
        ("one number", "https://2852039166/", "plain address"),
        ("a dot at the end", "https://localhost./", "plain address"),
        ("a zone id", "https://[fe80::1234%lo]/", "IPv6|no place"),
        ("an open bracket", "https://[::1/", "bracket"),
        ("port 22", "https://auth.evil.test:22/", "port 22"),
        ("port 25", "https://auth.evil.test:25/", "port 25"),
        ("port 0", "https://other.test:0/", "from 1 to 65535"),
        ("port 65536", "https://other.test:65536/", "from 1 to 65535"),
        ("no number as port", "https://other.test:x/", "from 1 to 65535"),
        ("9 KiB", "/" + "x" * 9000, "8 KiB|too long"),
        ("64 KiB", "https://other.test/" + "x" * 65536, "8 KiB|too long|header")):
    add("Location: " + what, moved(place), NETWORK, says)
add("two Locations", moved(ELSEWHERE, headers=[("Location", "https://127.0.0.9/")]), NETWORK,
    "two Location")
add("no Location", at("layer", registry.status(307)), NETWORK, "307")
add("a header hidden behind the Location", both(moved(ELSEWHERE + "\r\nX-Evil: 1"), layer_there()),
    OK, after=no_login_at("other.test"))


def hops(count, across=False):
    """The layer is `count` redirects away; across: each leads to the other of two servers."""
    @of_case
    def make(case):
        def act(server, request, answer):
            done = len(request.path) - len(request.path.rstrip("!"))
            if done == count:
                return Answer(200, [], case.image.layers[-1].blob.read())
            other = "other.test" if server is case.home else "reg.evil.test"
            return Answer(307, [("Location", ("https://" + other if across else "") +
                                 request.path + "!")])
        return act
    return both(at("layer", make), serves("other.test", make))


add("a chain of 5 within the registry, which is fine", hops(5), OK)
add("a chain of 6 within the registry", hops(6), NETWORK, "too many redirects")
add("a chain of 5 between two hosts, which is fine", hops(5, True), OK)
add("a chain of 6 between two hosts", hops(6, True), NETWORK, "redirects")
add("a loop of one", moved("PATH"), NETWORK, "too many redirects",
    after=asked_at_most(8, "REPO/blobs/"))  # 6 for this layer, 1 each for the other and the config
add("a loop of two hosts", both(moved("https://other.testPATH"), serves("other.test", of_case(
    lambda case: registry.redirect(lambda path: "https://reg.evil.test" + path)))), NETWORK,
    "redirects", after=asked_at_most(6, "REPO", "other.test"))
add("a relative path with dots stays within the registry", both(moved(
    "../../../../../../moved/REPO/x"), layer_there("reg.evil.test")), OK)
add("there they want a login", both(moved(ELSEWHERE), serves("other.test", challenge(
    'Basic realm="x"'))), AUTH, "none are sent there", after=no_login_at("other.test"))
add("there they want a token of the metadata service", both(moved(ELSEWHERE), serves(
    "other.test", challenge('Bearer realm="https://169.254.169.254/"'))), AUTH,
    "none are sent there")
add("there they want a token of the site that has the secret", both(moved(ELSEWHERE), serves(
    "other.test", challenge('Bearer realm="%s"' % AUTH_REALM)), tokens()), AUTH,
    "none are sent there", after=never_asked("REPO", "auth.evil.test"))
add("there are other bytes", both(moved(ELSEWHERE), serves("other.test", registry.status(
    200, [], b"x" * 30000))), CONTENT, "bytes")
add("nobody is there", moved("https://other.test:1234/x"), NETWORK, "cannot connect", slow=True)


def each_elsewhere(server, request, answer):
    """Another port for each layer."""
    port = 20000 + int(request.path[-4:], 16) % 30000
    return Answer(307, [("Location", "https://other.test:%d%s" % (port, request.path))])


add("40 layers, each at an origin of its own: the others' pulls go on", at("blobs", each_elsewhere),
    NETWORK, "cannot connect", image=lambda case: image_of(case, 40), slow=True)


def at_many_ports(world, case):
    """30 layers at 30 origins that answer: a fetcher each, unless those that are done are ended."""
    for i, layer in enumerate(case.image.layers):
        server = world.serve("port-%d" % i, "11.1.1.3", 0, world.certificates["all"], "other.test")
        server.add(case.image, case.repo)
        case.home.on("/blobs/" + layer.blob.digest, registry.redirect(
            "https://%s/v2/%s/blobs/%s" % (server.host, case.repo, layer.blob.digest)))


add("30 layers at 30 origins that answer, which is fine", at_many_ports, OK,
    image=lambda case: image_of(case, 30), slow=True)

def by_turns(*answers):
    """Each request gets the next answer, the last one for good."""
    turn = [0]

    def act(server, request, answer):
        i = min(turn[0], len(answers) - 1)
        turn[0] += 1
        return answers[i](server, request, answer)
    return act


add = group("G04")
for what, target in (("another site", "https://other.test/token/REPO"),
                     ("the metadata service", "http://169.254.169.254/REPO")):
    add("the token server redirects to %s" % what, both(realm(AUTH_REALM), tokens(of_case(
        lambda case, target=target: registry.redirect(target.replace("REPO", case.repo))))),
        NETWORK, "token server redirects" if "169" not in target else "token server redirects|" +
        DOWN, after=never_asked("REPO", "other.test"))
add("the token server redirects to itself, which is fine", both(realm(AUTH_REALM), tokens(of_case(
    lambda case: by_turns(registry.redirect("https://auth.evil.test/token/%s" % case.repo),
                          registry.give_token(case.token, "eve", case.password))))), OK)
add("/v2/ is not asked, so that nothing can redirect it", None, OK, after=never_asked("^/v2/?$"))
add("only GET is used: HEAD answers otherwise", at("all", registry.status(500), method="HEAD"), OK)
add("the manifest of a digest is another's", both(moved("https://other.testPATH", what="manifest"),
    lambda world, case: world.server("other.test").on("/" + case.repo + "/", registry.status(
        200, [("Content-Type", case.image.media_type)], b"{}"))), CONTENT, "digest|hash",
    pinned=True)
add("another valid manifest for the digest", lambda world, case: case.home.manifest_of.update({
    (case.repo, case.image.manifest.digest): (image_of(case, 1).manifest, case.image.media_type)}),
    CONTENT, "digest|hash", pinned=True)
add("the child manifest is elsewhere", logged_in(moved("https://other.testPATH", what="manifest"),
    serves("other.test")), OK, image=lambda case: Index([image_of(case)]), after=no_login_at("other.test"))


def cut_then_elsewhere(change):
    """The first bytes come from one server, the rest from another."""
    def plan(world, case):
        data = case.image.layers[-1].blob.read()
        case.home.on(case.pattern("layer"), by_turns(
            registry.truncated(len(data) // 2),
            registry.redirect("https://other.test/moved/%s/x" % case.repo)))

        def rest(server, request, answer):
            start = int((request.header("Range") or "bytes=0-").split("=")[1].split("-")[0])
            if not start:
                return Answer(200, [], change(data))
            return Answer(206, [("Content-Range", "bytes %d-%d/%d" % (
                start, len(data) - 1, len(data)))], change(data)[start:])
        world.server("other.test").on("^/moved/%s/" % case.repo, rest)
    return plan


add("a cut layer goes on elsewhere, which is fine", logged_in(cut_then_elsewhere(lambda data: data)),
    OK, slow=True, after=no_login_at("other.test"))
add("a cut layer goes on elsewhere with other bytes", cut_then_elsewhere(registry.flip), CONTENT,
    "digest|hash|damaged", slow=True)

add = group("G05")


def foreign(kind, urls, keep=True):
    def change(body):
        layer = dict(body["layers"][-1], urls=urls)
        if kind:
            layer["mediaType"] = kind
        return dict(body, layers=body["layers"][:-1] + [layer])
    return manifest(change)


NOT_HERE = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
for what, url in (("a host that wants a login", "https://other.test/moved/x"),
                  ("the metadata service", "http://169.254.169.254/x"),
                  ("a private address", "http://10.9.9.9/x"), ("a file", "file:///etc/shadow"),
                  ("plain http", "http://other.test/x")):
    add("a foreign layer at " + what, foreign(NOT_HERE, [url]), CONTENT, "foreign")
    add("a usual layer with urls, ignored: " + what, foreign(None, [url]), OK)
add("Docker's foreign layer", foreign("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", [
    "https://other.test/x"]), CONTENT, "foreign|type")
add("urls of no possible kind, ignored", foreign(None, {"a": 1}), OK)

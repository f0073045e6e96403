"""A registry that lies, stalls, floods, or fishes for secrets."""
import time

from harness import test
from common import Ground
import registry
from registry import Answer

CONTENT, NETWORK, AUTH = 7, 5, 4


def blob_path(image, which=1):
    return "/blobs/" + image.layers[which].blob.digest


@test
def wrong_bodies(t):
    ground, image = Ground(t), t.image("three")
    other = t.image("docker").layers[1].blob.read()
    for action, codes in ((registry.change(registry.flip), [CONTENT]),
                          (registry.change(lambda d: bytes([d[0] ^ 1]) + d[1:]), [CONTENT]),
                          (registry.change(lambda d: d[:-1]), [CONTENT, NETWORK]),
                          (registry.change(lambda d: d + b"x"), [CONTENT, NETWORK]),
                          (registry.change(lambda d: b""), [CONTENT, NETWORK]),
                          (registry.change(lambda d: other), [CONTENT, NETWORK]),
                          (registry.truncated(1), [NETWORK, CONTENT]),
                          (registry.truncated(3000), [NETWORK, CONTENT]),
                          (registry.endless(), [NETWORK, CONTENT])):
        ref = ground.serve(image)
        ground.server.on(blob_path(image), action)
        ground.refused(ref, codes, beside=False)
    ground.good_pull()


@test
def wrong_documents(t):
    ground, image = Ground(t), t.image("three")
    for path in ("/manifests/latest", "/blobs/" + image.config.digest):
        for action in (registry.change(lambda d: d + b" "), registry.change(lambda d: d[:-2]),
                       registry.truncated(5), registry.endless(), registry.change(lambda d: b"")):
            ref = ground.serve(image)
            ground.server.on(path, action)
            pinned = ref.rsplit(":", 1)[0] + "@" + image.manifest.digest
            ground.server.on("/manifests/sha256", action)
            ground.refused(pinned if "manifests" in path else ref, [NETWORK, CONTENT],
                           beside=False)
    ground.good_pull()


@test
def broken_http(t):
    ground, image = Ground(t), t.image("tiny")
    length = b"HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n"
    for action in (registry.raw(b""), registry.raw(b"\0" * 100), registry.raw(b"SSH-2.0-x\r\n"),
                   registry.raw(b"HTTP/1.1 200 OK\r\n"), registry.raw(length % b"-1"),
                   registry.raw(length % b"99999999999999999999999"),
                   registry.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nx"),
                   registry.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                b"ffffffffffffffff\r\nx"),
                   registry.raw(b"HTTP/1.1 200 OK\r\nX: " + b"a" * (11 << 20)),
                   registry.header_flood(1200), registry.header_flood(100000),
                   registry.raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 200000),
                   registry.set_header("Content-Encoding", "gzip"),
                   registry.status(500), registry.status(503, [("Retry-After", "9999999999")]),
                   registry.status(204), registry.status(206), registry.status(999)):
        for path in ("/manifests/", blob_path(image, 0)):
            ref = ground.serve(image)
            ground.server.on(path, action)
            ground.refused(ref, [NETWORK, CONTENT], beside=False)
    ground.good_pull()


@test
def nobody_there(t):
    ground = Ground(t)
    begun = time.monotonic()
    ground.refused("127.0.0.1:%d/attack/none:1" % registry.free_port(), NETWORK, beside=False)
    ground.refused("no-such-host.invalid:5000/attack/none:1", NETWORK, timeout=40)
    t.ok(time.monotonic() - begun < 40, "took too long")


@test(long=True)
def a_registry_that_stalls(t):
    """60 seconds without a byte end the pull; meanwhile others go on."""
    ground, image = Ground(t), t.image("three")
    for path, action in (("/manifests/", registry.stall(0, whole_head=False)),
                         (blob_path(image), registry.stall(1000))):
        ref = ground.serve(image)
        ground.server.on(path, action)
        ground.refused(ref, [NETWORK, 8], timeout=150)


@test
def a_pull_beside_one_that_stalls(t):
    """A stalled pull holds nobody up, and ends at once when told to."""
    ground, image = Ground(t), t.image("three")
    ref = ground.serve(image)
    ground.server.on(blob_path(image), registry.stall(1000))
    job = t.start(t.bulkhead_argv(ground.store, "pull", "--tls-verify=false", ref))
    while not ground.server.asked(blob_path(image)):
        time.sleep(0.01)
    for _ in range(3):
        ground.good_pull()
    t.ok(job.poll() is None, "the stalled pull ended")
    job.terminate()
    result = t.finish(job, 10)
    t.ok(result.code != 0 and not result.out, result)
    t.eq(ground.store.staging(), [], "staging")


@test
def redirects(t):
    ground, image = Ground(t), t.image("tiny")
    hop = registry.redirect(lambda path: path + "x")
    for place, codes in (("file:///etc/passwd", [NETWORK, CONTENT]), ("ftp://127.0.0.1/x", [5, 7]),
                         ("http://169.254.169.254/latest/meta-data", [NETWORK]),
                         ("//169.254.169.254/x", [5, 7]), ("http://[fe80::1]/x", [5, 7]),
                         ("gopher://127.0.0.1/x", [5, 7]), ("", [5, 7]), ("http://", [5, 7]),
                         ("http://a\\b/", [5, 7]), ("/" + "x" * 9000, [5, 7]),
                         ("http://user:pw@127.0.0.1:1/x", [5, 7])):
        ref = ground.serve(image)
        ground.server.on(blob_path(image, 0), registry.redirect(place))
        ground.refused(ref, codes, beside=False)
    ref = ground.serve(image)
    ground.server.on("/blobs/", hop)
    ground.refused(ref, [NETWORK, CONTENT], beside=False)
    t.ok(len(ground.server.asked("/blobs/")) <= 14, "redirects followed without end")
    ground.good_pull()


@test
def redirect_chain_at_its_limit(t):
    """Five hops are followed, six are not."""
    ground, image = Ground(t), t.image("tiny")
    for hops, good in ((5, True), (6, False)):
        ref = ground.serve(image)
        digest = image.layers[0].blob.digest

        def answer(server, request, usual, hops=hops):
            done = len(request.path) - len(request.path.rstrip("!"))
            if done == hops:
                blob = image.layers[0].blob
                return Answer(200, [("Content-Type", "application/octet-stream")], blob.read())
            return Answer(307, [("Location", request.path + "!")])

        ground.server.on("/blobs/" + digest, answer)
        if good:
            t.pull(t.store(), ref)
        else:
            ground.refused(ref, [NETWORK, CONTENT], beside=False)


@test
def token_realms_that_fish(t):
    """No realm but an allowed one sees the password; the bait is never dialled."""
    ground, image, password = Ground(t), t.image("tiny"), "canary-90210"
    bait = t.scripted()
    secret = registry.basic("bob", password).split()[1]
    for realm in ("http://169.254.169.254/token", "file:///etc/passwd", "http://[fe80::1]/t",
                  "gopher://127.0.0.1/t", "", "token", "http://u:p@127.0.0.1:1/t",
                  "http://127.0.0.1:%d/\r\nX-Evil: 1" % bait.port):
        ref = ground.serve(image)
        ground.server.on("^/v2/", registry.need_bearer(realm, "tok"))
        ground.refused(ref, [AUTH, NETWORK, CONTENT], "--creds", "bob:" + password, beside=False)
        t.ok(not ground.server.saw(secret), "the registry got the password for", realm)
    t.eq(bait.requests, [], "the bait was asked")
    ground.good_pull()


@test
def tokens_that_are_none(t):
    ground, image = Ground(t), t.image("tiny")
    tokens = t.scripted()
    for body in (b"", b"{}", b"[]", b'{"token": 5}', b'{"token": ""}',
                 b'{"token": "a\\r\\nX-Evil: 1"}', b'{"token":"x"' + b" " * (1 << 20) + b"}",
                 b'{"token": "%s"}' % (b"a" * 20000), b'{"token":"a","token":"b"}',
                 b'{"token": "wrong-token"}'):
        tokens.clear()
        tokens.on("^/token", registry.status(200, [("Content-Type", "application/json")], body))
        ref = ground.serve(image)
        ground.server.on("^/v2/", registry.need_bearer(tokens.url + "/token", "tok"))
        ground.refused(ref, [AUTH, NETWORK, CONTENT], beside=False)
        t.ok(not ground.server.saw("X-Evil"), "a header was injected")
        t.ok(len(tokens.asked("^/token")) <= 3, "asked for tokens without end")
    ground.good_pull()


@test
def a_secret_stays_with_its_origin(t):
    """authfile with two registries: each sees its own, a redirect target none."""
    import base64
    image, store = t.image("tiny"), t.store()
    one, two, target = t.scripted(), t.scripted(), t.scripted()
    auths = {s.host: {"auth": base64.b64encode(b"u:canary-%d" % i).decode()}
             for i, s in enumerate((one, two, target))}
    path = t.write("auth.json", {"auths": auths})
    ref = one.add(image, "attack/secrets")
    target.add(image, "attack/secrets")
    one.on("/blobs/", registry.redirect(lambda p: target.url + p))
    t.pull(store, "--authfile", path, ref)
    for server in (two, target):
        for i in range(3):
            t.ok(not server.saw(auths[list(auths)[i]]["auth"]), "secret", i, "leaked")
    t.eq(two.connections, 0, "connections to a registry nobody named")


@test
def header_injection_and_cookies(t):
    """Nothing that a registry sends is remembered or reflected."""
    ground, image = Ground(t), t.image("three")
    ref = ground.serve(image)
    ground.server.on("/v2/", lambda s, request, answer: answer.set(
        "Set-Cookie", "evil=1; Path=/").set("Alt-Svc", 'h2="127.0.0.1:1"'))
    t.pull(t.store(), ref)
    t.ok(not ground.server.saw("evil=1"), "a cookie came back")


@test
def registry_wants_more_time_than_is_good(t):
    """A body of 1 byte a second is refused by its stall rule or goes on; Ctrl-C always works."""
    ground, image = Ground(t), t.image("tiny")
    ref = ground.serve(image)
    ground.server.rate = 2000
    job = t.start(t.bulkhead_argv(ground.store, "pull", "--tls-verify=false", ref))
    time.sleep(1.5)
    t.ok(job.poll() is None, "it ended early")
    job.terminate()
    t.ok(t.finish(job, 10).code != 0, "exit")
    ground.server.rate = None
    ground.good_pull()

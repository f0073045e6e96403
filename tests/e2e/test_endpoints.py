"""Registries that fail for the moment, mirrors that lack or spoil something, layers that are cut."""
import email.utils
import json
import os
import re
import time

from harness import test
from node import Node
import mkimage
import registry
import images

NOT_FOUND, AUTH, NETWORK, CONTENT = 1, 4, 5, 7


class Place:
    """up.example is `upstream`, with mirrors before it."""

    def __init__(self, t, mirrors=1, **settings):
        self.t, self.upstream = t, t.scripted()
        self.mirrors = [t.scripted() for _ in range(mirrors)]
        text = '[[registry]]\nprefix = "up.example"\nlocation = "%s"\n' % self.upstream.host
        for mirror in self.mirrors:
            text += '[[registry.mirror]]\nlocation = "%s/copy"\n' % mirror.host
        self.settings = dict(settings, registries_conf=t.write("registries.conf", text))
        self.config, self.store = t.config(**self.settings), t.store()

    def serve(self, image, name="app"):
        self.upstream.add(image, name)
        for mirror in self.mirrors:
            mirror.add(image, "copy/" + name)
        self.ref = "up.example/%s:latest" % name
        return self.ref

    def pull(self, expect=0, *args):
        return self.t.bulkhead(self.store, "pull", "--progress", "plain", *args, self.ref,
                               config=self.config, expect=expect)

    def whole(self, image):
        self.t.eq(self.t.bulkhead(self.store, "images", "-q", "--no-trunc").out.strip()[-64:],
                  image.config.digest[-64:], "the image")


def fresh(t, label, size=0):
    """An image of its own: nothing of it is in any store."""
    tar = images.base(t.session).add("opt/" + label, os.urandom(size or 100))
    return mkimage.Image([mkimage.layer(tar)], cmd=["/bin/hello"])


def blob(image):
    return "/blobs/" + image.layers[0].blob.digest


@test
def registries_that_fail_for_the_moment(t):
    """503, a reset, an answer that is cut: tried again, and in the end there is an image."""
    server, image, store = t.scripted(), fresh(t, "moment"), t.store()
    ref = server.add(image, "e/moment")
    server.on("/manifests/", registry.status(503), times=1)
    server.on("/manifests/", registry.raw(b""), times=1)
    server.on("/blobs/" + image.config.digest, registry.truncated(3), times=1)
    server.on(blob(image), registry.status(502), times=2)
    t.pull(store, ref)
    t.eq(len(server.asked("/manifests/")), 3, "manifests asked for")
    t.eq(len(server.asked(blob(image))), 3, "blobs asked for")
    # only so often, and never what is refused for good
    for code, often in ((500, 4), (404, 1), (403, 1), (400, 1)):
        server.clear()
        server.on("/manifests/", registry.status(code))
        t.pull(t.store(), ref, expect=[NOT_FOUND, AUTH, NETWORK])
        t.eq(len(server.asked("/manifests/")), often, "%d was asked for" % code)
    server.clear()
    server.on("/manifests/", registry.status(500))
    t.pull(t.store(), ref, config=t.config(pull_retries=0), expect=NETWORK)
    t.eq(len(server.asked("/manifests/")), 1, "pull_retries = 0")


@test
def cut_layers_go_on(t):
    """With ranges only what is missing comes again; without them it is read and thrown away."""
    for ranges in (True, False):
        server, image = t.scripted(), fresh(t, "cut", 3 << 20)
        ref, size = server.add(image, "e/cut"), image.layers[0].blob.size
        sent = []

        def answer(scripted, request, usual):
            data, asked = registry.body_of(usual), request.header("Range")
            first = int(re.match(r"bytes=(\d+)-$", asked).group(1)) if ranges and asked else 0
            head = registry.Answer(206 if first else 200, usual.headers, data[first:])
            if first:
                head.set("Content-Range", "bytes %d-%d/%d" % (first, size - 1, size))
            if len(sent) >= 3:
                return head
            part = data[first:][:500000 * (1 if ranges else len(sent) + 1)]
            sent.append(len(part))
            request.conn.sendall(head.head() + part)
            return None
        server.on(blob(image), answer)
        t.pull(t.store(), ref)
        asked = [r.header("Range") for r in server.asked(blob(image))]
        t.eq((len(asked), asked[0]), (4, None), "requests for the layer")
        firsts = [int(a[6:-1]) for a in asked[1:]]
        t.ok(firsts == sorted(firsts) and firsts[0] > 0, "it does not go on:", asked)


@test
def a_lie_in_the_rest_is_found(t):
    """The digest is that of the whole stream, wherever its parts come from."""
    server, image, store = t.scripted(), fresh(t, "rest", 1 << 20), t.store()
    ref = server.add(image, "e/rest")

    def answer(scripted, request, usual):
        data, asked = registry.body_of(usual), request.header("Range")
        if not asked:
            usual.length, usual.body = str(len(data)), data[:300000]
            server.send(request.conn, usual, request)
            return None
        first = int(asked[6:-1])
        rest = registry.flip(data)[first:]
        return registry.Answer(206, usual.headers, rest).set(
            "Content-Range", "bytes %d-%d/%d" % (first, len(data) - 1, len(data)))
    server.on(blob(image), answer)
    t.pull(store, ref, expect=CONTENT)
    t.eq(store.staging(), [], "staging")


@test
def registries_that_ask_for_time(t):
    """Retry-After holds for all pulls of the node, as seconds and as a date; too long is too long."""
    server, store = t.scripted(), t.store()
    one, two = fresh(t, "one"), fresh(t, "two")
    refs = server.add(one, "e/one"), server.add(two, "e/two")
    node = Node(t, store, retry_after_max=5, insecure_registries=[server.host])
    for form in ("seconds", "date"):
        server.requests = []
        until = [0.0]

        def busy(scripted, request, usual):
            now = time.time()
            value = "3" if form == "seconds" else email.utils.formatdate(now + 3, usegmt=True)
            until[0] = time.monotonic() + 2.9
            return registry.Answer(429, [("Retry-After", value), (
                "Date", email.utils.formatdate(now, usegmt=True))])
        server.on("e/one/manifests/", busy, times=1)
        first = t.start(node.argv("pull", refs[0]))
        while not until[0]:
            time.sleep(0.01)
        node.command("pull", refs[1])
        t.eq(t.finish(first).code, 0, "the pull that was asked to wait")
        early = [r.path for r in server.requests[1:] if r.when < until[0]]
        t.eq(early, [], "asked again before the time")
        for ref in refs:
            node.command("rmi", ref)
    server.on("/manifests/", registry.status(429, [("Retry-After", "6")]))
    begun = time.monotonic()
    result = node.command("pull", refs[0], expect=NETWORK)
    t.has(result.err, "asks to wait 6 s", "the message")
    t.ok(time.monotonic() - begun < 5, "it waited")
    node.nothing_left()


@test
def a_wait_ends_with_its_pull(t):
    """Cancelled, or out of time: at once, whatever a registry asked for."""
    server, image, store = t.scripted(), fresh(t, "wait"), t.store()
    ref = server.add(image, "e/wait")
    server.on("/manifests/", registry.status(503, [("Retry-After", "50")]))
    job = t.start(t.bulkhead_argv(store, "pull", "--tls-verify=false", ref))
    while not server.asked("/manifests/"):
        time.sleep(0.01)
    time.sleep(0.3)
    t.ok(job.poll() is None, "it does not wait")
    begun = time.monotonic()
    job.terminate()
    t.ok(t.finish(job, 20).code != 0, "exit")
    t.ok(time.monotonic() - begun < 15, "the wait went on")
    t.eq(len(server.asked("/manifests/")), 1, "asked")


@test
def mirrors_that_lack_something(t):
    """The name, the child manifest, the config, a layer: the rest still comes from the mirror."""
    for lacks in ("index", "child", "config", "layer"):
        place, image = Place(t), mkimage.Index([fresh(t, lacks)])
        place.serve(image)
        mirror = place.mirrors[0]
        child = [m for m, _ in image.manifests() if m.digest != image.manifest.digest][0]
        inner = json.loads(child.read())
        missing = {"index": "/manifests/latest", "child": "/manifests/" + child.digest,
                   "config": "/blobs/" + inner["config"]["digest"],
                   "layer": "/blobs/" + inner["layers"][0]["digest"]}[lacks]
        mirror.on(re.escape(missing), registry.status(404))
        place.pull()
        t.ok(mirror.asked(re.escape(missing)), lacks, "was not asked of the mirror")
        t.ok(place.upstream.asked(re.escape(missing)), lacks, "was not asked of the registry")
        if lacks != "index":
            t.eq(len(place.upstream.requests), 1, "asked of the registry: only " + lacks)
        t.ok(all("ns=up.example" in r.path or "ns=127.0.0.1" in r.path for r in
                 mirror.asked("/v2/.+/")), "?ns= for the mirror:", mirror.requests[0].path)
        t.ok(not place.upstream.asked("ns="), "?ns= for the registry")


@test
def mirrors_that_are_dead_or_lie(t):
    """Wrong bytes, a cut layer, nobody there: the next one has it, and the log says so."""
    for which in ("dead", "wrong-layer", "wrong-config", "cut", "page", "refuses"):
        place, image = Place(t, 2, pull_retries=1), fresh(t, which, 1 << 20)
        place.serve(image)
        bad, good = place.mirrors
        if which == "dead":
            bad.stop()
        elif which == "wrong-layer":
            bad.on(blob(image), registry.change(registry.flip))
        elif which == "wrong-config":
            bad.on("/blobs/" + image.config.digest, registry.change(registry.flip))
        elif which == "page":
            bad.on("/manifests/", registry.status(200, [("Content-Type", "text/html")], b"<html>"))
        elif which == "refuses":
            bad.on("/v2/", registry.status(403))
        else:
            first = []

            def cut(server, request, usual):
                if first:
                    return registry.Answer(500)
                first.append(1)
                data = registry.body_of(usual)
                usual.length, usual.body = str(len(data)), data[:400000]
                server.send(request.conn, usual, request)
                return None
            bad.on(blob(image), cut)
        result = place.pull()
        t.eq(place.upstream.requests, [], "the registry was asked: " + which)
        t.has(result.err, "goes on at https://" + good.host, which)
        place.whole(image)
        if which == "cut":
            t.ok(any(r.header("Range") for r in good.asked(blob(image))), "it began anew")


@test
def all_endpoints_fail(t):
    """Each is named with its own reason, in one line."""
    place = Place(t, 2)
    place.serve(fresh(t, "none"))
    place.mirrors[0].on("/manifests/", registry.status(404))
    place.mirrors[1].on("/manifests/", registry.status(403))
    place.upstream.on("/manifests/", registry.status(400))
    result = place.pull(expect=NETWORK)
    line = [l for l in result.err.strip().split("\n") if "no endpoint" in l][-1]
    for server, code in zip(place.mirrors + [place.upstream], ("404", "403", "400")):
        t.ok(re.search(re.escape(server.host) + r"\S* answers " + code, line), server.host, line)


@test
def the_fallback_is_configured(t):
    """never and on-not-found: the registry is asked only as it says."""
    for mode, answer, code, asked in (("never", 404, NOT_FOUND, False), ("never", 500, NETWORK, False),
                                      ("on-not-found", 404, 0, True),
                                      ("on-not-found", 500, NETWORK, False),
                                      ("on-not-found", 403, AUTH, False),
                                      ("always", 403, 0, True)):
        place = Place(t, 1, fallback=mode, pull_retries=0)
        place.serve(fresh(t, mode))
        place.mirrors[0].on("/manifests/", registry.status(answer))
        place.pull(expect=code)
        t.eq(bool(place.upstream.requests), asked, "%s after %d: asked" % (mode, answer))


@test
def a_dead_mirror_is_passed_over(t):
    """For a while: the second pull does not try it."""
    place = Place(t, 1)
    node = Node(t, place.store, **place.settings)
    first, second = fresh(t, "first"), fresh(t, "second")
    place.serve(first, "first")
    place.mirrors[0].on("/v2/", registry.status(500))
    node.command("pull", "up.example/first:latest")
    asked = len(place.mirrors[0].requests)
    t.ok(asked > 0, "the mirror was not asked")
    place.serve(second, "second")
    node.command("pull", "up.example/second:latest")
    t.eq(len(place.mirrors[0].requests), asked, "requests to the mirror that failed")
    t.has(node.logs(), "goes on at", "the log")
    t.ok(node.metric("bulkhead_endpoints_passed_total") >= 1, "the metric")


@test
def each_endpoint_has_its_own_credentials(t):
    """A mirror is sent what the files have for it, the registry what came with the request."""
    place, image = Place(t), fresh(t, "creds")
    place.serve(image)
    import base64
    auth = {"auths": {place.mirrors[0].host: {"auth": base64.b64encode(b"m:mirror-canary").decode()}}}
    place.mirrors[0].on("/v2/", registry.need_basic("m", "mirror-canary"))
    place.mirrors[0].on("/blobs/", registry.status(404))
    place.config = t.config(authfile=t.write("auth.json", auth), **place.settings)
    place.mirrors[0].rules.reverse()
    place.pull(0, "--creds", "u:given-canary")
    given, mirrors = (registry.basic(*p).split()[1] for p in (
        ("u", "given-canary"), ("m", "mirror-canary")))
    t.ok(place.mirrors[0].saw(mirrors), "the mirror did not get its own")
    t.ok(not place.mirrors[0].saw(given), "the mirror got the request's")
    t.ok(not place.upstream.saw(mirrors), "the registry got the mirror's")


@test
def a_layer_in_parts(t):
    """Over several connections where the server allows, the same image either way."""
    image = fresh(t, "parts", 13 << 20)
    for ranges in (True, False):
        server = t.scripted()
        ref = server.add(image, "e/parts")
        if ranges:
            server.on(blob(image), registry.parts)
        store = t.store()
        t.pull(store, ref, config=t.config(layer_range_fetch=4))
        asked = [r.header("Range") for r in server.asked(blob(image))]
        t.ok(asked[0] == "bytes=0-2097151", asked)
        t.eq(len(asked) > 5, ranges, "parts %s" % asked)

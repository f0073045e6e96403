"""PullImage: credentials, deadlines, cancellation, equal pulls that share, what errors say."""
import base64
import json
import threading
import time

from harness import test
from cri import ended
from node import Node
from test_cri import plain, refusal
import mkimage
import registry
from tarmake import Tar

SECRET = "canary-secret-4711"


def until(t, what, condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        t.ok(time.monotonic() < deadline, "waited in vain for", what)
        time.sleep(0.01)


@test
def by_tag_by_none_by_digest(t):
    """The answer is the image's ID, and its names are those of the request."""
    real, image = t.real(), plain("pulled")
    real.push(image, "cri/pulled", "v1")
    real.push(image, "cri/pulled")
    base, digest = real.host + "/cri/pulled", image.manifest.digest
    node = Node(t)
    client = node.client()
    for ref, tags in ((base + ":v1", [base + ":v1"]), (base, [base + ":latest"]),
                      (base + "@" + digest, []), (base + ":v1@" + digest, [])):
        t.eq(client.pull(ref), image.id, ref)
        found = client.status(ref)
        t.eq((found.id, list(found.repo_tags), list(found.repo_digests)),
             (image.id, tags, [base + "@" + digest]), ref)
        t.eq([i.id for i in client.list()], [image.id], "the list, at once")
        client.remove(image.id)
        t.eq(client.list(), [], "the list after RemoveImage, at once")
    t.eq(client.pull(base), client.pull(base), "again")


@test
def what_is_not_there(t):
    real, node = t.real(), Node(t)
    client = node.client()
    real.push(plain("there"), "cri/there")
    text = refusal(t, "NOT_FOUND", client.pull, real.host + "/cri/there:none")
    t.has(text, real.host, "names the endpoint")
    refusal(t, "NOT_FOUND", client.pull, real.host + "/cri/there@sha256:" + "0" * 64)
    refusal(t, "NOT_FOUND", client.pull, real.host + "/cri/nowhere")
    # kubelet strips code UNKNOWN alone and then compares how the text begins
    port = registry.closed_port(t)
    text = refusal(t, "UNKNOWN", client.pull, "127.0.0.1:%d/x/y:1" % port)
    t.ok(text.startswith("RegistryUnavailable"), text)
    t.has(text, "127.0.0.1:%d" % port, "names the endpoint")
    t.eq((node.store.images(), client.list()), ([], []), "images")
    node.nothing_left()


@test
def refused_by_policy(t):
    real, image = t.real(), plain("forbidden")
    ref = real.push(image, "cri/forbidden")
    node = Node(t, policy={"default": [{"type": "reject"}]})
    text = refusal(t, "UNKNOWN", node.client().pull, ref)
    t.ok(text.startswith("SignatureValidationFailed"), text)
    t.has(text, "policy.json", "which file decided")
    t.eq(node.store.images(), [], "images")


@test
def the_registrys_own_message(t):
    server, node = t.scripted(), Node(t)
    server.on("/manifests/", registry.status(403, [("Content-Type", "application/json")],
              b'{"errors":[{"code":"DENIED","message":"pay first"}]}'))
    text = refusal(t, ["PERMISSION_DENIED", "UNAUTHENTICATED", "UNKNOWN"], node.client().pull,
                   server.host + "/cri/denied:1")
    t.has(text, "pay first", "the registry's message")
    server.clear()
    server.on("/manifests/", registry.status(500))
    refusal(t, ["UNKNOWN", "UNAVAILABLE"], node.client().pull, server.host + "/cri/broken:1")


def no_secret(t, node, *texts):
    encoded = base64.b64encode(("user:" + SECRET).encode()).decode()
    for where, text in [("answer", x) for x in texts] + [("log", node.logs())]:
        t.ok(SECRET not in text and encoded not in text, "the secret is in the", where)


@test
def credentials(t):
    """Each form of AuthConfig at a registry with htpasswd; wrong ones tell nothing."""
    server, image = t.real(user="user", password=SECRET), plain("locked")
    ref = server.push(image, "cri/locked")
    node = Node(t)
    client = node.client()
    packed = base64.b64encode(("user:" + SECRET).encode()).decode()
    for auth in ({"username": "user", "password": SECRET}, {"auth": packed},
                 {"username": "user", "password": SECRET, "server_address": server.host},
                 {"auth": packed, "server_address": "http://" + server.host}):
        t.eq(client.pull(ref, **auth), image.id, sorted(auth))
        client.remove(ref)
    texts = [refusal(t, "UNAUTHENTICATED", client.pull, ref, **auth) for auth in (
        {}, {"username": "user", "password": SECRET + "x"}, {"username": "user"},
        {"auth": base64.b64encode(b"user:nope").decode()},
        {"username": "user", "password": SECRET, "server_address": "other.example"},
        {"registry_token": SECRET})]
    for bad in ("!!!", "bm8gY29sb24="):
        texts.append(refusal(t, ["INVALID_ARGUMENT", "UNAUTHENTICATED"], client.pull, ref, auth=bad))
    t.has(texts[0], server.host, "names the endpoint")
    t.eq(node.store.images(), [], "images")
    no_secret(t, node, *texts, node.command("ps").out)
    refusal(t, "UNAUTHENTICATED", client.pull, ref)  # presence and an earlier pull give no right


@test
def tokens_of_registries(t):
    """registry_token goes as Bearer; identity_token only to the realm's server."""
    server, tokens, image, node = t.scripted(), t.scripted(), plain("token"), Node(t)
    ref, client = server.add(image, "cri/token"), node.client()
    server.on("^/v2/", registry.need_bearer(tokens.url + "/token", "canary-bearer"))
    t.eq(client.pull(ref, registry_token="canary-bearer"), image.id, "registry_token")
    t.eq(tokens.requests, [], "the token server was not asked")
    client.remove(ref)
    seen = []

    def give(s, request, answer):
        seen.append(request)
        return registry.give_token("canary-bearer")(s, request, answer)
    tokens.on("^/token", give)
    t.eq(client.pull(ref, identity_token=SECRET), image.id, "identity_token")
    t.ok(seen and not server.saw(SECRET), "where the identity token went")
    no_secret(t, node)


@test
def a_pull_whose_credentials_are_wrong_is_not_the_others(t):
    """A present image, and equal pulls with other credentials: none rides on another's."""
    server, image, node = t.scripted(), plain("mine"), Node(t)
    ref, client = server.add(image, "cri/mine"), node.client()
    gate = registry.hold(2)
    server.on("/manifests/", lambda s, request, answer: registry.need_basic("user", SECRET)(
        s, request, gate(s, request, answer)))
    good = client.begin_pull(ref, username="user", password=SECRET)
    bad = client.begin_pull(ref, username="user", password="wrong")
    t.eq(ended(bad)[0], "UNAUTHENTICATED", "the wrong one")
    t.eq(ended(good), ("OK", image.id), "the right one")
    t.ok(len({r.header("Authorization") for r in server.asked("/manifests/")}) >= 2,
         "they shared a request")


# Deadlines and cancellation ----------------------------------------------------------------

@test
def deadlines(t):
    """The server's own: grpc-timeout by hand, down to a nanosecond; nothing is left."""
    server, image, node = t.scripted(), t.image("three"), Node(t)
    ref, client = server.add(image, "cri/deadline"), node.client()
    server.rate = 20000
    request = client.pull_request(ref)
    for timeout, seconds in (("1m", 0), ("1n", 0), ("1u", 0), ("500m", 0.5), ("1S", 1)):
        with node.raw() as conn:
            begun = time.monotonic()
            answer = conn.call("PullImage", request, [("grpc-timeout", timeout)])
            took = time.monotonic() - begun
            t.eq(answer.code, 4, "DEADLINE_EXCEEDED after %s: %s" % (timeout, answer.text))
            t.ok(seconds - 0.05 <= took < seconds + 0.7, timeout, "took", took)
            node.nothing_left()
            t.eq(conn.call("ListImages").code, 0, "the connection serves on")
    refusal(t, "DEADLINE_EXCEEDED", client.pull, ref, timeout=0.001)
    with node.raw() as conn:
        for bad in ("", "1", "m", "1x", "123456789S", "-1S", "1.5S"):
            t.ok(conn.call("ListImages", extra=[("grpc-timeout", bad)]).code in (0, 3, 13), bad)
    node.nothing_left()
    t.eq((node.store.images(), node.store.layers(), node.store.strays()), ([], [], []), "store")
    server.rate = None
    t.eq(client.pull(ref), image.id, "and then it goes")


@test
def cancelled_by_the_client(t):
    """By RST_STREAM, by closing the connection: rooms, staging, connections end at once."""
    server, image, node = t.scripted(), t.image("three"), Node(t)
    ref, client = server.add(image, "cri/cancel"), node.client()
    server.rate = 20000
    for way in ("reset", "close", "before anything"):
        server.clear()
        other = node.client()
        pull = other.begin_pull(ref)
        if way != "before anything":
            until(t, "a blob's request", server.blobs_asked)
        pull.cancel() if way != "close" else other.close()
        node.nothing_left(20)  # it would go on for minutes
        until(t, "ps without it", lambda: "cri/cancel" not in node.command("ps").out, 20)
    t.eq((node.store.images(), node.store.layers(), node.store.strays()), ([], [], []), "store")
    server.rate = None
    t.eq(client.pull(ref), image.id, "and then it goes")


@test
def equal_pulls_share(t):
    """Ten at once at Debian's registry: every blob is downloaded once."""
    real, image, node = t.real(), t.image("three"), Node(t)
    ref = real.push(image, "cri/share")
    clients = [node.client() for _ in range(10)]
    for client in clients:
        client.when_there()
    mark = real.mark()
    pulls = [c.begin_pull(ref) for c in clients]
    t.eq([ended(p) for p in pulls], [("OK", image.id)] * 10, "answers")
    t.eq(real.blobs_since(mark, sorted), sorted({b.digest for b in image.blobs()}), "downloads")


@test
def the_first_caller_may_go(t):
    """A shared pull lives as long as one waits; then it ends."""
    server, image, node = t.scripted(), t.image("three"), Node(t)
    ref = server.add(image, "cri/first")
    server.rate = 30000
    clients = [node.client() for _ in range(4)]
    pulls = [clients[0].begin_pull(ref)]
    until(t, "a blob's request", server.blobs_asked)
    pulls += [c.begin_pull(ref) for c in clients[1:]]
    until(t, "four waiters", lambda: [row["Waiters"] for row in json.loads(
        node.command("ps", "--format", "json").out)] == [4])
    pulls[0].cancel()
    pulls[1].cancel()
    time.sleep(0.3)
    t.ok(not pulls[2].done() and not pulls[3].done(), "the others ended with the first")
    server.rate = None
    t.eq([ended(p) for p in pulls[2:]], [("OK", image.id)] * 2, "the others")
    blobs = [r.path for r in server.asked("/blobs/")]
    t.eq(len(blobs), len(set(blobs)), "requests of blobs")
    client = clients[0]
    client.remove(ref)
    server.clear()
    server.rate = 20000
    pulls = [c.begin_pull(ref) for c in clients]
    until(t, "a blob's request", server.blobs_asked)
    for pull in pulls:
        pull.cancel()
    node.nothing_left(20)


@test
def other_namespaces_do_not_share(t):
    server, image, node = t.scripted(), plain("spaces"), Node(t)
    ref, client = server.add(image, "cri/spaces"), node.client()
    server.on("/manifests/latest", registry.hold(2))  # answers nobody before two have asked
    pulls = [client.begin_pull(ref, namespace=n) for n in ("one", "two")]
    t.eq([ended(p) for p in pulls], [("OK", image.id)] * 2, "answers")


@test
def pulls_wait_their_turn(t):
    """At most two at once, of one namespace one; nobody starves."""
    server = t.scripted()
    node = Node(t, max_parallel_pulls=2, max_parallel_pulls_per_namespace=1)
    client = node.client()
    images = [plain("turn%d" % i) for i in range(6)]
    lock, running, most = threading.Lock(), [0], [0]

    def slow(s, request, answer):
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.3)
        with lock:
            running[0] -= 1
        return answer
    server.on("/blobs/" + "|".join(i.config.digest for i in images), slow)
    pulls = [client.begin_pull(server.add(image, "cri/turn%d" % i),
                               namespace="ab"[i // 3]) for i, image in enumerate(images)]
    until(t, "ps with waiting ones", lambda: "queue" in node.command("ps").out.lower() or
          "waiting" in node.command("ps").out.lower() or all(p.done() for p in pulls))
    t.eq([ended(p) for p in pulls], [("OK", i.id) for i in images], "answers")
    t.ok(most[0] <= 2, "at once:", most[0])


def layered(seed, count):
    """Layers of their own, as many."""
    layers = []
    for i in range(count):
        tar = Tar()
        tar.add("f%d" % i, b"%s %d" % (seed.encode(), i))
        layers.append(mkimage.layer(tar))
    return mkimage.Image(layers)


@test
def layers_wait_their_turn(t):
    """Blobs are held by the registry: as many of a pull and of all pulls are asked for as the
    configuration says, each other one when one of them has ended."""
    server = t.scripted()
    arrived, lock, turn = [], threading.Lock(), threading.Semaphore(0)

    def held(s, request, answer):
        with lock:
            arrived.append(request.path)
        turn.acquire(timeout=60)
        return answer

    def more(count, what):
        """One blob more for each that is let go, never more."""
        for _ in range(count):
            turn.release()
            until(t, what, lambda: len(arrived) > seen[0])
            seen[0] += 1
            t.eq(len(arrived), seen[0], what)

    for settings, pulls, count, first in (
            ({}, 1, 4, 3), ({}, 3, 3, 6),
            ({"max_parallel_layers": 2}, 1, 3, 2), ({"max_parallel_layers_per_pull": 1}, 1, 3, 1)):
        label = "slots%d-%d-" % (first, pulls)
        node, seen = Node(t, **settings), [first]
        images = [layered(label + str(i), count) for i in range(pulls)]
        client = node.client()
        with lock:
            arrived.clear()
        server.on("/blobs/(%s)" % "|".join(l.blob.digest for i in images for l in i.layers), held)
        begun = [client.begin_pull(server.add(image, "cri/%s%d" % (label, i)))
                 for i, image in enumerate(images)]
        until(t, "%d layers" % first, lambda: len(arrived) >= first)
        t.eq(len(arrived), first, label)
        until(t, "their rooms", lambda: len(node.rooms("hash")) == first)
        more(pulls * count - first, "the next layer " + label)
        for _ in range(first):
            turn.release()
        t.eq([ended(p) for p in begun], [("OK", i.id) for i in images], "answers")
        node.stop()


@test
def progress_timeout(t):
    server, node = t.scripted(), Node(t, pull_progress_timeout=2)
    image = t.image("three")
    ref = server.add(image, "cri/stall")
    server.on("/blobs/" + image.layers[1].blob.digest, registry.stall(2000))
    begun = time.monotonic()
    text = refusal(t, ["UNKNOWN", "DEADLINE_EXCEEDED", "UNAVAILABLE"], node.client().pull, ref)
    took = time.monotonic() - begun
    t.ok(1.5 < took < 8, "ended after", took, text)
    node.nothing_left()


@test
def an_index_and_the_other_platform(t):
    server, node = t.scripted(), Node(t)
    index = t.image("index")
    client, ref = node.client(), server.add(index, "cri/index")
    t.eq(client.pull(ref), index.images[1].id, "this machine's instance")
    digests = {d.split("@")[1] for d in client.status(ref).repo_digests}
    t.eq(digests, {index.manifest.digest, index.images[1].manifest.digest}, "both digests")
    other = mkimage.Index([index.images[0]])
    refusal(t, ["NOT_FOUND", "UNKNOWN", "FAILED_PRECONDITION"], client.pull,
            server.add(other, "cri/index2"))

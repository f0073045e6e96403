"""The builder and the registries, checked by podman and skopeo alone: a test that fails later
must not fail because its image was wrong."""
from harness import test
import images
import registry
from stores import compare_trees, reassembled, tree

REFUSED_BY_PODMAN = {"sparse"}  # stored expanded: its tar-split gives another digest


@test(peers=True)
def every_image_is_pulled_by_podman(t):
    real, store = t.real(), t.store()
    for name in images.MAKERS:
        image = t.image(name)
        t.podman_pull(store, real.push(image, "peers/" + name))
        chosen = getattr(image, "images", [image])
        ids = [i["id"] for i in store.images()]
        t.ok(any(i.id in ids for i in chosen), name, "is not in podman's store")
        for record in store.chain(next(i.id for i in chosen if i.id in ids)):
            if name not in REFUSED_BY_PODMAN:
                t.eq(reassembled(store, record["id"]), record["diff-digest"], name)
    listed = t.podman(store, "images", "--format", "{{.Repository}}").out
    t.eq(listed.count("peers/"), len(images.MAKERS), "images listed")
    t.has(t.podman_run(store, real.ref("peers/tiny"), "/bin/hello", "hello").out, "hello from")


@test(peers=True)
def comparing_trees_sees_a_difference(t):
    real = t.real()
    ref, stores = real.push(t.image("owners"), "peers/twice"), (t.store(), t.store())
    for store in stores:
        t.podman_pull(store, ref)
    layer = stores[0].layers()[0]["id"]
    one, two = (tree(store.diff(layer)) for store in stores)
    t.eq(compare_trees(one, two, implied={b"opt"}), [], "two pulls by podman")
    for fact, value in (("mode", "0o1"), ("owner", (9, 9)), ("mtime", 1), ("content", "x")):
        changed = {p: dict(f) for p, f in two.items()}
        changed[b"opt/u1"][fact] = value
        t.eq(len(compare_trees(one, changed, implied={b"opt"})), 1, fact)
    del two[b"opt/u1"]
    t.ok(compare_trees(one, two), "a missing file is not seen")


@test(peers=True)
def scripted_registry_serves_podman(t):
    image = t.image("three")
    tokens, server = t.scripted(), t.scripted()
    ref = server.add(image, "peers/scripted")
    tokens.on("^/token", registry.give_token("tok-123", "user", "pass-word"))
    server.on("^/v2/", registry.need_bearer(tokens.url + "/token", "tok-123"))
    store = t.store()
    t.podman_pull(store, ref, expect=125)
    t.podman(store, "pull", "-q", "--tls-verify=false", "--creds", "user:pass-word", ref)
    t.ok(tokens.saw(registry.basic("user", "pass-word")), "the token server saw the password")
    t.ok(not server.saw(registry.basic("user", "pass-word")), "the registry must not")
    t.eq(server.blobs_asked(), {b.digest for b in image.blobs()}, "blobs asked for")


@test(peers=True)
def scripted_registry_misbehaves(t):
    image = t.image("tiny")
    server = t.scripted()
    ref = server.add(image, "peers/bad")
    blob = "/blobs/" + image.layers[0].blob.digest
    for action in (registry.change(registry.flip), registry.truncated(10),
                   registry.status(404), registry.change(lambda data: b"")):
        server.clear()
        server.on(blob, action)
        t.podman_pull(t.store(), ref, expect=125)
    server.clear()
    elsewhere = t.scripted()
    elsewhere.add(image, "peers/bad")
    server.on(blob, registry.redirect(lambda path: elsewhere.url + path))
    t.podman_pull(t.store(), ref)
    t.eq(len(elsewhere.asked(blob)), 1, "the redirect was followed")


@test(peers=True)
def registry_wants_a_password_and_tls(t):
    image = t.image("tiny")
    locked = t.real(user="u", password="secret-1")
    ref = locked.push(image, "peers/locked")
    t.podman_pull(t.store(), ref, expect=125)
    t.podman(t.store(), "pull", "-q", "--tls-verify=false", "--creds", "u:secret-1", ref)
    authority = t.authority()
    server = t.scripted(tls=authority.context("server"))
    ref = server.add(image, "peers/tls")
    t.podman(t.store(), "pull", "-q", ref, expect=125)
    t.podman(t.store(), "pull", "-q", "--cert-dir", authority.cert_dir(), ref)

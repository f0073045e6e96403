"""Pulls from registries of every kind: names, platforms, media types, authentication, TLS."""
import json
import os
import re

from harness import test
import images
import mkimage
import registry
from stores import reassembled

LONE_ID = re.compile(r"[0-9a-f]{64}\n")


def pulled(t, store, image, result):
    """The pull printed the image's id alone, and the store holds it whole."""
    t.ok(LONE_ID.fullmatch(result.out), "stdout is not one id:", result)
    t.eq(result.out.strip(), image.id, "image id")
    chain = store.chain(image.id)
    t.eq([l["diff-digest"] for l in chain], [l.diff_id for l in image.layers], "DiffIDs")
    t.eq([l["compressed-diff-digest"] for l in chain], [l.blob.digest for l in image.layers],
         "blob digests")
    t.eq([l["compressed-size"] for l in chain], [l.blob.size for l in image.layers], "blob sizes")
    t.eq([l.get("diff-size", 0) for l in chain], [l.diff_size for l in image.layers], "sizes")


@test
def every_image(t):
    """Each of the catalogue: digests, sizes, compression, and the tar reassembled."""
    real, codes = t.real(), {"none": 0, "gzip": 2, "zstd": 4}
    for name in images.MAKERS:
        image, store = t.image(name), t.store()
        result = t.pull(store, "-q", real.push(image, "pull/" + name))
        chosen = next(i for i in getattr(image, "images", [image])
                      if i.platform["architecture"] == "amd64")
        pulled(t, store, chosen, result)
        for record, layer in zip(store.chain(chosen.id), chosen.layers):
            wanted = codes[layer.form] if layer.blob.size else 0
            if layer.tar:
                t.eq(record.get("compression", 0), wanted, "compression of " + name)
            t.eq(reassembled(store, record["id"]), layer.diff_id, name)
        t.eq(store.strays(), [], "strays")


@test
def by_tag_by_digest_by_both(t):
    real, image = t.real(), t.image("three")
    real.push(image, "pull/names", "v1")
    digest, base = image.manifest.digest, real.host + "/pull/names"
    for ref, name in ((base + ":v1", base + ":v1"), (base + "@" + digest, base + "@" + digest),
                      (base + ":v1@" + digest, base + "@" + digest)):
        store = t.store()
        pulled(t, store, image, t.pull(store, ref))
        t.eq(store.images()[0]["names"], [name], "recorded name")
        t.eq(store.images()[0]["digest"], digest, "digest")
    t.pull(t.store(), base + ":none", expect=[1, 5])
    t.pull(t.store(), base + "@sha256:" + "0" * 64, expect=[1, 5])


@test
def several_at_once_and_again(t):
    real, store = t.real(), t.store()
    refs = [real.push(t.image(n), "pull/several-" + n) for n in ("tiny", "docker", "links")]
    result = t.pull(store, *refs)
    t.eq(result.out.split(), [t.image(n).id for n in ("tiny", "docker", "links")], "ids in order")
    mark, before = real.mark(), store.images()
    t.eq(t.pull(store, refs[2]).out.strip(), t.image("links").id, "again")
    t.eq(real.blobs_since(mark), set(), "blobs downloaded for a present image")
    t.eq([i["id"] for i in store.images()], [i["id"] for i in before], "images")


@test
def pull_policies(t):
    real, store = t.real(), t.store()
    ref = real.push(t.image("tiny"), "pull/policy")
    t.pull(store, "--policy", "never", ref, expect=1)
    t.eq(store.images(), [], "nothing was pulled")
    first = t.pull(store, "--policy", "missing", ref).out
    real.push(t.image("docker"), "pull/policy")
    t.eq(t.pull(store, "--policy", "missing", ref).out, first, "present, so not asked for")
    t.eq(t.pull(store, "--policy", "never", ref).out, first, "present")
    t.eq(t.pull(store, "--policy", "always", ref).out.strip(), t.image("docker").id, "always")


@test
def present_layers_are_not_downloaded(t):
    """Also those that podman wrote."""
    real, small = t.real(), t.image("small_files")
    more = mkimage.Image(small.layers + [mkimage.layer(images.Tar().add("opt/more", b"m"))],
                         cmd=["/bin/hello", "hello"])
    refs = real.push(small, "pull/shared"), real.push(more, "pull/more")
    new = {more.layers[-1].blob.digest, more.config.digest}
    for by_podman in (False, True):
        store = t.store()
        (t.podman_pull if by_podman else t.pull)(store, refs[0])
        mark = real.mark()
        pulled(t, store, more, t.pull(store, refs[1]))
        t.eq(real.blobs_since(mark), new, "downloaded" + (" beside podman's" * by_podman))
        t.has(t.podman_run(store, refs[1], "/bin/hello", "/opt/more").out, "/opt/more present")


@test
def present_layers_in_other_blobs_are_hashed(t):
    """Layers that are there, in blobs that nobody here has seen (another compression; an image
    loaded from an archive): fetched and hashed, not applied, and the next time not even that."""
    real, image = t.real(), t.image("three")
    again = mkimage.Image([mkimage.layer(l.tar, "zstd") for l in image.layers])
    again.config = image.config
    again.seal()
    for loaded in (False, True):
        store, path = t.store(), t.folder + "/image.tar"
        if loaded:
            source = "docker://" + real.push(image, "pull/once")
            t.run(["skopeo", "copy", "-q", "--src-tls-verify=false", source,
                   "docker-archive:%s:example.com/loaded:1" % path])
            t.podman(store, "load", "-q", "-i", path)
        else:
            t.pull(store, real.push(image, "pull/once"))
        before = store.layers()
        trees = {l["id"]: os.stat("%s/overlay/%s/diff" % (store.root, l["id"])).st_ino
                 for l in before}
        ref, mark = real.push(again, "pull/again"), real.mark()
        t.eq(t.pull(store, ref).out.strip(), image.id, "image")
        blobs = {l.blob.digest for l in again.layers}
        t.ok(blobs <= real.blobs_since(mark), "not all layers were fetched")
        after = store.layers()
        for records in (before, after):
            for record in records:
                record.pop("flags", None)
        t.eq(after, before, "layers")
        t.eq({l["id"]: os.stat("%s/overlay/%s/diff" % (store.root, l["id"])).st_ino
              for l in after}, trees, "trees")
        t.has(t.podman_run(store, ref, "/bin/hello", "hello").out, "hello from the image")
        mark = real.mark()
        t.pull(store, ref)
        t.eq(real.blobs_since(mark) & blobs, set(), "fetched once more")
        t.bulkhead(store, "rmi", "-f", image.id)


@test
def podman_reuses_our_layers(t):
    real, store, image = t.real(), t.store(), t.image("three")
    ref = real.push(image, "pull/reuse")
    t.pull(store, ref)
    t.bulkhead(store, "tag", ref, "example.com/kept:1")
    mark = real.mark()
    t.podman_pull(store, ref)
    t.ok(not real.blobs_since(mark) & {l.blob.digest for l in image.layers}, "layers downloaded")
    t.eq(len(store.layers()), 4, "layers")


@test
def platforms_of_an_index(t):
    real, index = t.real(), t.image("index")
    ref = real.push(index, "pull/platforms")
    for platform, which in (("linux/arm64/v8", 0), ("linux/amd64", 1), ("linux/riscv64", 2)):
        store = t.store()
        pulled(t, store, index.images[which], t.pull(store, "--platform", platform, ref))
        record = store.images()[0]
        t.eq(record["digest"], index.manifest.digest, "the list's digest")
        keys = record["big-data-names"]
        t.ok("manifest-" + index.manifest.digest in keys, "the list is kept", keys)
        t.ok("manifest-" + index.images[which].manifest.digest in keys, "the instance", keys)
    store = t.store()
    t.pull(store, "--platform", "linux/s390x", ref, expect=[1, 7])
    t.eq(store.images(), [], "images")
    instance = "%s/pull/platforms@%s" % (real.host, index.images[0].manifest.digest)
    pulled(t, store, index.images[0], t.pull(store, instance))


@test
def basic_authentication(t):
    image, store = t.image("tiny"), t.store()
    server = t.real(user="alice", password="pa:ss wo/rd")
    ref = server.push(image, "pull/locked")
    t.pull(store, ref, expect=4)
    t.pull(store, "--creds", "alice:wrong", ref, expect=4)
    t.eq(store.images(), [], "images")
    pulled(t, store, image, t.pull(store, "--creds", "alice:pa:ss wo/rd", ref))
    secret = registry.basic("alice", "pa:ss wo/rd").split()[1]
    for key, code in ((server.host, 0), (server.host + "/pull", 0),
                      (server.host + "/pull/locked", 0), (server.host + "/other", 4),
                      ("127.0.0.1", 4)):
        path = t.write("auth.json", {"auths": {key: {"auth": secret}}})
        t.pull(t.store(), "--authfile", path, ref, expect=code)
    t.pull(t.store(), "--authfile", t.write("auth.json", "{"), ref, expect=[4, 64, 125, 7])


@test
def bearer_authentication(t):
    """The token realm is another origin: it sees the password, the registry never does."""
    image, store, password = t.image("three"), t.store(), "canary-pass-77"
    server, tokens = t.scripted(), t.scripted()
    ref = server.add(image, "pull/bearer")
    tokens.on("^/token", registry.give_token("canary-token-88", "bob", password))
    server.on("^/v2/", registry.need_bearer(tokens.url + "/token", "canary-token-88"))
    t.pull(store, ref, expect=4)
    t.pull(store, "--creds", "bob:nope", ref, expect=4)
    tokens.clear()
    tokens.on("^/token", registry.give_token("canary-token-88", "bob", password))
    pulled(t, store, image, t.pull(store, "--creds", "bob:" + password, ref))
    secret = registry.basic("bob", password)
    t.ok(tokens.saw(secret), "the token server got no credentials")
    t.ok(not server.saw(secret), "the registry saw the password")
    t.ok(not tokens.saw("canary-token-88"), "the token went back to the token server")
    asked = tokens.asked("^/token")
    t.has(asked[0].path, "service=test", "token request")
    t.ok(re.search("repository(:|%3A)pull/bearer|repository(:|%3A)pull%2Fbearer", asked[0].path),
         asked[0].path)


@test
def anonymous_token(t):
    server, tokens = t.scripted(), t.scripted()
    ref = server.add(t.image("tiny"), "pull/anonymous")
    tokens.on("^/token", registry.give_token("free-token"))
    server.on("^/v2/", registry.need_bearer(tokens.url + "/token", "free-token"))
    pulled(t, (store := t.store()), t.image("tiny"), t.pull(store, ref))
    t.eq(tokens.asked("^/token")[0].header("Authorization"), None, "credentials of nobody")


@test
def redirects_carry_no_secret(t):
    """Blobs lie elsewhere, as with most big registries."""
    image, password = t.image("three"), "canary-55"
    server, storage = t.scripted(), t.scripted()
    ref = server.add(image, "pull/redirect")
    storage.add(image, "pull/redirect")
    server.on("/blobs/", lambda s, request, answer: registry.need_basic("u", password)(
        s, request, registry.Answer(307, [("Location", storage.url + request.path + "?sig=1")])))
    server.on("^/v2/", registry.need_basic("u", password))
    store = t.store()
    pulled(t, store, image, t.pull(store, "--creds", "u:" + password, ref))
    t.ok(not storage.saw("Authorization") and not storage.saw("authorization"), "secret leaked")
    t.eq(storage.blobs_asked(), {b.digest + "?sig=1" for b in image.blobs()}, "blobs there")


@test
def tls(t):
    image, authority = t.image("tiny"), t.authority()
    good = t.scripted(tls=authority.context("good"))
    wrong = t.scripted(tls=authority.context("wrong", ["DNS:other.example"]))
    alone = t.scripted(tls=authority.context("alone", signed=False))
    certs = authority.cert_dir()
    ref = good.add(image, "pull/tls")
    store = t.store()
    refused = t.bulkhead(store, "pull", "--tls-verify=true", ref, expect=5)
    t.ok("certificate" in refused.err.lower(), "says why:", refused.err)
    pulled(t, store, image, t.bulkhead(store, "pull", "--cert-dir", certs, "--tls-verify=true",
                                       ref))
    for server in (wrong, alone):
        bad = server.add(image, "pull/tls")
        t.bulkhead(t.store(), "pull", "--cert-dir", certs, "--tls-verify=true", bad, expect=5)
        t.eq(len(server.asked("/v2/")), 0, "requests to a server that proved nothing")
    t.pull(t.store(), alone.add(image, "pull/tls"))


@test
def plain_http_only_where_told(t):
    server = t.scripted()
    ref = server.add(t.image("tiny"), "pull/plain")
    t.bulkhead(t.store(), "pull", "--tls-verify=true", ref, expect=5)
    t.eq(server.requests, [], "requests in the clear")
    store = t.store()
    pulled(t, store, t.image("tiny"), t.bulkhead(store, "pull", ref))  # 127.0.0.0/8


@test
def blobs_are_fetched_at_once(t):
    """Nothing is answered before two blobs are asked for; then three slow ones beside each other."""
    image, store = t.image("three"), t.store()
    server = t.scripted()
    ref = server.add(image, "pull/hold")
    big = "|".join(l.blob.digest for l in image.layers[1:3])
    server.on("/blobs/(%s)" % big, registry.hold(2))
    pulled(t, store, image, t.pull(store, ref, timeout=60))


@test
def policy_file(t):
    real, image = t.real(), t.image("tiny")
    ref = real.push(image, "pull/policy-file")
    accept, reject = [{"type": "insecureAcceptAnything"}], [{"type": "reject"}]

    def verdict(policy, code):
        store = t.store()
        t.pull(store, ref, config=t.config(policy), expect=code)
        t.eq(len(store.images()), 0 if code else 1, "images")

    def docker(scopes, default):
        return {"default": default, "transports": {"docker": scopes}}

    verdict({"default": accept}, 0)
    verdict({"default": reject}, 3)
    verdict(docker({real.host: reject}, accept), 3)
    verdict(docker({real.host: reject, real.host + "/pull": accept}, reject), 0)
    verdict(docker({real.host + "/pull": accept, ref: reject}, accept), 3)
    verdict(docker({"": reject}, accept), 3)
    verdict(docker({real.host: accept + reject}, accept), 3)
    verdict({"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/x"}]}, 3)
    verdict({"default": [{"type": "sigstoreSigned", "keyPath": "/x"}]}, 3)
    for broken in ({"default": []}, {"default": [{"type": "unknown"}]}, {}, {"default": accept,
                   "x": 1}, {"default": [{"type": "reject", "more": 1}]}):
        verdict(broken, 3)


@test
def no_policy_file(t):
    real, store = t.real(), t.store()
    ref = real.push(t.image("tiny"), "pull/no-policy")
    missing = t.folder + "/missing.json"
    refused = t.pull(store, ref, config=t.write("c.toml", 'policy = "%s"\n' % missing), expect=3)
    t.has(refused.err, missing, "says which file was looked for")


@test
def presence_never_skips_the_verdict(t):
    real, store = t.real(), t.store()
    ref = real.push(t.image("tiny"), "pull/present")
    t.pull(store, ref)
    no = t.config({"default": [{"type": "reject"}]})
    t.pull(store, ref, config=no, expect=3)
    t.bulkhead(store, "tag", ref, "example.com/other:1", config=no, expect=3)
    t.eq(store.images()[0]["names"], [ref], "names")


@test
def tokens_of_the_lock_files_change(t):
    """Other programs notice a change by the 64 bytes in the lock file alone."""
    real, store = t.real(), t.store()

    def tokens():
        paths = [store.root + "/overlay-%s/%s.lock" % (n, n) for n in ("layers", "images")]
        return [open(p, "rb").read() if os.path.exists(p) else b"" for p in paths]

    t.pull(store, real.push(t.image("tiny"), "pull/token"))
    first = tokens()
    t.eq([len(x) for x in first], [64, 64], "sizes")
    t.pull(store, real.push(t.image("three"), "pull/token-2"))
    t.ok(all(a != b for a, b in zip(first, tokens())), "tokens did not change")
    mark = tokens()
    t.bulkhead(store, "images")
    t.eq(tokens(), mark, "listing must change nothing")


@test
def big_data_and_metadata(t):
    """Item names, sizes and digests of images.json against the files."""
    import base64
    import hashlib
    real, store, image = t.real(), t.store(), t.image("docker")
    t.pull(store, real.push(image, "pull/items"))
    record = store.images()[0]
    t.eq(record["metadata"], "{}", "metadata")
    t.eq(record["created"], "2024-02-03T04:05:06.789Z", "created")
    t.eq(record["big-data-names"], [image.config.digest, "manifest-" + image.manifest.digest,
                                    "manifest"], "items")
    for key in record["big-data-names"]:
        plain = re.fullmatch("[0-9a-z.]+", key)
        name = key if plain else "=" + base64.b64encode(key.encode()).decode()
        with open("%s/overlay-images/%s/%s" % (store.root, image.id, name), "rb") as file:
            data = file.read()
        t.eq(record["big-data-sizes"][key], len(data), "size of " + key)
        t.eq(record["big-data-digests"][key], "sha256:" + hashlib.sha256(data).hexdigest(), key)
    layer = store.layers()[0]
    t.ok("public" in json.dumps(layer["flags"]), "proof of access", layer.get("flags"))

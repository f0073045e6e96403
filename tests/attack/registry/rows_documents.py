"""G13: sizes and counts. G14: JSON. G15: one thing taken for another. G16: indexes. G17: digests.
G20: configs."""
import json

import mkimage
import registry
from cases import (ABSENT, CONTENT, NETWORK, OK, at, both, group, image_of, manifest)
from mkimage import Blob, Index

ZERO = "sha256:" + "0" * 64
OCI, DOCKER = mkimage.TYPES["oci"], mkimage.TYPES["docker"]


def layer(**changes):
    """The last layer's descriptor changed; None removes a member."""
    def change(body):
        last = {k: v for k, v in dict(body["layers"][-1], **changes).items() if v is not None}
        return dict(body, layers=body["layers"][:-1] + [last])
    return manifest(change)


def config(**changes):
    return manifest(lambda body: dict(body, config={
        k: v for k, v in dict(body["config"], **changes).items() if v is not None}))


def text(change):
    """The manifest as text, changed."""
    return manifest(lambda body: change(json.dumps(body)))


def number(literal):
    """The last layer's size as this text."""
    def change(body):
        size = body["layers"][-1]["size"]
        return json.dumps(body).replace('"size": %d' % size, '"size": ' + literal)
    return manifest(change)


add = group("G13")
LIMIT = 4 << 20
add("a manifest of 4 MiB, which is fine", text(lambda t: t + " " * (LIMIT - len(t))), OK)
add("a manifest of 4 MiB and a byte", text(lambda t: t + " " * (LIMIT + 1 - len(t))), CONTENT,
    "allowed|4194304")
add("a manifest of 64 MiB", at("manifest", registry.change(lambda d: d + b" " * (64 << 20))), CONTENT,
    "allowed|4194304")
add("no layers", manifest(lambda b: dict(b, layers=[])), CONTENT, "0 layers")
add("128 layers", manifest(lambda b: dict(b, layers=b["layers"][:1] * 128)), CONTENT, "128 layers")
add("501 layers", manifest(lambda b: dict(b, layers=b["layers"][:1] * 501)), CONTENT, "501 layers")
for literal, code, says in (
        ("0", CONTENT, "size 0"), ("-1", CONTENT, "negative"), ("-0", CONTENT, "-0"),
        ("9223372036854775808", CONTENT, "integer"), ("1e3", CONTENT, "size"),
        ("1.5", CONTENT, "size"), ('"12"', CONTENT, "size"), ("null", CONTENT, "size"),
        ("true", CONTENT, "size"), ("[]", CONTENT, "size"), ("1" + "0" * 400, CONTENT, ""),
        ("0x10", CONTENT, ""), ("007", CONTENT, ""), ("274877906945", CONTENT, "limit"),
        ("70000000000", CONTENT, "too large")):
    add("a layer's size is %s" % literal[:24], number(literal), code, says)
add("a layer without size", layer(size=None), CONTENT, "size")
add("a layer's size is one less", number("20001"), CONTENT, "announces|more than|bytes")
add("a layer's size is one more", number("30001"), CONTENT, "announces|bytes")
add("a config's size is 0", config(size=0), CONTENT, "size 0")
add("a config's size is one less", manifest(lambda b: dict(b, config=dict(
    b["config"], size=b["config"]["size"] - 1))), CONTENT, "announces|more than|bytes")
add("a config's size is 4 MiB and a byte", config(size=LIMIT + 1), CONTENT, "limit|allowed")
add("layers of 70 GB in all", manifest(lambda b: dict(b, layers=[
    dict(b["layers"][0], size=7 << 30)] * 10)), CONTENT, "too large")
add("a plain layer of size 0 and bytes without end", both(layer(size=0, mediaType=OCI["none"]),
    at("layer", registry.endless())), NETWORK, "no length")
add("the same over plain http", both(layer(size=0, mediaType=OCI["none"]),
    at("layer", registry.endless())), CONTENT, "", host="plain")


def many_entries(count):
    return lambda case: Index([image_of(case)]).seal(manifests=[{
        "mediaType": OCI["manifest"], "digest": ZERO, "size": 500,
        "platform": {"architecture": "amd64", "os": "linux"}}] * count)


add("an index of 1,024 entries for this platform, the first of which is missing", None, ABSENT, "404",
    image=many_entries(1024))
add("an index of 1,025 entries", None, CONTENT, "1025 entries", image=many_entries(1025))
add("an index of 20,000 entries", None, CONTENT, "", image=many_entries(20000))

add = group("G14")


def member(extra):
    """One more member at the manifest's front, as text."""
    return text(lambda t: "{" + extra + ", " + t[1:])


for what, plan, says in (
        ("depth 40", member('"x": ' + "[" * 40 + "]" * 40), "deep|levels|nest"),
        ("depth 10^6", text(lambda t: "[" * 1000000), ""),
        ("layers twice", member('"layers": []'), "twice|duplicate|layers"),
        ("config twice", member('"config": {}'), "twice|duplicate|config"),
        ("mediaType twice", member('"mediaType": "x"'), "twice|duplicate|mediaType"),
        ("a digest twice", text(lambda t: t.replace('"digest":', '"digest": "%s", "digest":' % ZERO,
                                                   1)), "twice|duplicate|digest"),
        ("layers twice, once by an escape", member('"\\u006cayers": []'), "twice|duplicate|layers"),
        ("layers by an escape only, and Layers", member('"Layers": []'), "Layers"),
        ("LAYERS", member('"LAYERS": []'), "LAYERS"), ("Config", member('"Config": {}'), "Config"),
        ("MediaType", member('"MediaType": "x"'), "MediaType"),
        ("a key with the long s, which equals layers to some", member('"layer\u017f": []'), ""),
        ("a NUL in a string", member('"x": "a\\u0000b"'), "NUL|null|\\\\u0000|zero"),
        ("a raw NUL", text(lambda t: t[:-1] + "\0}"), ""),
        ("a NUL in a key", member('"a\\u0000b": 1'), "NUL|null|\\\\u0000|zero"),
        ("a byte order mark", text(lambda t: "\ufeff" + t), ""),
        ("UTF-16", manifest(lambda b: json.dumps(b).encode("utf-16")), ""),
        ("UTF-32", manifest(lambda b: json.dumps(b).encode("utf-32-be")), ""),
        ("bytes that are no UTF-8", manifest(lambda b: json.dumps(b).encode()[:-1] +
                                             b', "x": "\xff\xfe"}'), ""),
        ("an overlong slash", manifest(lambda b: json.dumps(b).encode()[:-1] +
                                       b', "x": "\xc0\xaf"}'), ""),
        ("a lone surrogate", member('"x": "\\ud800"'), ""),
        ("two documents", text(lambda t: t + "{}"), ""), ("garbage behind it", text(
            lambda t: t + "x"), ""), ("NaN", member('"x": NaN'), ""),
        ("Infinity", member('"x": -Infinity'), ""), ("1e400", member('"x": 1e400'), ""),
        ("a comment", member("/* x */ \"x\": 1"), ""), ("single quotes", member("'x': 1"), ""),
        ("a comma too many", text(lambda t: t[:-1] + ",}"), ""), ("no end", text(lambda t: t[:-1]), ""),
        ("nothing", text(lambda t: ""), ""), ("a space", text(lambda t: " "), ""),
        ("a string of 65 KiB", member('"x": "%s"' % ("y" * 66561)), "65536|string|long"),
        ("a string of 3 MiB", member('"x": "%s"' % ("y" * (3 << 20))), "65536|string|long"),
        ("5,000 unknown members", member(", ".join('"k%d": 1' % i for i in range(5000))), "4096|keys"),
        ("300,000 values", member('"x": [%s]' % ",".join("1" * 300000)), "200000|values"),
        ("an array instead of it", manifest(lambda b: [b]), "object"),
        ("a string instead of it", text(lambda t: '"x"'), "object|text|JSON|string"),
        ("a number instead of it", text(lambda t: "5"), "object|JSON"),
        ("null instead of it", text(lambda t: "null"), "object|JSON"),
        ("an object for layers", manifest(lambda b: dict(b, layers={})), "layers"),
        ("an array for config", manifest(lambda b: dict(b, config=[b["config"]])), "config"),
        ("a string for a layer", manifest(lambda b: dict(b, layers=["x"])), "layer"),
        ("null for layers", manifest(lambda b: dict(b, layers=None)), "layers"),
        ("no config", manifest(lambda b: {k: v for k, v in b.items() if k != "config"}), "config"),
        ("no layers member", manifest(lambda b: {k: v for k, v in b.items() if k != "layers"}),
         "layers")):
    add("manifest: " + what, plan, CONTENT, says)
add("manifest: -0 in an unknown member", member('"x": -0'), CONTENT, "-0")
add("manifest: 500 unknown members, which is fine", member(", ".join('"k%d": 1' % i for i in range(
    500))), OK)

add = group("G15")


def typed(media_type):
    def plan(world, case):
        case.image.media_type = media_type
        case.home.add(case.image, case.repo)
    return plan


add("manifests and layers in one", manifest(lambda b: dict(b, manifests=[])), CONTENT, "ambiguous")
add("manifests alone under a manifest's type", manifest(lambda b: {
    "schemaVersion": 2, "mediaType": OCI["manifest"], "manifests": []}), CONTENT, "manifests|manifest")
add("layers in an index", None, CONTENT, "ambiguous", image=lambda case: Index([image_of(case)]).seal(
    layers=[]))
add("config in an index", None, CONTENT, "ambiguous", image=lambda case: Index([image_of(case)]).seal(
    config={}))
for what, kind, says in (
        ("Docker's manifest", DOCKER["manifest"], "mediaType"), ("an index", OCI["index"], ""),
        ("HTML", "text/html", "a page of HTML"), ("a config", OCI["config"], ""),
        ("a layer", OCI["gzip"], ""), ("two types", OCI["manifest"] + ", " + OCI["index"], ""),
        ("a type with a NUL's escape", OCI["manifest"] + "%00", ""),
        ("129 bytes", "application/" + "x" * 118, "128")):
    add("Content-Type says %s" % what, typed(kind), NETWORK if what in ("HTML", "two types", "129 bytes")
        else CONTENT, says or "mediaType|media type")
add("Content-Type with a parameter, which is fine", typed(OCI["manifest"] + "; charset=utf-8"), OK)
add("Content-Type in upper case, which is fine", typed(OCI["manifest"].upper()), OK)
add("no Content-Type, the body has one, which is fine", at("manifest", registry.set_header(
    "Content-Type", None)), OK)
add("no type anywhere: the members tell, which is fine", both(manifest(lambda b: {
    k: v for k, v in b.items() if k != "mediaType"}), at("manifest", registry.set_header(
        "Content-Type", None))), OK)
add("no type anywhere, nor members that tell", both(manifest(lambda b: {"schemaVersion": 2}), at(
    "manifest", registry.set_header("Content-Type", None))), CONTENT, "without \"config\"")
add("the body says nothing, Content-Type does, which is fine", manifest(lambda b: {
    k: v for k, v in b.items() if k != "mediaType"}), OK)
add("the body says index, and is a manifest", manifest(lambda b: dict(b, mediaType=OCI["index"])),
    CONTENT, "mediaType")
add("schemaVersion 1", manifest(lambda b: dict(b, schemaVersion=1)), CONTENT, "schema")
add("schemaVersion 3", manifest(lambda b: dict(b, schemaVersion=3)), CONTENT, "schemaVersion 3")
add("schemaVersion as text", manifest(lambda b: dict(b, schemaVersion="2")), CONTENT, "schemaVersion")
for kind in ("v1+json", "v1+prettyjws"):
    add("Docker schema 1, %s" % kind, both(typed(
        "application/vnd.docker.distribution.manifest." + kind), manifest(lambda b: {
            "schemaVersion": 1, "name": "x", "tag": "y", "architecture": "amd64",
            "fsLayers": [{"blobSum": ZERO}], "history": [{"v1Compatibility": "{}"}]})), CONTENT,
        "schema")
add("a layer's type for the config", config(mediaType=OCI["gzip"]), CONTENT, "config|artifact")
add("a config's type for a layer", layer(mediaType=OCI["config"]), CONTENT, "not a layer's")
add("an unknown type for the config", config(mediaType="application/vnd.example+json"), CONTENT,
    "artifact|type")
for kind in ("vnd.example.layer.tar+gzip", "vnd.oci.image.layer.v1.tar+bzip2",
             "vnd.oci.image.layer.v1.tar+encrypted", "vnd.oci.image.layer.v1.tar+gzip+gzip",
             "vnd.cncf.helm.chart.content.v1.tar+gzip"):
    add("a layer of type %s" % kind, layer(mediaType="application/" + kind), CONTENT,
        "type|encrypted|support")
add("an artifact", manifest(lambda b: dict(b, artifactType="application/vnd.example",
    config={"mediaType": "application/vnd.oci.empty.v1+json", "digest": mkimage.sha256(b"{}"),
            "size": 2})), CONTENT, "artifact")
add("an artifact manifest", both(typed("application/vnd.oci.artifact.manifest.v1+json"), manifest(
    lambda b: {"mediaType": "application/vnd.oci.artifact.manifest.v1+json", "blobs": []})),
    CONTENT, "type|artifact")
add("a subject that is the manifest itself, which is ignored", manifest(lambda b: dict(b, subject={
    "mediaType": OCI["manifest"], "digest": ZERO, "size": 5})), OK)
add("Content-Type changes between two answers", at("manifest", registry.set_header(
    "Content-Type", OCI["index"]), registry.set_header("Content-Type", OCI["manifest"])), CONTENT,
    "mediaType")

add = group("G16")


def entries(change):
    """The index's entries, changed: a function of the one good entry."""
    def make(case):
        index = Index([image_of(case)])
        entry = json.loads(index.manifest.read())["manifests"][0]
        return index.seal(manifests=change(entry))
    return make


AMD64 = {"architecture": "amd64", "os": "linux"}
add("an index in an index", None, CONTENT, "index inside an index", image=lambda case: Index(
    [Index([image_of(case)])], platforms=[AMD64]))
add("an index that claims to hold a manifest, and holds an index", None, CONTENT, "ambiguous",
    image=lambda case: lying_index(case))
add("an entry that is the index itself by name", None, CONTENT, "", image=entries(
    lambda e: [dict(e, mediaType=OCI["index"])]))
add("two entries for this platform: the first counts", None, OK, image=entries(
    lambda e: [e, dict(e, digest=ZERO)]))
add("the missing one first", None, ABSENT, "404", image=entries(lambda e: [dict(e, digest=ZERO), e]))
for what, change, codes, says in (
        ("no entry", lambda e: [], ABSENT, "platform"),
        ("one entry without platform, which is fine", lambda e: [{
            k: v for k, v in e.items() if k != "platform"}], OK, ""),
        ("a platform of text", lambda e: [dict(e, platform="linux/amd64")], CONTENT, "platform"),
        ("other platforms only", lambda e: [dict(e, platform=dict(AMD64, architecture="s390x"))],
         ABSENT, "s390x"),
        ("a platform with an escape sequence", lambda e: [dict(e, platform=dict(
            AMD64, architecture="\x1b[2Jamd64"))], CONTENT, "control characters"),
        ("a size of one more", lambda e: [dict(e, size=e["size"] + 1)], CONTENT, "bytes"),
        ("a size of -1", lambda e: [dict(e, size=-1)], CONTENT, "negative"),
        ("a size of 0", lambda e: [dict(e, size=0)], CONTENT, "size 0"),
        ("a size of 5 MiB", lambda e: [dict(e, size=5 << 20)], CONTENT, "limit|allowed"),
        ("text for entries", lambda e: "x", CONTENT, "manifests"),
        ("text for an entry", lambda e: ["x"], CONTENT, "object"),
        ("sha512", lambda e: [dict(e, digest="sha512:" + "0" * 128)], CONTENT, "sha256"),
        ("schema 1 inside", lambda e: [dict(
            e, mediaType="application/vnd.docker.distribution.manifest.v1+json")], CONTENT, "schema 1"),
        ("a config inside", lambda e: [dict(e, mediaType=OCI["config"])], CONTENT, "type"),
        ("no type inside", lambda e: [{k: v for k, v in e.items() if k != "mediaType"}], CONTENT,
         "mediaType|type")):
    add("index: " + what, None, codes, says, image=entries(change))
add("index: not the platform that was asked for", None, ABSENT, "mips64le",
    image=entries(lambda e: [e]), args=["--platform", "linux/mips64le"])


def lying_index(case):
    inner = Index([image_of(case)])
    inner.seal(mediaType=OCI["manifest"])
    inner.platform, inner.media_type = AMD64, OCI["manifest"]
    return Index([inner])


add = group("G17")
DIGESTS = (("63 digits", "sha256:" + "0" * 63), ("65 digits", "sha256:" + "0" * 65),
           ("upper case", "sha256:" + "A" * 64), ("SHA256", "SHA256:" + "0" * 64),
           ("a path", "sha256:../../../../etc/passwd"), ("a path before it", "../sha256:" + "0" * 64),
           ("64 slashes", "sha256:" + "/" * 64), ("md5", "md5:" + "0" * 32),
           ("sha1", "sha1:" + "0" * 40), ("sha512", "sha512:" + "0" * 128),
           ("sha256+b64", "sha256+b64:" + "0" * 43), ("nothing", ""), ("no colon", "0" * 64),
           ("a space before", " " + ZERO), ("a line end behind", ZERO + "\n"),
           ("%2f", "sha256:" + "%2f" * 21 + "0"), ("an unknown algorithm", "foo:" + "0" * 64),
           ("10 KiB", "sha256:" + "0" * 10240), ("a query", "sha256:" + "0" * 60 + "?x=y"),
           ("digits that are none", "sha256:" + "\uff10" * 64), ("a number", 5), ("null", None),
           ("a list", [ZERO]))
for what, digest in DIGESTS:
    add("a layer's digest: " + what, layer(digest=digest) if digest is not None else manifest(
        lambda b: dict(b, layers=[dict(b["layers"][0], digest=None)])), CONTENT, "digest")
for what, digest in DIGESTS[:6]:
    add("the config's digest: " + what, config(digest=digest), CONTENT, "digest")
    add("an index entry's digest: " + what, None, CONTENT, "digest", image=entries(
        lambda e, digest=digest: [dict(e, digest=digest)]))
add("a layer's digest: one that the registry has not", layer(digest=ZERO), ABSENT, "404")

add = group("G20")


def with_config(change):
    """The config as a dictionary, changed to another, text or bytes, and referred to truly."""
    def make(case):
        image = image_of(case)
        made = change(json.loads(image.config.read()))
        image.config = Blob(made if isinstance(made, bytes) else json.dumps(made).encode())
        return image.seal()
    return make


def run(**changes):
    return with_config(lambda c: dict(c, config=dict(c["config"], **changes)))


for what, make, says in (
        ("User 4294967296", run(User="4294967296"), "User"),
        ("User 4294967295", run(User="4294967295"), "User"),
        ("User -1", run(User="-1"), "User"), ("User 0:99999999999", run(User="0:99999999999"), "User"),
        ("User with a line end", run(User="0\n"), "User|control"),
        ("User with a NUL", run(User="0\0x"), ""), ("User of 5,000 bytes", run(User="u" * 5000), "User"),
        ("HOME with a line of passwd", run(Env=["HOME=/x\nroot::0"]), "HOME"),
        ("HOME with a carriage return", run(Env=["HOME=/x\rroot::0"]), "HOME"),
        ("Env of 10 MiB", run(Env=["A=" + "x" * 60000] * 170), ""),
        ("Env as text", run(Env="A=b"), "Env"), ("a number in Env", run(Env=[5]), "Env"),
        ("Labels as a list", run(Labels=[]), "Labels"), ("a label of 5", run(Labels={"a": 5}), "label"),
        ("WorkingDir with an escape sequence", run(WorkingDir="/\x1b[2J"), "WorkingDir|control"),
        ("StopSignal with a line end", run(StopSignal="9\n"), "StopSignal|control"),
        ("Cmd as text", run(Cmd="sh"), "Cmd"), ("10^5 ports", run(ExposedPorts={
            "%d/tcp" % i: {} for i in range(100000)}), ""),
        ("config as a list", with_config(lambda c: dict(c, config=[])), "config"),
        ("user in lower case beside User", run(user="root"), "user"),
        ("no rootfs", with_config(lambda c: {k: v for k, v in c.items() if k != "rootfs"}), "rootfs"),
        ("rootfs null", with_config(lambda c: dict(c, rootfs=None)), "rootfs"),
        ("rootfs of another type", with_config(lambda c: dict(c, rootfs={
            "type": "x", "diff_ids": []})), "rootfs"),
        ("rootfs twice", with_config(lambda c: b'{"rootfs": {}, ' + json.dumps(c).encode()[1:]), ""),
        ("Rootfs", with_config(lambda c: dict(c, Rootfs=c["rootfs"])), "Rootfs"),
        ("history as text", with_config(lambda c: dict(c, history="x")), "history"),
        ("null in history", with_config(lambda c: dict(c, history=[None])), "history"),
        ("created in no form of time", with_config(lambda c: dict(c, created="yesterday")), "created"),
        ("created as a number", with_config(lambda c: dict(c, created=5)), "created"),
        ("architecture 5", with_config(lambda c: dict(c, architecture=5)), "architecture"),
        ("architecture with an escape sequence", with_config(lambda c: dict(
            c, architecture="\x1b[2J")), "architecture"),
        ("os as an object", with_config(lambda c: dict(c, os={})), "os"),
        ("no JSON", with_config(lambda c: b"\x7fELF"), ""),
        ("nothing", with_config(lambda c: b""), "size 0"),
        ("4 MiB of spaces and a byte", with_config(lambda c: json.dumps(c).encode() + b" " * LIMIT),
         "limit|allowed")):
    add("config: " + what, None, CONTENT, says, image=make)


def diff_ids(change):
    return with_config(lambda c: dict(c, rootfs=dict(c["rootfs"], diff_ids=change(
        c["rootfs"]["diff_ids"]))))


for what, change, says in (
        ("one less than layers", lambda d: d[:-1], "layers|DiffID|diff"),
        ("one more than layers", lambda d: d + d[:1], "layers|DiffID|diff"),
        ("none", lambda d: [], "diff_ids"), ("in another order", lambda d: d[::-1], "DiffID|diff"),
        ("one that is another's", lambda d: d[:-1] + ["sha256:" + "5" * 64], "DiffID|diff"),
        ("the same twice", lambda d: d[:1] * 2, "DiffID|diff"),
        ("no digests", lambda d: ["sha256:zz"] * 2, "diff_ids"), ("numbers", lambda d: [1, 2], "diff"),
        ("128", lambda d: d * 64, "diff_ids|layers|DiffID")):
    add("config: DiffIDs: " + what, None, CONTENT, says, image=diff_ids(change))
for what, make in (("labels of a runtime's own names, which are data", run(Labels={
        "io.containerd.runc.restart.loguri": "binary:///bin/sh", "io.kubernetes.pod.uid": "x"})),
        ("volumes that lead up, which are data", run(Volumes={"../../etc": {}})),
        ("created in the year 9999, which is fine", with_config(lambda c: dict(
            c, created="9999-12-31T23:59:59Z"))),
        ("created null", with_config(lambda c: dict(c, created=None))),
        ("history empty", with_config(lambda c: dict(c, history=[])))):
    add("config: " + what, None, OK, image=make)

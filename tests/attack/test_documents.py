"""Hostile manifests, indexes and configs."""
import json

from harness import test
from common import Ground
import mkimage
from mkimage import Blob, Image, Index

CONTENT = 7


def with_manifest(image, text, media_type=None):
    image.manifest = Blob(text if isinstance(text, bytes) else text.encode())
    image.media_type = media_type or image.media_type
    return image


def fresh(t, layers=2, **options):
    return Image(t.image("small_files").layers[:layers], **options)


@test
def layers_and_diffids_disagree(t):
    ground = Ground(t)
    for change in (lambda ids: ids[:-1], lambda ids: ids + ids[:1], lambda ids: [],
                   lambda ids: ids[::-1], lambda ids: ids[:1] + ["sha256:" + "5" * 64]):
        image = fresh(t)
        ids = change([l.diff_id for l in image.layers])
        image = fresh(t, extra={"rootfs": {"type": "layers", "diff_ids": ids}})
        ground.refused(ground.serve(image), CONTENT, says="diff|layers", beside=False)
    ground.good_pull()


@test
def another_images_config(t):
    """A manifest that names the config of another image, with a layer of its own: refused, also
    where that image and its layers are present."""
    ground = Ground(t)
    evil = Image([mkimage.layer(mkimage.Tar().add("bin/hello", b"evil", mode=0o755))])
    evil.config = t.image("tiny").config
    evil.seal()
    ground.refused(ground.serve(evil), CONTENT)
    evil.config = ground.base.config
    evil.seal()
    for compression in ("gzip", "none", "zstd"):
        one = Image([mkimage.layer(mkimage.Tar().add("bin/hello", b"evil"), compression)])
        one.config = ground.base.config
        ground.refused(ground.serve(one.seal()), CONTENT, says="DiffID", beside=False)
    ground.refused(ground.serve(evil), CONTENT, says="DiffID")
    for name in (t.real().ref("attack/base"), ground.base.id):
        t.has(t.podman_run(ground.store, name, "/bin/hello", "hello").out, "hello from the image")


@test
def manifests_that_are_not_one_thing(t):
    ground = Ground(t)
    good = fresh(t)
    body = json.loads(good.manifest.read())
    layer, config = body["layers"][0], body["config"]
    texts = {
        "both": dict(body, manifests=[]),
        "duplicate": good.manifest.read().decode().replace('"config":', '"config": {}, "config":'),
        "case": dict(body, Layers=[]),
        "mediaType": dict(body, mediaType=mkimage.TYPES["docker"]["manifest"]),
        "schema": dict(body, schemaVersion=3), "no layers": {k: v for k, v in body.items()
                                                             if k != "layers"},
        "size": dict(body, layers=[dict(layer, size=-1)]),
        "float": dict(body, layers=[dict(layer, size=1.5)]),
        "huge": good.manifest.read().decode().replace(str(layer["size"]), str(1 << 63)),
        "digest": dict(body, layers=[dict(layer, digest="sha256:" + "A" * 64)]),
        "path": dict(body, layers=[dict(layer, digest="sha256:../../../../etc/passwd")]),
        "md5": dict(body, layers=[dict(layer, digest="md5:" + "0" * 32)]),
        "type": dict(body, config=[config]), "trailing": json.dumps(body) + "{}",
        "bom": "\ufeff" + json.dumps(body), "nan": json.dumps(dict(body, x=float("nan"))),
        "deep": json.dumps(dict(body, x=0))[:-2] + "[" * 40 + "]" * 40 + "}",
        "very deep": "[" * 1000000, "empty": "", "nul": json.dumps(dict(body, x="\0")),
        "utf8": b'{"x": "\xff\xfe"}', "array": [body],
    }
    for label, text in texts.items():
        if not isinstance(text, (str, bytes)):
            text = json.dumps(text)
        ground.refused(ground.serve(with_manifest(fresh(t), text)), CONTENT, beside=False)
    ground.good_pull()


@test
def unknown_media_types(t):
    ground = Ground(t)
    for change in ({"config": "application/vnd.example.config+json"},
                   {"layer": "application/vnd.example.layer.tar+gzip"},
                   {"layer": "application/vnd.oci.image.layer.v1.tar+bzip2"},
                   {"layer": "application/vnd.oci.image.layer.v1.tar+encrypted"}):
        image = fresh(t)
        body = json.loads(image.manifest.read())
        if "config" in change:
            body["config"]["mediaType"] = change["config"]
        else:
            body["layers"][0]["mediaType"] = change["layer"]
        ref = ground.serve(with_manifest(image, json.dumps(body)))
        ground.refused(ref, CONTENT, says="type|support", beside=False)
    for media_type in ("text/html", "application/vnd.example.manifest+json"):
        ref = ground.serve(with_manifest(fresh(t), json.dumps({"schemaVersion": 2}), media_type))
        ground.refused(ref, [5, CONTENT], beside=False)
    ground.good_pull()


@test
def schema_1(t):
    ground = Ground(t)
    body = {"schemaVersion": 1, "name": "x", "tag": "y", "architecture": "amd64",
            "fsLayers": [{"blobSum": "sha256:" + "0" * 64}], "history": [{"v1Compatibility": "{}"}]}
    for media_type in ("application/vnd.docker.distribution.manifest.v1+json",
                       "application/vnd.docker.distribution.manifest.v1+prettyjws"):
        ref = ground.serve(with_manifest(fresh(t), json.dumps(body), media_type))
        ground.refused(ref, CONTENT, says="schema", beside=False)
    ground.good_pull()


@test
def too_many_layers(t):
    """127 are fine, 128 are not."""
    ground = Ground(t)
    layers = [mkimage.layer(mkimage.Tar().add("f%d" % i, b"%d" % i), "none") for i in range(128)]
    ground.refused(ground.serve(Image(layers)), CONTENT, says="layers", beside=False)
    t.pull(t.store(), "-q", ground.serve(Image(layers[:127])))
    ground.good_pull()


@test
def big_documents(t):
    """4 MiB are fine, one byte more is not; sizes that lie are not either."""
    ground, limit = Ground(t), 4 << 20

    def padded(size):
        image = fresh(t)
        text = image.manifest.read()
        return with_manifest(image, text + b" " * (size - len(text)))

    ground.refused(ground.serve(padded(limit + 1)), CONTENT, beside=False)
    t.pull(t.store(), "-q", ground.serve(padded(limit)))
    image = fresh(t)
    for size in (image.config.size - 1, image.config.size + 1):
        body = json.loads(fresh(t).manifest.read())
        body["config"]["size"] = size
        ground.refused(ground.serve(with_manifest(fresh(t), json.dumps(body))), [5, CONTENT],
                       beside=False)
    ground.good_pull()


@test
def platform_that_the_index_lacks(t):
    ground = Ground(t)
    ground.refused(ground.serve(t.image("index")), [1, CONTENT], "--platform", "linux/mips64le",
                   says="platform|mips64le", beside=False)
    unknown = Index([fresh(t)], platforms=[{"architecture": "unknown", "os": "unknown"}])
    ground.refused(ground.serve(unknown), [1, CONTENT], says="platform")


@test
def hostile_indexes(t):
    ground, image = Ground(t), fresh(t)
    nested = Index([Index([image])], platforms=[image.platform])
    ground.refused(ground.serve(nested), CONTENT, beside=False)
    index = Index([image])
    entry = json.loads(index.manifest.read())["manifests"][0]
    for entries in ([dict(entry, size=entry["size"] + 1)], [dict(entry, size=-1)],
                    [dict(entry, digest="sha256:" + "1" * 64)], [entry] * 1025, "x",
                    [dict(entry, digest="sha512:" + "0" * 128)]):
        ground.refused(ground.serve(Index([image]).seal(manifests=entries)), [1, 5, CONTENT],
                       beside=False)
    ground.good_pull()


@test
def configs_that_lie(t):
    ground = Ground(t)
    for extra in ({"rootfs": {"type": "x", "diff_ids": []}}, {"rootfs": None}, {"config": []},
                  {"architecture": 5}, {"history": "x"}, {"os": {"a": 1}},
                  {"rootfs": {"type": "layers", "diff_ids": ["sha256:zz"]}}):
        ground.refused(ground.serve(fresh(t, extra=extra)), CONTENT, beside=False)
    ground.good_pull()


@test
def a_tag_that_serves_other_bytes(t):
    """A digest pins: the registry answers with another, valid manifest."""
    ground, other = Ground(t), t.image("docker")
    image = fresh(t)
    ref = ground.serve(image)
    ground.server.add(other, "attack/bad")
    ground.server.manifest_of[("attack/bad", image.manifest.digest)] = (
        other.manifest, other.media_type)
    ground.refused(ref.rsplit(":", 1)[0] + "@" + image.manifest.digest, CONTENT, says="hash|digest")

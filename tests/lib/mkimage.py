"""Container images made on the spot: layers, configs, manifests, indexes, and how to push them.

An image is plain data (class Image): tests bend any part of it before it is pushed to a real
registry or handed to the scripted one.
"""
import contextlib
import hashlib
import http.client
import json
import os
import subprocess
import urllib.parse
import zlib

from tarmake import Tar

OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker."
TYPES = {
    "oci": {"manifest": OCI + "manifest.v1+json", "index": OCI + "index.v1+json",
            "config": OCI + "config.v1+json", "none": OCI + "layer.v1.tar",
            "gzip": OCI + "layer.v1.tar+gzip", "zstd": OCI + "layer.v1.tar+zstd"},
    "docker": {"manifest": DOCKER + "distribution.manifest.v2+json",
               "index": DOCKER + "distribution.manifest.list.v2+json",
               "config": DOCKER + "container.image.v1+json",
               "none": DOCKER + "image.rootfs.diff.tar",
               "gzip": DOCKER + "image.rootfs.diff.tar.gzip"},
}


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Blob:
    """Bytes under a digest: in memory, or in a file that is never read whole."""

    def __init__(self, data=None, path=None, digest=None, size=None):
        self.data, self.path = data, path
        self.digest = digest or sha256(data)
        self.size = len(data) if size is None else size

    def open(self):
        import io
        return open(self.path, "rb") if self.path else io.BytesIO(self.data)

    def read(self):
        with self.open() as file:
            return file.read()


class Layer:
    def __init__(self, blob, diff_id, form="gzip", diff_size=None, tar=None):
        self.blob, self.diff_id, self.form = blob, diff_id, form
        self.diff_size, self.tar = diff_size, tar


def gzip_member(data, level=6):
    packer = zlib.compressobj(level, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


def zstd(data, *options):
    return subprocess.run(["zstd", "-q", "-c", *options], input=data, check=True,
                          stdout=subprocess.PIPE).stdout


def compress(data, form):
    """form: none, gzip, zstd, gzip-multi (members cut at odd places), zstd-long (2^27 window)."""
    if form == "none":
        return data
    if form == "gzip":
        return gzip_member(data)
    if form == "gzip-multi":
        cuts = [0, 1, 511, 513, 4096, 70001, len(data)]
        cuts = sorted({min(c, len(data)) for c in cuts})
        return b"".join(gzip_member(data[a:b]) for a, b in zip(cuts, cuts[1:])) + gzip_member(b"")
    if form == "zstd":
        return zstd(data, "-3")
    if form == "zstd-long":
        return zstd(data, "-3", "--long=27")
    raise ValueError(form)


def layer(tar, form="gzip"):
    """A layer from a Tar (closed with two zero blocks) or from bytes that are taken as they are."""
    data = tar.end().bytes() if isinstance(tar, Tar) else tar
    return Layer(Blob(compress(data, form)), sha256(data), form.split("-")[0], len(data), data)


class Image:
    def __init__(self, layers, kind="oci", cmd=("/bin/sh",), arch="amd64", os_name="linux",
                 variant=None, extra=None, annotations=None):
        self.layers, self.kind = layers, kind
        config = {
            "architecture": arch, "os": os_name, "created": "2024-02-03T04:05:06.789Z",
            "config": {"Cmd": list(cmd), "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
                       "Labels": {"made.by": "tests"}, "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [l.diff_id for l in layers]},
            "history": [{"created": "2024-02-03T04:05:06Z", "created_by": "layer %d" % i}
                        for i in range(len(layers))],
        }
        if variant:
            config["variant"] = variant
        config.update(extra or {})
        self.platform = {"architecture": arch, "os": os_name}
        if variant:
            self.platform["variant"] = variant
        self.config = Blob(json.dumps(config).encode())
        self.annotations = annotations
        self.seal()

    def seal(self, **changes):
        """(Re)makes the manifest; changes replace members of it (None removes one)."""
        types = TYPES[self.kind]
        body = {"schemaVersion": 2, "mediaType": types["manifest"],
                "config": {"mediaType": types["config"], "digest": self.config.digest,
                           "size": self.config.size},
                "layers": [{"mediaType": types[l.form], "digest": l.blob.digest,
                            "size": l.blob.size} for l in self.layers]}
        if self.annotations:
            body["annotations"] = self.annotations
        body.update(changes)
        body = {k: v for k, v in body.items() if v is not None}
        self.manifest = Blob(json.dumps(body, indent=3).encode())
        self.media_type = types["manifest"]
        return self

    @property
    def id(self):
        return self.config.digest.split(":")[1]

    def blobs(self):
        return [l.blob for l in self.layers] + [self.config]

    def manifests(self):
        """(blob, media type) of every manifest below and including the top one, children first."""
        return [(self.manifest, self.media_type)]


class Index:
    def __init__(self, images, kind="oci", platforms=None):
        self.images, self.kind = images, kind
        self.seal(platforms)

    def seal(self, platforms=None, **changes):
        entries = []
        for i, image in enumerate(self.images):
            entries.append({"mediaType": image.media_type, "digest": image.manifest.digest,
                            "size": image.manifest.size,
                            "platform": platforms[i] if platforms else image.platform})
        body = {"schemaVersion": 2, "mediaType": TYPES[self.kind]["index"], "manifests": entries}
        body.update(changes)
        self.manifest = Blob(json.dumps(body).encode())
        self.media_type = TYPES[self.kind]["index"]
        return self

    def blobs(self):
        return [b for image in self.images for b in image.blobs()]

    def manifests(self):
        return [m for image in self.images for m in image.manifests()] + [
            (self.manifest, self.media_type)]


class Pusher:
    """Pushes to a registry over plain HTTP; auth is the text of an Authorization header."""

    def __init__(self, host, auth=None):
        self.host, self.auth = host, auth
        self.conn = http.client.HTTPConnection(host, timeout=60)

    def call(self, method, path, body=None, headers=None, expect=(200, 201, 202)):
        headers = dict(headers or {})
        if self.auth:
            headers["Authorization"] = self.auth
        self.conn.request(method, path, body=body, headers=headers)
        answer = self.conn.getresponse()
        text = answer.read()
        if answer.status not in expect:
            raise RuntimeError("%s %s: %d %s" % (method, path, answer.status, text[:300]))
        return answer

    def blob(self, name, blob):
        found = self.call("HEAD", "/v2/%s/blobs/%s" % (name, blob.digest), expect=(200, 404))
        if found.status == 200:
            return
        place = self.call("POST", "/v2/%s/blobs/uploads/" % name).headers["Location"]
        place = urllib.parse.urlsplit(place)
        target = place.path + "?" + (place.query + "&" if place.query else "") + \
            urllib.parse.urlencode({"digest": blob.digest})
        with blob.open() as body:
            self.call("PUT", target, body, {"Content-Type": "application/octet-stream",
                                            "Content-Length": str(blob.size)})

    def image(self, image, name, tag="latest"):
        for blob in image.blobs():
            self.blob(name, blob)
        for manifest, media_type in image.manifests():
            last = manifest is image.manifest
            self.call("PUT", "/v2/%s/manifests/%s" % (name, tag if last else manifest.digest),
                      manifest.read(), {"Content-Type": media_type})
        return "%s/%s:%s" % (self.host, name, tag)


def push(host, image, name, tag="latest", auth=None):
    pusher = Pusher(host, auth)
    with contextlib.closing(pusher.conn):
        return pusher.image(image, name, tag)


class HashingFile:
    """A layer streamed to disk: the tar goes in, both digests and both sizes come out."""

    def __init__(self, path, form="gzip", level=4):
        self.path, self.form = path, form
        self.inner, self.outer = hashlib.sha256(), hashlib.sha256()
        self.inner_size = self.outer_size = 0
        self.file = open(path, "wb")
        self.packer = zlib.compressobj(level, zlib.DEFLATED, 31) if form == "gzip" else None

    def put(self, data):
        self.outer.update(data)
        self.outer_size += len(data)
        self.file.write(data)

    def write(self, data):
        self.inner.update(data)
        self.inner_size += len(data)
        self.put(self.packer.compress(data) if self.packer else data)

    def close(self):
        if self.packer:
            self.put(self.packer.flush())
        self.file.close()
        blob = Blob(path=self.path, digest="sha256:" + self.outer.hexdigest(),
                    size=self.outer_size)
        return Layer(blob, "sha256:" + self.inner.hexdigest(), self.form, self.inner_size)


def recompress(old, path, level="-3", window=None):
    """The same layer as zstd in a file."""
    options = ["--long=%d" % window] if window else []
    subprocess.run("gzip -dc < %s | zstd -q -f %s %s -T2 -o %s" %
                   (old.blob.path, level, " ".join(options), path), shell=True, check=True)
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for piece in iter(lambda: file.read(1 << 20), b""):
            digest.update(piece)
    blob = Blob(path=path, digest="sha256:" + digest.hexdigest(), size=os.path.getsize(path))
    return Layer(blob, old.diff_id, "zstd", old.diff_size)

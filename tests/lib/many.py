"""Stores of thousands of images, written as containers/storage writes them: records, documents,
links and (almost empty) trees. Much faster than pulls; podman lists and mounts what lies there."""
import base64
import hashlib
import json
import os
import random

CHAINS, DEPTH = 20, 3  # of layers that images share
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def put(path, data):
    with open(path, "wb", opener=lambda p, f: os.open(p, f, 0o600)) as file:
        file.write(data if isinstance(data, bytes) else data.encode())


def hexed(text):
    return hashlib.sha256(text.encode()).hexdigest()


def key_file(key):
    return "=" + base64.b64encode(key.encode()).decode() if not key.isalnum() else key


class Filler:
    def __init__(self, store, label, trees):
        self.root, self.runroot, self.label, self.trees = store.root, store.runroot, label, trees
        self.layers, self.images, self.links, self.rng = [], [], {}, random.Random(label)
        for name in ("overlay", "overlay/l", "overlay-layers", "overlay-images",
                     "overlay-containers"):
            os.makedirs("%s/%s" % (self.root, name), mode=0o700, exist_ok=True)

    def layer(self, diff_id, parent=None):
        """The record and the tree of a layer; its ID as containers/storage computes it."""
        ident = diff_id if parent is None else hexed("sha256:%s sha256:%s" % (parent, diff_id))
        size = self.rng.randrange(2048, 50 << 20, 512)
        record = {"id": ident, "created": "2026-01-02T03:04:05.678901234Z",
                  "compressed-diff-digest": "sha256:" + hexed("blob " + diff_id),
                  "compressed-size": size // 3, "diff-digest": "sha256:" + diff_id,
                  "diff-size": size, "compression": 2, "uidset": [0], "gidset": [0]}
        if parent:
            record = {"id": ident, "parent": parent, **record}
        self.layers.append(record)
        if self.trees:
            self.tree(ident, parent)
        return ident

    def tree(self, ident, parent):
        base, link = "%s/overlay/%s" % (self.root, ident), "".join(self.rng.choices(LETTERS, k=26))
        for name in ("", "/diff", "/work", "/merged") + (() if parent else ("/empty",)):
            os.mkdir(base + name, 0o755 if name == "/diff" else 0o700)
        put(base + "/link", link)
        os.symlink("../%s/diff" % ident, "%s/overlay/l/%s" % (self.root, link))
        self.links[ident] = [link] + self.links.get(parent, [])
        if parent:
            put(base + "/lower", ":".join("l/" + n for n in self.links[parent]))

    def image(self, number, chain, own, names, config):
        """chain: (diff ids, layer ids) that are there; own: with a layer of its own on top."""
        diffs, top = list(chain[0]), chain[1][-1]
        if own:
            diffs.append(hexed("own %s %d" % (self.label, number)))
            top = self.layer(diffs[-1], top)
        config = json.dumps(dict(config, rootfs={"type": "layers", "diff_ids": [
            "sha256:" + d for d in diffs]})).encode()
        ident = hashlib.sha256(config).hexdigest()
        kind = "application/vnd.oci.image."
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": kind + "manifest.v1+json",
            "config": {"mediaType": kind + "config.v1+json", "digest": "sha256:" + ident,
                       "size": len(config)},
            "layers": [{"mediaType": kind + "layer.v1.tar+gzip", "size": 1000,
                        "digest": "sha256:" + hexed("blob " + d)} for d in diffs],
            "annotations": {"org.opencontainers.image.title": "image %d" % number}}).encode()
        digest = "sha256:" + hashlib.sha256(manifest).hexdigest()
        items = {"sha256:" + ident: config, "manifest-" + digest: manifest, "manifest": manifest}
        os.mkdir("%s/overlay-images/%s" % (self.root, ident), 0o700)
        for key, data in items.items():
            put("%s/overlay-images/%s/%s" % (self.root, ident, key_file(key)), data)
        self.images.append({
            "id": ident, "digest": digest, "names": names, "layer": top, "metadata": "{}",
            "big-data-names": list(items), "big-data-sizes": {k: len(d) for k, d in items.items()},
            "big-data-digests": {k: "sha256:" + hashlib.sha256(d).hexdigest()
                                 for k, d in items.items()},
            "created": "2026-01-02T03:04:05.678901234Z"})
        return ident

    def save(self):
        """With the token of a store in use in the mount points' lock, too: podman reads layers.json
        anew at every turn where it is missing, 12 times an image."""
        os.makedirs(self.runroot + "/overlay-layers", mode=0o700, exist_ok=True)
        put(self.runroot + "/overlay-layers/mountpoints.lock", self.rng.randbytes(64))
        for kind, records in (("layers", self.layers), ("images", self.images)):
            folder = "%s/overlay-%s" % (self.root, kind)
            put(folder + "/%s.lock" % kind, self.rng.randbytes(64))
            os.chmod(folder + "/%s.lock" % kind, 0o644)
            put(folder + "/%s.json" % kind, json.dumps(records, separators=(",", ":")))


def fill(store, count, own=False, names=1, padding="", trees=None, label="many"):
    """Writes `count` images into the empty store; returns their ids in order. own: a layer each.
    names: tags an image. padding: makes names longer. trees: with directories of layers, which
    only mounting needs (default: as own)."""
    filler = Filler(store, label, own if trees is None else trees)
    chains = []
    for chain in range(CHAINS):
        diffs = [hexed("%s %d %d" % (label, chain, d)) for d in range(DEPTH)]
        ids = []
        for diff in diffs:
            ids.append(filler.layer(diff, ids[-1] if ids else None))
        chains.append((diffs, ids))
    made = []
    for number in range(count):
        base = "registry.example.com/team%d/%sapp%d" % (number % 50, padding, number)
        config = {"architecture": "amd64", "os": "linux", "created": "2026-01-02T03:04:05Z",
                  "config": {"User": str(1000 + number % 7), "Cmd": ["/app"],
                             "Env": ["PATH=/usr/bin:/bin", "N=%d" % number],
                             "Labels": {"number": str(number)}},
                  "history": [{"created_by": "RUN step %d" % s} for s in range(DEPTH + own)]}
        made.append(filler.image(number, chains[number % CHAINS], own,
                                 ["%s:v%d" % (base, n) for n in range(names)], config))
    filler.save()
    return made

"""Fills a graph root with records of many images: many.py GRAPH IMAGES [LAYERS-EACH [files]].

Every image has its own layers on a base that all share. With `files` the directories, links, tar-split
files and documents that the records name are there too, so that a check finds nothing."""
import base64, hashlib, json, os, sys

graph, count = sys.argv[1], int(sys.argv[2])
each = int(sys.argv[3]) if len(sys.argv) > 3 else 3
files = len(sys.argv) > 4


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def link_of(layer):
    return base64.b32encode(bytes.fromhex(sha("link" + layer)))[:26].decode()


def write(path, data, mode=0o600):
    with open(path, "wb") as f:
        f.write(data)
    os.chmod(path, mode)


def item_file(key):
    plain = all(c in "0123456789abcdefghijklmnopqrstuvwxyz." for c in key)
    return key if plain else "=" + base64.b64encode(key.encode()).decode()


layers, images, chains = [], [], {}


def layer(name, parent):
    lid = sha(name)
    if lid in chains:
        return lid
    chains[lid] = ([] if parent is None else [parent] + chains[parent])
    rec = {"id": lid}
    if parent:
        rec["parent"] = parent
    rec.update({
        "created": "2026-03-01T10:20:30.123456789Z",
        "compressed-diff-digest": "sha256:" + sha("blob" + name), "compressed-size": 30000001,
        "diff-digest": "sha256:" + sha("diff" + name), "diff-size": 80000003, "compression": 2,
        "uidset": [0, 33, 1000], "gidset": [0, 33, 1000], "flags": {"bulkhead.access": "public"}})
    layers.append(rec)
    if files:
        at = f"{graph}/overlay/{lid}"
        os.makedirs(at + "/diff", exist_ok=True)
        for d in ["work", "merged"] + ([] if parent else ["empty"]):
            os.makedirs(f"{at}/{d}", mode=0o700, exist_ok=True)
        write(at + "/link", link_of(lid).encode(), 0o644)
        if parent:
            write(at + "/lower", ":".join("l/" + link_of(p) for p in chains[lid]).encode(), 0o644)
        os.symlink(f"../{lid}/diff", f"{graph}/overlay/l/{link_of(lid)}")
        write(f"{graph}/overlay-layers/{lid}.tar-split.gz", b"x")
    return lid


for i in range(count):
    top = layer("base", None)
    for k in range(each - 1):
        top = layer(f"layer {i} {k}", top)
    config = f"config {i}".encode()
    manifest, index = f"manifest {i}".encode(), f"index {i}".encode()
    iid, m, x = (hashlib.sha256(b).hexdigest() for b in (config, manifest, index))
    items = [("sha256:" + iid, config, iid), ("manifest-sha256:" + x, index, x),
             ("manifest-sha256:" + m, manifest, m), ("manifest", manifest, m)]
    names = [f"registry{i % 7}.example.com/team{i % 50}/service-{i}:v1.{i % 30}"]
    if i % 3 == 0:
        names.append(f"registry{i % 7}.example.com/team{i % 50}/service-{i}:latest")
    images.append({
        "id": iid, "digest": "sha256:" + x, "names": names, "names-history": names, "layer": top,
        "metadata": "{}", "big-data-names": [k for k, _, _ in items],
        "big-data-sizes": {k: len(b) for k, b, _ in items},
        "big-data-digests": {k: "sha256:" + d for k, _, d in items},
        "created": "2026-02-01T10:20:30.123456789Z"})
    if files:
        os.makedirs(f"{graph}/overlay-images/{iid}", mode=0o700, exist_ok=True)
        for key, data, _ in items:
            write(f"{graph}/overlay-images/{iid}/{item_file(key)}", data)

for name, recs in (("overlay-layers/layers.json", layers), ("overlay-images/images.json", images)):
    write(f"{graph}/{name}.new", json.dumps(recs, separators=(",", ":")).encode())
    os.rename(f"{graph}/{name}.new", f"{graph}/{name}")

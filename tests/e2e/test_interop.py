"""bulkhead, podman, skopeo and buildah in one store."""
import gzip
import hashlib
import json
import os
import tarfile
import threading

from harness import test
import images
from stores import compare_trees, reassembled, tar_split_items, tree
from tarmake import Tar

COMPARED = ["small_files", "huge_files", "whiteouts", "links", "devices", "xattrs", "odd_names",
            "owners", "zstd", "docker", "forms"]


def named_directories(data):
    """Paths of the directories that a tar has entries for, cleaned, as bytes."""
    import io
    found = set()
    with tarfile.open(fileobj=io.BytesIO(data), errors="surrogateescape",
                      ignore_zeros=False) as tar:
        for member in tar:
            if member.isdir():
                found.add(os.path.normpath(os.fsencode(member.name)).lstrip(b"/"))
    return found


def compare(t, name, disk):
    real, image = t.real(), t.image(name)
    ref = real.push(image, "interop/" + name)
    theirs, ours = t.store(disk), t.store(disk)
    t.podman_pull(theirs, ref)
    t.pull(ours, ref)
    t.eq([l["id"] for l in ours.chain(image.id)], [l["id"] for l in theirs.chain(image.id)],
         "layer ids")
    for record, layer in zip(theirs.chain(image.id), image.layers):
        trees = [tree(s.diff(record["id"])) for s in (theirs, ours)]
        named = named_directories(layer.tar) if layer.tar else set()
        implied = {p for p, f in trees[0].items() if "content" not in f} - named
        problems = compare_trees(*trees, implied=implied)
        t.eq(problems, [], "%s, layer %s" % (name, record["id"][:12]))
        mine = next(l for l in ours.layers() if l["id"] == record["id"])
        for member in ("diff-digest", "diff-size", "compressed-diff-digest", "compressed-size",
                       "compression", "uidset", "gidset", "parent"):
            t.eq(mine.get(member), record.get(member), "%s of %s" % (member, name))
        if name != "links":  # a payload behind a link of the layer is kept as segments
            splits = [tar_split_items(s.tar_split(record["id"])) for s in (theirs, ours)]
            t.eq(splits[1], splits[0], "tar-split of " + name)
        t.eq(reassembled(ours, record["id"]), layer.diff_id, "reassembled")


def comparing(name):
    def run(t):
        compare(t, name, disk=name == "xattrs")
    run.__name__ = "same_tree_as_podman_" + name
    run.__module__ = __name__
    return run


for each in COMPARED:
    test(comparing(each))


@test
def sparse_files_hold_the_same(t):
    """podman stores them expanded but cannot export them; ours reassembles too."""
    real, image = t.real(), t.image("sparse")
    ref = real.push(image, "interop/sparse")
    theirs, ours = t.store(), t.store()
    t.podman_pull(theirs, ref)
    t.pull(ours, ref)
    layer = ours.layers()[0]["id"]
    a, b = (tree(s.diff(layer))[b"opt/sparse"]["content"] for s in (theirs, ours))
    t.eq(b, a, "content")
    t.eq(reassembled(ours, layer), image.layers[0].diff_id, "reassembled")


@test
def podman_uses_what_we_wrote(t):
    real, store = t.real(), t.store()
    for name in ("whiteouts", "index", "docker", "zstd"):
        image = t.image(name)
        ref = real.push(image, "interop/use-" + name)
        t.pull(store, ref)
        chosen = image if name != "index" else image.images[1]
        use_image(t, store, ref, image, chosen)
        if name != "zstd":  # podman saves no zstd layers in Docker's form, its own neither
            save_image(t, store, ref, chosen)
    t.has(t.podman(store, "images", "--digests", "--no-trunc").out,
          t.image("index").manifest.digest, "the list's digest")


def use_image(t, store, ref, image, chosen):
    shown = json.loads(t.podman(store, "image", "inspect", ref).out)[0]
    t.eq(shown["Id"], chosen.id, "id")
    t.eq(shown["RootFS"]["Layers"], [l.diff_id for l in chosen.layers], "DiffIDs")
    repository = ref.rsplit(":", 1)[0]
    for digest in {image.manifest.digest, chosen.manifest.digest}:
        t.podman(store, "image", "exists", "%s@%s" % (repository, digest))
        t.ok("%s@%s" % (repository, digest) in shown["RepoDigests"], "RepoDigests", digest)
    t.eq(len(t.podman(store, "history", "-q", ref).out.split()), len(chosen.layers), "history")
    t.podman(store, "image", "tree", ref)
    t.has(t.podman_run(store, ref, "/bin/hello", "hello").out, "hello from the image")
    mounted = t.podman(store, "image", "mount", ref).out.strip()
    t.ok(os.path.exists(mounted + "/bin/hello"), "mounted")
    t.podman(store, "image", "umount", ref)


def save_image(t, store, ref, image):
    path = store.tmp + "/saved.tar"
    t.podman(store, "save", "-q", "-o", path, ref)
    with tarfile.open(path) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))[0]
        found = [hashlib.sha256(tar.extractfile(n).read()).hexdigest() for n in manifest["Layers"]]
    t.eq(["sha256:" + f for f in found], [l.diff_id for l in image.layers], "podman save")
    os.unlink(path)


@test
def whiteouts_hide(t):
    real, store = t.real(), t.store()
    ref = real.push(t.image("whiteouts"), "interop/hide")
    t.pull(store, ref)
    out = t.podman_run(store, ref, "/bin/hello", "/var/gone", "/var/gone/0", "/var/gone/again",
                       "/var/file", "/var/link", "/var/emptied/0", "/var/emptied/new",
                       "/var/emptied2/1", "/var/emptied2/new", "/var/kept/0", "/var/kept/1").out
    hidden = [l.split()[0] for l in out.splitlines() if l.endswith("absent")]
    t.eq(hidden, ["/var/gone/0", "/var/link", "/var/emptied/0", "/var/emptied2/1", "/var/kept/1"],
         "hidden")


@test
def skopeo_exports_the_same_diffids(t):
    real, store = t.real(), t.store()
    for name in ("small_files", "links", "odd_names", "docker", "owners", "sparse"):
        image = t.image(name)
        ref = real.push(image, "interop/export-" + name)
        t.pull(store, ref)
        target = t.folder + "/oci-" + name
        t.skopeo(store, "copy", "-q", t.storage_name(store, ref), "oci:%s:x" % target)
        t.eq(exported(target), [l.diff_id for l in image.layers], name)


def exported(folder):
    def blob(digest):
        return "%s/blobs/sha256/%s" % (folder, digest.split(":")[1])
    with open(folder + "/index.json") as file:
        top = json.load(file)["manifests"][0]["digest"]
    with open(blob(top)) as file:
        manifest = json.load(file)
    found = []
    for layer in manifest["layers"]:
        with open(blob(layer["digest"]), "rb") as file:
            data = file.read()
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        found.append("sha256:" + hashlib.sha256(data).hexdigest())
    return found


@test
def buildah_builds_on_top(t):
    real, store = t.real(), t.store()
    ref = real.push(t.image("three"), "interop/build")
    t.pull(store, ref)
    name = t.buildah(store, "from", "--pull-never", ref).out.strip()
    t.buildah(store, "copy", "-q", name, t.write("added", "added by buildah"), "/opt/added")
    t.buildah(store, "commit", "-q", name, "example.com/built:1")
    t.buildah(store, "rm", name)
    t.has(t.podman_run(store, "example.com/built:1", "/bin/hello", "/opt/added").out,
          "/opt/added present")
    listed = t.bulkhead(store, "images").out
    t.has(listed, "example.com/built", "images")
    t.bulkhead(store, "rmi", ref)
    t.has(t.podman_run(store, "example.com/built:1", "/bin/hello", "hello").out, "hello")
    t.bulkhead(store, "rmi", "example.com/built:1")
    t.eq((store.images(), store.layers()), ([], []), "store")


@test
def podman_removes_what_we_wrote(t):
    real, store = t.real(), t.store()
    for name in ("whiteouts", "index"):
        ref = real.push(t.image(name), "interop/remove-" + name)
        t.pull(store, ref)
        t.podman(store, "rmi", ref)
        t.eq((store.images(), store.layers(), store.strays()), ([], [], []), name)
        t.eq(store.listing("overlay/l"), [], "links")
        t.eq(len(store.listing("overlay-layers")), len(
            [n for n in store.listing("overlay-layers") if not n.endswith(".gz")]), "tar-splits")


@test
def twenty_rounds_of_pulls_at_once(t):
    """podman and bulkhead pull different and equal images into one store at the same time."""
    real, store, rounds = t.real(), t.store(), 40 if t.long else 20
    shared = images.layer(Tar().add("opt/shared", images.text(200000, 1)))
    for number in range(rounds):
        made = [images.Image([shared, images.layer(Tar().add("opt/n", "%d %d" % (number, i)))])
                for i in range(3)]
        refs = [real.push(m, "interop/round%d-%d" % (number, i)) for i, m in enumerate(made)]
        jobs = [t.start(t.podman_argv(store, "pull", "-q", "--tls-verify=false", ref),
                        {"TMPDIR": store.tmp}) for ref in (refs[0], refs[2])]
        jobs += [t.start(t.bulkhead_argv(store, "pull", "-q", "--tls-verify=false", ref))
                 for ref in (refs[1], refs[2])]
        results = gather(t, jobs)
        for result in results:
            t.eq(result.code, 0, "round %d: %s" % (number, result))
        ids = {i["id"]: i for i in store.images()}
        for image, ref in zip(made, refs):
            t.ok(image.id in ids, "round %d: %s is lost" % (number, ref))
            t.ok(ref in ids[image.id].get("names", []), "round %d: %s has no name" % (number, ref))
            t.eq([l["diff-digest"] for l in store.chain(image.id)],
                 [l.diff_id for l in image.layers], "round %d" % number)
    one, two = (sorted(t.run(argv).out.split()) for argv in (
        t.podman_argv(store, "images", "-q", "--no-trunc"),
        t.bulkhead_argv(store, "images", "-q", "--no-trunc")))
    t.eq([i.split(":")[-1] for i in one], [i.split(":")[-1] for i in two], "lists")
    t.eq(store.strays(), [], "strays")
    for layer in store.layers():
        t.eq(reassembled(store, layer["id"]), layer["diff-digest"], "layer")


def gather(t, jobs):
    """All results; communicate() of each in a thread of its own, so that no pipe fills up."""
    results = [None] * len(jobs)

    def wait(i):
        results[i] = t.finish(jobs[i], 120)

    threads = [threading.Thread(target=wait, args=(i,)) for i in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    t.ok(all(results), "a pull did not end")
    return results


@test
def records_we_do_not_know_stay(t):
    """Unknown members and records survive our rewriting of the files."""
    real, store = t.real(), t.store()
    t.podman_pull(store, real.push(t.image("tiny"), "interop/unknown"))
    path = store.root + "/overlay-images/images.json"
    records = store.images()
    records[0]["from-the-future"] = {"a": [1, 2.5, None, "\u00e9\U0001f600"], "big": 10 ** 15}
    with open(path, "w") as file:
        json.dump(records, file)
    lpath = store.root + "/overlay-layers/layers.json"
    layers = store.layers()
    layers[0]["toc-digest-of-tomorrow"] = "x"
    with open(lpath, "w") as file:
        json.dump(layers, file)
    t.pull(store, real.push(t.image("three"), "interop/unknown-2"))
    kept = next(i for i in store.images() if i["id"] == t.image("tiny").id)
    t.eq({k: v for k, v in kept.items() if v != records[0].get(k)}, {}, "image record")
    t.eq(set(records[0]) - set(kept), set(), "members")
    t.eq(next(l for l in store.layers() if l["id"] == layers[0]["id"]).get(
        "toc-digest-of-tomorrow"), "x", "layer record")

"""The verifier that fault tests rest on (tests/lib/verify.py): quiet on whole stores of bulkhead and
of podman, loud about each kind of damage."""
import gzip
import json
import os
import shutil

from harness import test
import images
from verify import problems


def edit_json(store, name, change):
    path = "%s/%s" % (store.root, name)
    with open(path) as file:
        records = json.load(file)
    change(records)
    with open(path, "w") as file:
        json.dump(records, file)


@test
def whole_stores_have_no_problems(t):
    """The catalogue of images, from bulkhead and from podman (whose tar-split of a sparse file
    is of the expanded bytes: verify says so)."""
    real, ours, theirs = t.real(), t.store(), t.store()
    odd = ("forms", "whiteouts", "links", "xattrs", "owners", "odd_names", "devices", "docker_list")
    for name in images.MAKERS if t.long else odd:
        ref = real.push(t.image(name), "verify/" + name.replace("_", "-"))
        t.pull(ours, "-q", ref)
        if name != "sparse":
            t.podman_pull(theirs, ref)
    t.eq(problems(ours.root) + problems(theirs.root), [], "of whole stores")


def damages(store, image):
    """(what is said, how it is done) of a store with one image of several layers."""
    base, top = (store.chain(image)[i]["id"] for i in (0, -1))
    diff, own = store.diff(top), store.root + "/overlay-images/" + image
    some = next(os.path.join(f, n) for f, _, names in os.walk(diff) for n in names)

    def write(path, data):
        with open(path, "r+b") as file:
            file.write(data)

    def layers(change):
        return lambda: edit_json(store, "overlay-layers/layers.json", change)

    def recode(change):
        path = store.tar_split(top)
        with gzip.open(path) as file:
            lines = file.read().splitlines(True)
        with gzip.open(path, "wb") as file:
            file.write(b"".join(change(lines)))

    l = store.root + "/overlay/l/"
    link = l + open("%s/overlay/%s/link" % (store.root, top)).read()
    return [
        ("DiffID", lambda: write(some, b"\xff")),
        ("has not the", lambda: os.truncate(some, 5)),
        ("No such file", lambda: os.unlink(some)),
        ("mode is", lambda: os.chmod(some, 0o600)),
        ("owner is", lambda: os.chown(some, 5, 5)),
        ("mtime is", lambda: os.utime(some, ns=(1, 1))),
        ("xattrs is", lambda: os.setxattr(some, "user.more", b"x")),
        ("not of the layer", lambda: os.mkdir(diff + "/more")),
        ("is opaque", lambda: os.setxattr(diff, "trusted.overlay.opaque", b"y")),
        ("mode 40700 of", lambda: os.chmod(diff, 0o700)),
        ("DiffID", lambda: recode(lambda lines: lines[:-1])),
        ("line 1", lambda: recode(lambda lines: lines[:1] + lines[2:])),
        ("tar-split.gz", lambda: os.unlink(store.tar_split(top))),
        ("Compressed file ended", lambda: os.truncate(store.tar_split(top), 100)),
        ("No such file", lambda: os.unlink(link)),
        ("elsewhere", lambda: (os.unlink(link), os.symlink("../%s/diff" % base, link))),
        ("overlay/l/A", lambda: os.symlink("../%s/diff" % top, l + "A" * 26)),
        ("lower is not", lambda: write("%s/overlay/%s/lower" % (store.root, top), b"l/AAA")),
        ("link says", lambda: os.truncate("%s/overlay/%s/link" % (store.root, top), 0)),
        ("overlay/" + "c" * 64, lambda: os.mkdir("%s/overlay/%s" % (store.root, "c" * 64))),
        ("work", lambda: os.rmdir("%s/overlay/%s/work" % (store.root, top))),
        ("nothing needs layer", lambda: edit_json(store, "overlay-images/images.json", list.clear)),
        ("no record of layer", layers(lambda r: r.pop())),
        ("overlay/" + top, layers(lambda r: r.pop())),
        ("incomplete", layers(lambda r: r[-1]["flags"].update(incomplete=True))),
        ("another DiffID", layers(lambda r: r[-1].update({"diff-digest": "sha256:" + "0" * 64}))),
        ("not that of parent", layers(lambda r: r[-1].update({"diff-digest": "sha256:" + "0" * 64}))),
        ("records", lambda: os.truncate(store.root + "/overlay-layers/layers.json", 50)),
        ("two records", layers(lambda r: r.append(r[-1]))),
        ("bytes", lambda: os.truncate(own + "/manifest", 9)),
        ("another digest", lambda: write(own + "/manifest", b"[")),
        ("no key has", lambda: shutil.copy(own + "/manifest", own + "/more")),
        ("No such file", lambda: os.unlink(own + "/manifest")),
        ("overlay-images/" + "d" * 64, lambda: os.mkdir(store.root + "/overlay-images/" + "d" * 64)),
        (".tmp-", lambda: open(store.root + "/overlay-images/.tmp-images.jsonx", "w").close()),
        ("bulkhead/" + "e" * 32, lambda: os.mkdir(store.root + "/bulkhead/" + "e" * 32)),
        ("summaries/", lambda: open(store.root + "/bulkhead/summaries/" + "f" * 64, "w").close()),
        ("bulkhead/key", lambda: os.truncate(store.root + "/bulkhead/key", 31)),
    ]


@test
def each_damage_is_seen(t):
    store, image = t.store(), t.image("docker")
    t.pull(store, "-q", t.real().push(image, "verify/docker"))
    kept = store.folder + "/kept"
    t.run(["cp", "-a", store.root, kept])
    t.eq(problems(store.root), [], "before any damage")
    for i, (says, harm) in enumerate(damages(store, image.id)):
        if i:
            shutil.rmtree(store.root)
            t.run(["cp", "-a", kept, store.root])
        harm()
        found = problems(store.root)
        t.ok(any(says in line for line in found), i, says, "is not said:", found)


@test
def a_held_lock_is_seen(t):
    import fcntl
    store = t.store()
    t.bulkhead(store, "images")
    with open(store.root + "/overlay-layers/layers.lock", "a+") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        # Its own process's POSIX locks would not be in anybody's way: another one asks.
        code = "import sys, verify; sys.exit(verify.problems(sys.argv[1]) != [])"
        argv = ["/usr/bin/python3", "-c", code, store.root]
        env = {"PYTHONPATH": os.path.dirname(os.path.abspath(images.__file__))}
        t.run(argv, env=env, expect=1)
        fcntl.lockf(lock, fcntl.LOCK_UN)
        t.run(argv, env=env)

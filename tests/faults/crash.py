"""What kills and power losses share: the images, the requests that are cut short, and how the store
is judged afterwards."""
import json
import os
import shutil

from images import text
from mkimage import Image, Index, layer
from tarmake import Tar
from verify import file_of, problems


def made():
    """Two images that share their base; the second has an index and layers of three kinds."""
    base = layer(Tar().dir("etc").add("etc/base", b"base").dir("var").add("var/gone", b"x"))
    kept = Image([base, layer(Tar().add("etc/kept", b"kept"))])
    middle = Tar().dir("opt", mtime="1500000000.25")
    middle.add("opt/file", b"f" * 70000, mode=0o640, uid=7)
    middle.hardlink("opt/hard", "opt/file", mode=0o640, uid=7).symlink("opt/soft", "file")
    for i in range(12):
        middle.add("opt/more%d" % i, text(9000, i), mtime=1500000000 + i)
    middle.add("opt/attributes", b"a", xattrs={"user.one": b"1"})
    upper = Tar().dir("var").whiteout("var/gone").dir("opt").opaque("opt").add("opt/new", b"n")
    return kept, Index([Image([base, layer(middle, "none"), layer(upper, "zstd")])])


def state(store):
    return frozenset((i["id"], frozenset(i.get("names") or [])) for i in store.images())


class Request:
    """argv: of the command. before, after: state() of the store, when nothing comes between.
    damaged: what is said of what is damaged before names one of these, and it may be said until the
    request was reported to be done."""
    damaged = frozenset()
    config = None

    def __init__(self, ground, name, *argv):
        self.ground, self.t, self.name, self.argv = ground, ground.t, name, argv
        self.before = self.after = None

    def wrong(self, store, **options):
        return [p for p in problems(store.root, **options)
                if not any(d in p for d in self.damaged)]

    def may_be(self, now):
        return now in (self.before, self.after)

    def others(self, store):
        """Every node of the images that stay, whatever happens, and of their layers."""
        stay = {i for i, _ in self.before} & {i for i, _ in self.after}
        stay |= {l["id"] for i in set(stay) for l in store.chain(i)}
        stay -= self.damaged
        return {path: value for path, value in store.snapshot().items()
                if any(part.split(".")[0] in stay for part in path.split("/")[:3])}

    def judge(self, store, promised, label, others=None, podman_first=False):
        """promised: the request was reported to be done. Nobody has been at the store since."""
        t = self.t
        torn = [p for p in self.wrong(store, deep=False) if p.startswith(("records", "image"))]
        t.eq(torn, [], label + ": before anybody recovers it")
        looks = [self.podman_list, self.bulkhead_list]
        lists = [look(store) for look in (looks if podman_first else looks[::-1])]
        t.eq(lists[0], lists[1], label + ": podman's list and bulkhead's")
        now = state(store)
        t.eq(lists[0], now, label + ": what is listed")
        t.ok(self.may_be(now), label, "neither before nor after:", now)
        t.ok(not promised or now == self.after, label, "success was reported:", now)
        t.eq(problems(store.root) if promised else self.wrong(store), [],
             label + ": after recovery")
        if others is not None:
            found = self.others(store)
            t.eq([path for path in others if found.get(path) != others[path]], [],
                 label + ": other images changed")
        gone = now == self.after and self.argv[0] in ("rmi", "untag")
        t.bulkhead(store, *self.argv, config=self.config, expect=[0, 1] if gone else 0)
        t.eq(state(store), self.after, label + ": the same request again")
        t.eq(problems(store.root), [], label + ": after the same request again")

    def podman_list(self, store):
        return self.list_of(self.t.podman(store, "images", "--format", "json").out)

    def bulkhead_list(self, store):
        return self.list_of(self.t.bulkhead(store, "images", "--format", "json").out)

    def list_of(self, text):
        """What `images --format json` says, of either."""
        return frozenset((i["Id"].split(":")[-1], frozenset(i.get("Names") or []))
                         for i in json.loads(text))


class Repair(Request):
    """Of a store in which damage() was done: what it removes goes image by image. Not at idle
    priority, for which a busy machine has no time."""

    def __init__(self, ground, name, *argv):
        super().__init__(ground, name, *argv)
        self.config = ground.t.config(check_rate=0)

    def may_be(self, now):
        return self.after <= now <= self.before

    def damage(self, store):
        """A document of the new image and the trees of two of its layers, one's tar-split too; or
        what lies beside these trees, and the other image's tar-split."""
        kept, new = self.ground.kept.id, self.ground.new.images[0].id
        middle, upper = (l["id"] for l in store.chain(new)[1:])
        link = self.ground.link(store, middle)
        self.damaged = {new, middle, upper, link}
        if "--refetch" in self.argv:
            spoil(store.diff(middle) + "/opt/file", b"ff", b"f-")
            spoil("%s/overlay-images/%s/manifest" % (store.root, new), b"Version", b"VersioN")
            os.truncate(store.tar_split(middle), 99)
            shutil.rmtree("%s/overlay/%s" % (store.root, upper))
        else:
            self.damaged ^= {new, kept, store.chain(kept)[-1]["id"]}
            os.unlink("%s/overlay/%s/link" % (store.root, middle))
            os.unlink("%s/overlay/l/%s" % (store.root, link))
            os.unlink("%s/overlay/%s/lower" % (store.root, upper))
            os.unlink(store.tar_split(store.chain(kept)[-1]["id"]))
        self.damaged |= {name[:12] for name in self.damaged}

    def leave_orphans(self, store):
        nobody, link = "ab" * 32, "A" * 26
        for path in ("overlay/%s/diff" % nobody, "overlay-layers/" + nobody,
                     "overlay-images/" + nobody):
            os.makedirs("%s/%s" % (store.root, path), mode=0o700)
        os.symlink("../%s/diff" % nobody, "%s/overlay/l/%s" % (store.root, link))
        open("%s/overlay-layers/%s.tar-split.gz" % (store.root, nobody), "w").close()
        self.damaged = {nobody, link}


def spoil(path, what, other):
    with open(path, "rb") as file:
        text = file.read()
    with open(path, "wb") as file:
        file.write(text.replace(what, other, 1))


class Ground:
    """A registry with the images, made once in a session; plain: the new one without its index."""

    def __init__(self, t):
        self.t = t
        if not hasattr(t.session, "crash"):
            kept, new = made()
            t.session.crash = (kept, new, *(
                t.real().push(image, "crash/" + name) for name, image in
                (("kept", kept), ("new", new), ("plain", new.images[0]))))
        self.kept, self.new, self.kept_ref, self.new_ref, self.plain_ref = t.session.crash

    def pull(self):
        return Request(self, "pull", "pull", "--tls-verify=false", "-q", self.new_ref)

    def remove(self):
        return Request(self, "rmi", "rmi", self.new_ref)

    def enrich(self):
        """An image that is there gets an index and a name."""
        return Request(self, "pull of what is there", *self.pull().argv)

    def lose_document(self, store):
        """Of the plain image one that podman lists it without."""
        image = self.new.images[0]
        os.unlink("%s/overlay-images/%s/%s" % (store.root, image.id,
                                               file_of("manifest-" + image.manifest.digest)))

    def tag(self):
        """A name that another image has."""
        return Request(self, "tag", "tag", self.new_ref, self.kept_ref)

    def repair(self):
        return Repair(self, "check --repair", "check", "--repair", "--progress", "none")

    def refetch(self):
        return Repair(self, "check --refetch", "check", "--deep", "--repair", "--refetch",
                      "--tls-verify=false", "--progress", "none")

    def link(self, store, layer):
        with open("%s/overlay/%s/link" % (store.root, layer)) as file:
            return file.read()

    def fill(self, store, *refs):
        for ref in refs:
            self.t.pull(store, "-q", ref)

"""What kills and power losses share: the images, the requests that are cut short, and how the store
is judged afterwards."""
import json

from images import text
from mkimage import Image, Index, layer
from tarmake import Tar
from verify import problems


def made():
    """Two images that share their base; the second has an index and layers of three kinds."""
    base = layer(Tar().dir("etc").add("etc/base", b"base").dir("var").add("var/gone", b"x"))
    kept = Image([base, layer(Tar().add("etc/kept", b"kept"))])
    middle = Tar().dir("opt", mtime="1500000000.25")
    middle.add("opt/file", b"f" * 70000, mode=0o640, uid=7)
    middle.hardlink("opt/hard", "opt/file", mode=0o640, uid=7).symlink("opt/soft", "file")
    for i in range(40):
        middle.add("opt/more%d" % i, text(9000, i), mtime=1500000000 + i)
    middle.add("opt/attributes", b"a", xattrs={"user.one": b"1"})
    upper = Tar().dir("var").whiteout("var/gone").dir("opt").opaque("opt").add("opt/new", b"n")
    return kept, Index([Image([base, layer(middle, "none"), layer(upper, "zstd")])])


def state(store):
    return frozenset((i["id"], frozenset(i.get("names") or [])) for i in store.images())


class Request:
    """argv: of the command. before, after: state() of the store, when nothing comes between."""

    def __init__(self, ground, name, *argv):
        self.ground, self.t, self.name, self.argv = ground, ground.t, name, argv
        self.before = self.after = None

    def others(self, store):
        """Every node of the images that stay, whatever happens, and of their layers."""
        stay = {i for i, _ in self.before} & {i for i, _ in self.after}
        stay |= {l["id"] for i in set(stay) for l in store.chain(i)}
        return {path: value for path, value in store.snapshot().items()
                if any(part.split(".")[0] in stay for part in path.split("/")[:3])}

    def judge(self, store, promised, label, others=None, podman_first=False):
        """promised: the request was reported to be done. Nobody has been at the store since."""
        t = self.t
        torn = [p for p in problems(store.root) if p.startswith(("records", "image"))]
        t.eq(torn, [], label + ": before anybody recovers it")
        looks = [self.podman_list, self.bulkhead_list]
        lists = [look(store) for look in (looks if podman_first else looks[::-1])]
        t.eq(lists[0], lists[1], label + ": podman's list and bulkhead's")
        now = state(store)
        t.eq(lists[0], now, label + ": what is listed")
        t.ok(now in (self.before, self.after), label, "neither before nor after:", now)
        t.ok(not promised or now == self.after, label, "success was reported:", now)
        t.eq(problems(store.root), [], label + ": after recovery")
        if others is not None:
            found = self.others(store)
            t.eq([path for path in others if found.get(path) != others[path]], [],
                 label + ": other images changed")
        gone = now == self.after and self.argv[0] in ("rmi", "untag")
        t.bulkhead(store, *self.argv, expect=[0, 1] if gone else 0)
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


class Ground:
    """A registry with the images; plain: the new one without its index."""

    def __init__(self, t):
        self.t, (self.kept, self.new) = t, made()
        self.kept_ref, self.new_ref, self.plain_ref = (
            t.real().push(image, "crash/" + name) for name, image in
            (("kept", self.kept), ("new", self.new), ("plain", self.new.images[0])))

    def pull(self):
        return Request(self, "pull", "pull", "--tls-verify=false", "-q", self.new_ref)

    def remove(self):
        return Request(self, "rmi", "rmi", self.new_ref)

    def enrich(self):
        """An image that is there gets an index and a name."""
        return Request(self, "pull of what is there", *self.pull().argv)

    def tag(self):
        """A name that another image has."""
        return Request(self, "tag", "tag", self.new_ref, self.kept_ref)

    def fill(self, store, *refs):
        for ref in refs:
            self.t.pull(store, "-q", ref)

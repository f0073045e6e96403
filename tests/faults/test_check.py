"""`bulkhead check`: damage of each kind in stores that bulkhead and podman wrote is found, and
nothing else; repair mends or removes just that, refetch brings the same bytes back."""
import base64
import contextlib
import gzip
import json
import os
import shutil
import signal
import time

import harness
from harness import test
from node import Lister, Node
import images
from stores import Store, reassembled
from tarmake import Tar
from verify import problems

ODD = {"podman": ("whiteouts", "forms", "links", "docker"),
       "bulkhead": ("odd_names", "index", "owners", "xattrs")}
YOUNG = 10.5  # seconds: what belongs to nobody may be somebody's work for so long
NOBODY = "ab" * 32
LINK = "A" * 26


def check(t, store, *args, expect=0, **options):
    """[(id, state, finding)]. Not at idle priority: other tests run beside this one."""
    if "config" not in options:
        options["config"] = t.config(check_rate=0)
    result = t.bulkhead(store, "check", "--format", "json", "--progress", "none", *args,
                        expect=expect, timeout=600, **options)
    return [(f["Id"], f["State"], f["Finding"]) for f in json.loads(result.out)]


# Damage --------------------------------------------------------------------------------------

def own_layer(store, image):
    return store.chain(image.id)[-1]["id"]


def file_of(store, image, name="opt/big"):
    return "%s/%s" % (store.diff(own_layer(store, image)), name)


def flip(store, image):
    with open(file_of(store, image), "r+b") as file:
        file.seek(70000)
        file.write(b"\xff")


def lose(store, image):
    os.unlink(file_of(store, image))


def lengthen(store, image):
    with open(file_of(store, image), "ab") as file:
        file.write(b"+")


def other_mode(store, image):
    os.chmod(file_of(store, image, "opt/name"), 0o4755)


def node_lost(store, image):
    """No byte of the tar was in it."""
    os.unlink(file_of(store, image, "opt/link"))


def turn_to_link(store, image):
    os.unlink(file_of(store, image))
    os.symlink("/etc/passwd", file_of(store, image))


def split_cut(store, image):
    path = store.tar_split(own_layer(store, image))
    os.truncate(path, os.path.getsize(path) - 9)


def split_of_another(store, image):
    """Whole in itself, but of other bytes: only the hash tells."""
    with gzip.open(store.tar_split(own_layer(store, image)), "wb") as file:
        file.write(b'{"type":2,"payload":"%s"}\n' % base64.b64encode(bytes(1024)))


def split_lost(store, image):
    os.unlink(store.tar_split(own_layer(store, image)))


def tree_lost(store, image):
    shutil.rmtree(store.diff(own_layer(store, image)))


def link_lost(store, image):
    os.unlink("%s/overlay/%s/link" % (store.root, own_layer(store, image)))


def lower_lost(store, image):
    os.unlink("%s/overlay/%s/lower" % (store.root, own_layer(store, image)))


def short_link_lost(store, image):
    base = "%s/overlay/" % store.root
    with open(base + own_layer(store, image) + "/link") as file:
        os.unlink(base + "l/" + file.read())


def document(store, image):
    return "%s/overlay-images/%s/manifest" % (store.root, image.id)


def document_lost(store, image):
    os.unlink(document(store, image))


def document_changed(store, image):
    with open(document(store, image), "r+b") as file:
        file.write(b"[")


# name -> (does it, of the layer or of the image, what is said of it, does a quick check see it)
KINDS = {
    "flip": (flip, "layer", "other content", False),
    "lose": (lose, "layer", "is missing", False),
    "lengthen": (lengthen, "layer", "another size", False),
    "other-mode": (other_mode, "layer", "\"opt/name\" of its tree has another mode", False),
    "node-lost": (node_lost, "layer", "\"opt/link\" of its tree is missing", False),
    "turn-to-link": (turn_to_link, "layer", "is missing", False),
    "split-cut": (split_cut, "layer", "tar-split file is damaged", False),
    "split-of-another": (split_of_another, "layer", "do not give the layer's bytes", False),
    "split-lost": (split_lost, "layer", "tar-split.gz is missing", True),
    "tree-lost": (tree_lost, "layer", "tree overlay/", True),
    "link-lost": (link_lost, "layer", "link is missing", True),
    "lower-lost": (lower_lost, "layer", "lower does not name", True),
    "short-link-lost": (short_link_lost, "layer", "short link", True),
    "document-lost": (document_lost, "image", "cannot be found", True),
    "document-changed": (document_changed, "image", "do not hash to", False),
}
OF_PODMAN = ("flip", "lose", "other-mode", "node-lost", "split-cut", "split-of-another", "document-lost")
MENDED = ("link-lost", "lower-lost", "short-link-lost")


def make(name, base):
    own = Tar().dir("opt").add("opt/big", images.text(150000, name)).add("opt/name", name).symlink("opt/link", "name")
    return images.Image([base, images.layer(own)], cmd=["/bin/hello", "hello"])


class World:
    """A store with an image for each kind of damage, for some of them one pulled by podman, too,
    and images with odd things in their layers that nothing happens to."""

    def __init__(self, t):
        self.t, self.store, self.born = t, t.store(), time.monotonic()
        self.orphans = orphans(self.store)
        base = images.layer(images.base(t.session))
        self.of = {}
        for writer, kinds in (("bulkhead", KINDS), ("podman", OF_PODMAN)):
            for kind in [*kinds, "good"]:
                name = "%s-%s" % (kind, writer)
                image = make(name, base)
                self.of[name] = (image, t.real().push(image, "check/damage", name))
            for odd in ODD[writer]:
                image = t.image(odd)
                ref = t.real().push(image, "check/" + odd)
                image = image.images[1] if odd == "index" else image
                self.of["good-%s-%s" % (odd, writer)] = (image, ref)
        theirs = [r for n, (_, r) in self.of.items() if n.endswith("podman")]
        t.podman(self.store, "pull", "-q", "--tls-verify=false", *theirs)
        t.pull(self.store, "-q", *[r for n, (_, r) in self.of.items() if r not in theirs])
        self.good = [n for n in self.of if n.startswith("good-")]
        self.bad = {n: KINDS[n.rpartition("-")[0]] for n in self.of if n not in self.good}
        self.mended = [n for n in self.bad if n.rpartition("-")[0] in MENDED]
        self.about = {}

    def damage(self):
        for name, (does, what, _, _) in self.bad.items():
            image = self.of[name][0]
            self.about[name] = own_layer(self.store, image) if what == "layer" else image.id
            does(self.store, image)

    def states(self, rows):
        return {name: {r[1] for r in rows if r[0] == self.about[name]} for name in self.bad}

    def whole(self, store, names):
        """Exported, it is what was pushed."""
        for name in names:
            image = self.of[name][0]
            for record, layer in zip(store.chain(image.id), image.layers):
                self.t.eq(reassembled(store, record["id"]), layer.diff_id, name)


def orphans(store):
    """Of each kind that a program leaves which dies. What is there is made before the pulls, so
    that it is old enough after them."""
    for path in ("overlay/%s/diff" % NOBODY, "overlay/l", "overlay-layers/" + NOBODY,
                 "overlay-images/" + NOBODY):
        os.makedirs("%s/%s" % (store.root, path), mode=0o700)
    os.symlink("../%s/diff" % NOBODY, "%s/overlay/l/%s" % (store.root, LINK))
    for path in ("overlay-layers/%s.tar-split.gz" % NOBODY, "overlay-layers/.tmp-layers.json1",
                 "overlay-images/.tmp-images.json1"):
        open("%s/%s" % (store.root, path), "w").close()
    return 7


def change_record(store, layer, **members):
    records = store.layers()
    next(l for l in records if l["id"] == layer).update(members)
    with open(store.root + "/overlay-layers/layers.json", "w") as file:
        json.dump(records, file)


def incomplete(store, image):
    """As podman leaves a layer that it had begun to delete."""
    layer = own_layer(store, image)
    change_record(store, layer, flags={"incomplete": True})
    return layer


def copy(t, store):
    new = Store("%s/s%d" % (t.folder, len(t.stores)))
    t.stores.append(new)
    t.run(["cp", "-a", store.root + "/.", new.root])
    shutil.rmtree(new.root + "/libpod")  # a database that knows where it lay
    return new


def found_all(t, world, rows, quick=False):
    """A row about each damaged thing that says what it is, and none about others."""
    for name, (_, _, text, seen) in world.bad.items():
        mine = [r for r in rows if r[0] == world.about[name]]
        t.eq(any(text in r[2] for r in mine), seen or not quick, "%s: %s" % (name, mine))
    t.eq({r[0] for r in rows} - set(world.about.values()), set(), "findings about others")


@test
def damage_is_found_and_mended(t):
    world = World(t)
    world.damage()
    store, again, copied = world.store, copy(t, world.store), time.monotonic()
    time.sleep(max(0, world.born + YOUNG - time.monotonic()))
    before = store.snapshot()
    rows = check(t, store, expect=7)
    t.eq({r[1] for r in rows}, {"damaged"}, "a look")
    strays = [r for r in rows if r[0] in ("", NOBODY)]
    t.eq(len(strays), world.orphans, "orphans: %s" % strays)
    found_all(t, world, [r for r in rows if r not in strays], quick=True)
    t.eq(store.snapshot(), before, "a look changes nothing")
    repairs(t, world)
    time.sleep(max(0, copied + YOUNG - time.monotonic()))
    refetches(t, world, again)


@test
def a_tree_for_a_user_namespace_is_whole(t):
    """As podman makes them where mounts cannot shift owners."""
    store, image = t.store(), make("shifted", images.layer(images.base(t.session)))
    t.pull(store, "-q", t.real().push(image, "check/shifted"))
    layer = own_layer(store, image)
    t.run(["chown", "-h", "-R", "100000:100000", store.diff(layer)])
    one = {"container_id": 0, "host_id": 100000, "size": 65536}
    change_record(store, layer, uidmap=[one], gidmap=[one])
    t.eq(check(t, store, "--deep"), [], "shifted")
    change_record(store, layer, uidmap=[], gidmap=[])
    rows = check(t, store, "--deep", expect=7)
    t.ok([r[0] for r in rows] == [layer] and "has another owner" in rows[0][2], rows)


def repairs(t, world):
    """Afterwards nothing is wrong by anybody's word, and what was good is there still."""
    store, kept = world.store, world.mended + world.good
    rows = check(t, store, "--deep", "--repair")
    found_all(t, world, [r for r in rows if r[0] not in ("", NOBODY)])
    states = world.states(rows)
    for name in world.bad:
        t.eq(states[name], {"mended" if name in world.mended else "removed"}, name)
    left = sorted(i["id"] for i in store.images())
    t.eq(left, sorted(world.of[name][0].id for name in kept), "images left")
    t.eq(problems(store.root), [], "after the repair")
    t.eq(check(t, store), [], "after the repair")
    world.whole(store, kept)
    listed = t.podman(store, "images", "-q", "--no-trunc").out.split()
    t.eq(sorted(i.split(":")[-1] for i in listed), left, "podman's list")
    incomplete_goes(t, copy(t, store), world.of["good-bulkhead"][0])
    ref = world.of["lower-lost-bulkhead"][1]
    t.has(t.podman_run(store, ref, "/bin/hello", "/opt/name").out, "present")


def incomplete_goes(t, store, image):
    """In a store that no podman knows: what it leaves behind to clean up would remove that, too."""
    layer = incomplete(store, image)
    rows = check(t, store, "--repair")
    t.eq([r[1] for r in rows if r[0] == layer], ["removed"], "a layer that is marked incomplete")


def refetches(t, world, store):
    """Every image is there again with the same bytes, names and order of names; nothing but what
    was damaged came from the registry; others were not touched."""
    before = {i["id"]: i for i in store.images()}
    tops = {n: store.diff(own_layer(store, world.of[n][0])) for n in world.good}
    inodes = {n: os.stat(top).st_ino for n, top in tops.items()}
    mark = t.real().mark()
    rows = check(t, store, "--deep", "--repair", "--refetch", "--tls-verify=false")
    for name, states in world.states(rows).items():
        t.eq(states, {"mended" if name in world.mended else "fetched again"}, name)
    layers = {l.blob.digest for image, _ in world.of.values() for l in image.layers}
    wanted = {world.of[n][0].layers[1].blob.digest for n, kind in world.bad.items()
              if kind[1] == "layer" and n not in world.mended}
    t.eq(t.real().blobs_since(mark) & layers, wanted, "layers fetched")
    t.eq(problems(store.root), [], "after the refetch")
    world.whole(store, world.of)
    for name, (image, _) in world.of.items():
        after = next(i for i in store.images() if i["id"] == image.id)
        for member in ("names", "names-history", "digest", "layer", "big-data-names", "created"):
            t.eq(after.get(member), before[image.id].get(member), "%s of %s" % (member, name))
    t.eq({n: os.stat(top).st_ino for n, top in tops.items()}, inodes, "trees of others")
    t.has(t.podman_run(store, world.of["flip-podman"][1], "/bin/hello", "/opt/big").out, "present")


# What it must not do, and must not disturb ----------------------------------------------------

def until(t, what, condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        t.ok(time.monotonic() < deadline, "not in %d s: %s" % (seconds, what))
        time.sleep(0.01)


@test
def what_is_in_use_stays(t):
    """A container's image and layers, a mounted image, a pinned one: kept, and said so; the others
    that need the same layer stay with them."""
    real, store, base = t.real(), t.store(), images.layer(images.base(t.session))
    names = ("container", "mounted", "pinned", "free")
    made = {n: make(n, base) for n in names}
    refs = {n: real.push(made[n], "check/used", n) for n in names}
    t.pull(store, *refs.values())
    t.podman(store, "create", "--name", "user", refs["container"], "/bin/hello")
    t.podman(store, "image", "mount", refs["mounted"])
    config = t.config(pinned_images=[refs["pinned"]], check_rate=0)
    for name in names:
        lengthen(store, made[name])
    for args in ((), ("--refetch", "--tls-verify=false")):
        rows = check(t, store, "--deep", "--repair", *args, expect=7 if not args else None,
                     config=config)
        states = {n: {r[1] for r in rows if r[0] == own_layer(store, made[n])}
                  for n in names if any(i["id"] == made[n].id for i in store.images())}
        t.eq(states["container"], {"kept"}, rows)
        t.eq(states["mounted"], {"kept"}, rows)
        t.eq(states["pinned"], {"kept"} if not args else {"fetched again"}, rows)
        t.ok("free" not in states, "what nobody uses is removed")
        t.eq(len([r for r in rows if "in use" in r[2]]), 2, rows)
    t.podman(store, "rm", "user")
    t.podman(store, "image", "umount", refs["mounted"])
    rows = check(t, store, "--deep", "--repair", "--refetch", "--tls-verify=false", config=config)
    t.eq({r[1] for r in rows}, {"fetched again"}, rows)
    t.eq(problems(store.root), [], "in the end")


@test
def what_no_registry_has_is_removed(t):
    server, store = t.scripted(), t.store()
    image = make("gone", images.layer(images.base(t.session)))
    ref = server.add(image, "check/gone")
    t.pull(store, ref)
    flip(store, image)
    server.stop()
    result = t.bulkhead(store, "check", "--deep", "--repair", "--refetch", "--tls-verify=false",
                        timeout=600, config=t.config(check_rate=0))
    t.has(result.out, "removed", "its row")
    t.has(result.err, server.host, "why it was not fetched")
    t.eq((store.images(), store.layers(), problems(store.root)), ([], [], []), "the store")


def idle(node):
    """Rooms that run when nobody else does."""
    found = []
    for pid in node.rooms():
        with contextlib.suppress(ProcessLookupError):
            found += [pid] if os.sched_getscheduler(pid) == os.SCHED_IDLE else []
    return found


@test
def others_go_on_meanwhile(t):
    """While a deep check reads at a low rate: pulls, lists, removals; its rooms are idle ones; it
    ends at once when nobody wants it, by Ctrl-C or by the end of the command."""
    node = Node(t, check_rate=4000000)
    refs = [t.real().push(t.image(n), "check/" + n) for n in ("three", "small_files")]
    node.command("pull", "--tls-verify=false", *refs)
    for end in (signal.SIGINT, signal.SIGKILL):
        process = t.start(node.argv("check", "--deep", "--progress", "json"))
        until(t, "two idle rooms", lambda: len(idle(node)) == 2)
        lister = Lister(node, at_least=2)
        t.eq(node.client().pull(t.real().push(t.image("tiny"), "check/tiny")),
             t.image("tiny").id, "a pull")
        node.command("rmi", t.real().ref("check/tiny"))
        busy = node.command("check", "--deep", expect=2)
        t.has(busy.err, "being checked", "a second one")
        t.eq(node.command("check").out, "", "a quick one")
        process.send_signal(end)
        result = t.finish(process)
        t.eq(result.code, 130 if end == signal.SIGINT else -9, "exit code")
        lister.demand(t, 5)
        until(t, "the end of its rooms", lambda: not node.one_shots())
    node.configure(check_rate=0)
    node.process.send_signal(signal.SIGHUP)
    until(t, "a reload", lambda: "check_rate is now 0, was 4000000" in node.logs())
    result = node.command("check", "--deep", "--progress", "json", timeout=600)
    t.eq(result.out, "", "a good store")
    seen = [json.loads(l) for l in result.err.splitlines()]
    t.ok(seen and seen[-1]["layersChecked"] == seen[-1]["layers"] >= 5, "progress:", seen[-1:])
    t.eq(seen[-1]["bytesChecked"], seen[-1]["bytes"], "bytes")
    flip_any(t, node.store)
    node.command("check", "--deep", expect=7, timeout=600)
    node.command("check", "--deep", "--repair", "--refetch", "--tls-verify=false", timeout=600)
    t.eq(node.client().pull(refs[0]), t.image("three").id, "a pull in the end")
    node.stop()
    t.eq(problems(node.store.root), [], "in the end")


def flip_any(t, store):
    path = file_of(store, t.image("three"), "opt/p2/f7")
    with open(path, "r+b") as file:
        file.write(b"\xff\xff")


@test
def rooms_that_die_are_no_damage(t):
    """Both rooms killed over and over: it begins the layer again; no layer is called damaged."""
    node = Node(t, check_rate=1000000)
    node.command("pull", "--tls-verify=false", t.real().push(t.image("three"), "check/three"))
    process, deadline = t.start(node.argv("check", "--deep")), time.monotonic() + 3
    while time.monotonic() < deadline:
        for name in ("apply", "hash"):
            until(t, "a room", lambda: node.rooms(name))
            node.kill_room(name)
            time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    result = t.finish(process)
    t.eq(result.out, "", "findings")
    until(t, "the end of its rooms", lambda: not node.one_shots())
    t.eq(problems(node.store.root, locks=False), [], "the store")


@test
def after_an_unclean_stop(t):
    """Of what the journal of a dead store names, what was not published is removed and what was is
    looked at, both told, while requests are answered; nothing else is looked at."""
    node = Node(t)
    images_of = {n: t.image(n) for n in ("three", "docker")}
    refs = {n: t.real().push(i, "check/" + n) for n, i in images_of.items()}
    node.command("pull", "--tls-verify=false", *refs.values())
    process = node.process
    left = harness.descendants(process.pid)
    for pid in (process.pid, *left):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    process.wait()
    store, dead = node.store, "%s/bulkhead/%s" % (node.store.root, "ef" * 16)
    os.mkdir(dead, 0o700)
    os.makedirs("%s/overlay/%s/diff" % (store.root, NOBODY))
    layer = own_layer(store, images_of["three"])
    with open(dead + "/journal", "w") as file:
        file.write("L %s\nL %s\nI %s\nI %s\n" % (NOBODY, layer, images_of["three"].id, NOBODY))
    document_lost(store, images_of["three"])
    document_lost(store, images_of["docker"])
    os.truncate(store.tar_split(layer), 0)
    node.start()
    until(t, "the check", lambda: "looked at: 2 findings" in node.logs())
    logs = node.logs()
    t.has(logs, "1 layers and 0 images that they were about to publish; 2 have records", "swept")
    t.has(logs, "after an unclean stop: %s: overlay-layers/" % layer[:12], "the layer")
    t.has(logs, "after an unclean stop: %s: its item manifest" % images_of["three"].id[:12], "image")
    t.ok("stop: " + images_of["docker"].id[:12] not in logs, "what was not in flight is looked at")
    t.ok(not os.path.exists("%s/overlay/%s" % (store.root, NOBODY)), "what was not published")
    node.command("check", "--repair", "--refetch", "--tls-verify=false", timeout=600)
    node.stop()
    t.eq(problems(store.root), [], "mended")

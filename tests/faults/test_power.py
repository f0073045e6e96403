"""Power loss in the middle of a pull, a tag and a removal, on ext4 and xfs: at every moment,
whatever the disk has kept of what was written since its last flush, the store that is mounted
again is as it was or as it should be, whole, and goes on. What was reported is on disk. By
default some moments of each, hundreds with --long."""
import os

from harness import Failure, test
from crash import Ground, state
from power import Disk
from stores import Store


class Loss:
    """A request on a disk that is recorded, and the disk as it can be afterwards."""

    def __init__(self, t, kind, request, filled, **settings):
        self.t, self.request, self.disk = t, request, Disk(t, kind)
        self.store = t.store()
        self.config = t.config(**settings)
        self.disk.mount(self.store.root)
        request.ground.fill(self.store, *filled)
        request.before = state(self.store)
        self.disk.unmount(self.store.root)

    def record(self, then=lambda store: None):
        """Makes the tape. then: done before the request counts as reported."""
        t, store = self.t, self.store
        with self.disk.recorded(store.root) as self.tape:
            t.bulkhead(store, *self.request.argv, config=self.config)
            then(store)
            self.done = self.tape.length()
            self.request.after = state(store)

    def cut(self, count):
        """(cut, what was wrong or None) of each moment."""
        t, kind = self.t, self.disk.kind
        for number, cut in enumerate(self.tape.cuts(kind + self.request.name, count, self.done)):
            label = "%s on %s, event %d of %d, the disk keeps %s" % (
                self.request.name, kind, cut.at, self.done, cut.keeps)
            store = Store("%s/c%d" % (t.folder, number))  # with a run root of its own: a reboot
            self.disk.mount(store.root, cut.image)
            try:
                self.request.judge(store, cut.at >= self.done, label, podman_first=number % 2)
                yield cut, None
            except Failure as failure:
                yield cut, str(failure)
            finally:
                self.disk.unmount(store.root)


def lost(t, kind, request, filled):
    loss = Loss(t, kind, request, filled)
    loss.record()
    found = list(loss.cut(120 if t.long else 12 if request.name in ("pull", "rmi") else 4))
    wrong = [problem for _, problem in found if problem]
    flushes = sum(e is None for e in loss.tape.events[:loss.done])
    print("    %s on %s: %d writes, %d flushes, %d moments, %d of them with writes lost" % (
        request.name, kind, loss.done - flushes, flushes, len(found),
        sum(cut.lost > 0 for cut, _ in found)), flush=True)
    t.ok(flushes > 5, "only", flushes, "flushes were recorded")
    t.ok(len(found) < 12 or any(c.lost for c, _ in found), "no write was ever lost")
    if wrong:
        raise Failure("%d of %d moments:\n%s" % (len(wrong), len(found), "\n".join(wrong)))


def losing(kind, name):
    def run(t):
        ground = Ground(t)
        request = getattr(ground, name)()
        there = {"pull": [], "enrich": [ground.plain_ref]}.get(name, [ground.new_ref])
        lost(t, kind, request, [ground.kept_ref] + there)
    run.__name__, run.__module__ = "%s_%s" % (name, kind), __name__
    return run


for each in ("ext4", "xfs"):
    test(losing(each, "pull"))
    test(losing(each, "remove"))
    test(losing(each, "tag"))
    test(losing(each, "enrich"))


def caught(t, kind, says, then=lambda store: None):
    """The same judge finds out a store that reports what is not on disk."""
    ground = Ground(t)
    loss = Loss(t, kind, ground.pull(), [ground.kept_ref], durability="none")
    loss.record(then)
    found = [problem for cut, problem in loss.cut(3) if cut.at == loss.done]
    t.ok(all(problem and says in problem for problem in found), "not caught:", found)


def sync_records(store):
    """All but what is in the layers' trees."""
    for name in ("overlay-images", "overlay-layers", "overlay"):
        for folder, names, files in os.walk("%s/%s" % (store.root, name)):
            names[:] = [n for n in names if n != "diff"]
            for path in [folder] + [os.path.join(folder, n) for n in files]:
                fd = os.open(path, os.O_RDONLY)
                os.fsync(fd)
                os.close(fd)


@test
def the_disk_records_writes_and_flushes(t):
    """What is written is lost until it is synced, and never afterwards."""
    for kind in ("ext4", "xfs"):
        disk, folder = Disk(t, kind), t.folder + "/on-" + kind
        with disk.recorded(folder) as tape:
            with open(folder + "/file", "wb") as file:
                file.write(b"written" * 1000)
                file.flush()
                before = tape.length()
                os.fsync(file.fileno())
            done = tape.length()
        t.ok(any(e and b"writtenwritten" in e[1] for e in tape.events[before:done]), "no write")
        t.ok(tape.events[done - 1] is None, "no flush at the end of an fsync:", kind)
        for moment, there in ((before, False), (done, True)):
            cut = next(tape.cuts(0, 0, moment))
            disk.mount(folder, cut.image)
            found = os.path.exists(folder + "/file") and os.path.getsize(folder + "/file") == 7000
            disk.unmount(folder)
            t.eq(found, there, "%s, cut at %d of %d" % (kind, moment, done))


@test
def a_store_that_syncs_nothing_is_caught(t):
    for kind in ("ext4", "xfs"):
        caught(t, kind, "success was reported")


@test
def trees_that_are_not_synced_are_caught(t):
    """Everything else is: the records name layers whose files are not whole."""
    for kind in ("ext4", "xfs"):
        caught(t, kind, "after recovery", sync_records)

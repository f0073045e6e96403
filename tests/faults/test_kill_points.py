"""kill -9 at every fail point (common/base/failpoints.def) of a pull, a tag, an untag, a removal, a
sweep, of the room that stands there and of each other that lives then. The store is as it was or as
it should be, whole, and nothing is left over: for podman, for bulkhead, and for the same request
once more. By default each point with the room that stands there and some of the others; all with
--long."""
import contextlib
import json
import os
import random
import shutil
import signal

import harness
from harness import Failure, test
from mkimage import Image, Index, layer
from points import BUILD, Points
from tarmake import Tar
from verify import problems

BRIEF = 3  # of the other rooms, so many a scenario without --long
INTERNAL = [0, 1, 2, 5, 6, 7, 125]  # what a request may end with when a room of it is killed


def made(session):
    """Two images that share their base; the second with an index, three layers of three kinds."""
    base = layer(Tar().dir("etc").add("etc/base", b"base").dir("var").add("var/gone", b"x"))
    kept = Image([base, layer(Tar().add("etc/kept", b"kept"))])
    middle = Tar().dir("opt", mtime="1500000000.25")
    middle.add("opt/file", b"f" * 70000, mode=0o640, uid=7)
    middle.hardlink("opt/hard", "opt/file", mode=0o640, uid=7).symlink("opt/soft", "file")
    middle.add("opt/attributes", b"a", xattrs={"user.one": b"1"})
    upper = Tar().dir("var").whiteout("var/gone").dir("opt").opaque("opt").add("opt/new", b"n")
    new = Image([base, layer(middle, "none"), layer(upper, "zstd")])
    return kept, Index([new])


class Scenario:
    """One request on one store. template: a graph root to start from; a copy for each blow."""

    def __init__(self, points, name, argv, again=None):
        self.t, self.points, self.name, self.argv = points.t, points, name, argv
        self.again = again or argv
        self.template = self.t.store()

    def fresh(self):
        store = self.t.store()
        os.rmdir(store.root)
        self.t.run(["cp", "-a", self.template.root, store.root])
        return store

    def drop(self, store):
        """The space of some hundred stores is not at hand."""
        self.t.session.unmount()
        shutil.rmtree(store.folder)
        self.t.stores.remove(store)

    def start(self, store):
        argv = self.t.bulkhead_argv(store, *self.argv)
        argv[0] = self.points.bin + "/bulkhead"
        return self.t.start(argv, start_new_session=True)

    def undisturbed(self):
        """name -> how often each point is passed; sets what the store is before and after."""
        store = self.fresh()
        self.before = state(store)
        self.points.clear()
        result = self.t.finish(self.start(store))
        self.t.eq(result.code, 0, result)
        self.after = state(store)
        self.t.eq(problems(store.root), [], self.name + ", undisturbed")
        self.drop(store)
        return self.points.hits()

    # one blow

    def strike(self, point, nth, victim, label):
        """victim: comm of a room, None = who stands at the point. Returns the comms that lived
        then; None if nobody came there, or no such room lived."""
        store = self.fresh()
        others = self.others(store)
        self.points.arm(point, nth)
        process = self.start(store)
        alive = None
        if self.points.met(process):
            alive = harness.offspring(process.pid)
            alive[process.pid] = "bulkhead"
            pid = self.points.stander(process) if victim is None else next(
                (p for p, c in alive.items() if c == victim), None)
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.points.go_on()
        result = self.t.finish(process)
        if alive is None or not pid:
            self.judge(store, result, label + ", nobody killed", others)
            return None
        self.judge(store, result, label, others, podman_first=nth % 2)
        self.drop(store)
        return sorted(set(alive.values()) - {alive[pid]})

    def judge(self, store, result, label, others, podman_first=False):
        t = self.t
        t.ok(result.code in INTERNAL, label, result)
        t.eq(t.session.leftovers(), [], label + ": processes")
        torn = [p for p in problems(store.root) if p.startswith(("records", "image"))]
        t.eq(torn, [], label + ": before anybody recovers it")
        looks = [self.podman_list, self.bulkhead_list]
        lists = [look(store) for look in (looks if podman_first else looks[::-1])]
        t.eq(lists[0], lists[1], label + ": podman's list and bulkhead's")
        now = state(store)
        t.ok(now in (self.before, self.after), label, "neither before nor after:", now)
        t.ok(result.code != 0 or now == self.after, label, "success was reported:", now)
        t.eq(lists[0], now, label + ": what is listed")
        t.eq(problems(store.root), [], label + ": after recovery")
        t.eq(self.others(store), others, label + ": other images")
        self.once_more(store, label, now)

    def once_more(self, store, label, now):
        t = self.t
        gone = now == self.after and self.argv[0] in ("rmi", "untag")
        t.bulkhead(store, *self.again, expect=[0, 1] if gone else 0)
        t.eq(state(store), self.after, label + ": the same request again")
        t.eq(problems(store.root), [], label + ": after the same request again")

    def others(self, store):
        """Every node of the images that stay, whatever happens, and of their layers."""
        stay = {i for i, _ in self.before} & {i for i, _ in self.after}
        stay |= {l["id"] for i in set(stay) for l in store.chain(i)}
        return {path: value for path, value in store.snapshot().items()
                if any(part.split(".")[0] in stay for part in path.split("/")[:3])}

    def podman_list(self, store):
        found = json.loads(self.t.podman(store, "images", "--format", "json").out)
        return frozenset((i["Id"], frozenset(i.get("Names") or [])) for i in found)

    def bulkhead_list(self, store):
        found = json.loads(self.t.bulkhead(store, "images", "--format", "json").out)
        return frozenset((i["Id"].split(":")[-1], frozenset(i.get("Names") or [])) for i in found)


def state(store):
    return frozenset((i["id"], frozenset(i.get("names") or [])) for i in store.images())


def campaign(scenario, only=()):
    """Strikes at every point that the scenario passes; only: rooms' points."""
    t, points = scenario.t, scenario.points
    hits = scenario.undisturbed()
    rng, wrong, count, seen = random.Random(scenario.name), [], 0, set()
    plan = []
    for point, n in hits.items():
        if only and point not in only:
            continue
        nths = range(min(n, 6)) if t.long else sorted({0, n - 1})[:2]
        plan += [(point, nth, None) for nth in nths]
    for point, nth, victim in plan:
        label = "%s: %s at %s %d" % (scenario.name, victim or "its room", point, nth)
        try:
            alive = scenario.strike(point, nth, victim, label)
        except Failure as failure:
            wrong.append("%s" % failure)
            alive = None
        if alive is not None:
            count += 1
            seen.add(point)
            if victim is None and t.long and nth == 0:
                plan += [(point, nth, other) for other in alive]
    print("    %s: %d blows at %d points" % (scenario.name, count, len(seen)), flush=True)
    if wrong:
        raise Failure("%d of %d blows:\n%s" % (len(wrong), len(plan), "\n".join(wrong)))


class Ground:
    def __init__(self, t):
        if not os.path.exists(BUILD + "/bulkhead-store"):
            raise Failure("no faults build: cmake --preset faults && cmake --build --preset faults")
        self.t, self.points = t, Points(t)
        self.kept, self.new = made(t.session)
        real = t.real()
        self.kept_ref, self.new_ref = (real.push(i, "points/" + n) for n, i in (
            ("kept", self.kept), ("new", self.new)))

    def scenario(self, name, argv, *pulled, again=None):
        scenario = Scenario(self.points, name, argv, again)
        for ref in pulled:
            self.t.pull(scenario.template, "-q", ref)
        return scenario

    def pull(self, *pulled):
        return self.scenario("pull", ("pull", "--tls-verify=false", "-q", self.new_ref), *pulled)


@test
def pull(t):
    """Of an image of which one layer is there."""
    g = Ground(t)
    campaign(g.pull(g.kept_ref))


@test
def remove(t):
    """Of an image of which one layer stays."""
    g = Ground(t)
    campaign(g.scenario("rmi", ("rmi", g.new_ref), g.kept_ref, g.new_ref))

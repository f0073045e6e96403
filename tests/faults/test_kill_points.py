"""kill -9 at every fail point (common/base/failpoints.def): of the room that stands there, and of
each other that lives then, in a pull, a tag, an untag, a removal, a repair with and without
fetching again, the first start on an empty graph root, and the sweep of what a killed one left. The
store is as it was or as it should be, whole, and nothing is left over: for podman, for bulkhead,
and for the same request once more. By default each point once, with the room that stands there, and
some others; all of them with --long."""
import contextlib
import os
import random
import shutil
import signal
import time

import harness
from harness import Failure, test
from crash import Ground, Request, state
from points import BUILD, Points, table
from verify import problems

SOME, MANY = 3, 6  # blows at other rooms without --long; passes of one point with it
COPIES = 20  # of a store that has to age
ANY = [0, 1, 2, 5, 6, 7, 125, -signal.SIGKILL]  # what a request may end with
STRUCK, RUN = set(), []  # points at which a room has been killed; campaigns that were run


class Campaign:
    """One request on copies of one store. damage: what happens to that first. aged: seconds before
    a copy is used."""

    def __init__(self, t, points, request, filled=(), prepare=None, damage=None, aged=0):
        self.t, self.points, self.request, self.prepare = t, points, request, prepare
        self.aged, self.ready = aged, []
        self.template = t.store()
        request.ground.fill(self.template, *filled)
        if damage:
            damage(self.template)

    def copy(self):
        store = self.t.store()
        os.rmdir(store.root)
        self.t.run(["cp", "-a", self.template.root, store.root])
        if self.prepare:
            self.prepare(store)
        return store

    @contextlib.contextmanager
    def store(self):
        """The space of some hundred of them is not at hand."""
        if not self.ready:
            self.ready = [self.copy() for _ in range(COPIES if self.aged else 1)]
            time.sleep(self.aged)
        store = self.ready.pop()
        yield store
        self.t.session.unmount()
        shutil.rmtree(store.folder)
        self.t.stores.remove(store)

    # a request of the command for itself; the daemon's is another

    def start(self, store):
        argv = self.t.bulkhead_argv(store, *self.request.argv, config=self.request.config)
        self.command = self.t.start([self.points.bin + "/bulkhead"] + argv[1:],
                                    start_new_session=True)
        return self.command

    def met(self):
        return self.points.met(self.command)

    def root(self):
        return self.command.pid

    def kill(self, pid):
        """Whether it still lived: only who stands at the point waits for that."""
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def settle(self, store, label):
        self.t.eq(self.t.session.leftovers(), [], label + ": processes")

    def end(self):
        pass

    # blows

    def undisturbed(self):
        """point -> how often it is passed."""
        with self.store() as store:
            self.request.before = state(store)
            self.points.clear()
            result = self.t.finish(self.start(store))
            self.t.eq(result.code, 0, result)
            self.request.after = state(store)
            self.settle(store, "undisturbed")
            hits = self.points.hits()
            self.t.eq(problems(store.root), [], self.request.name + ", undisturbed")
            self.end()
        return hits

    def strike(self, point, nth, victim):
        """victim: comm of a room, None = who stands at the point. Returns the comms of the others
        that lived then; None if nobody was there to be killed."""
        label = "%s: %s at %s %d" % (self.request.name, victim or "its room", point, nth)
        with self.store() as store:
            others = self.request.others(store)
            self.points.arm(point, nth)
            process = self.start(store)
            alive, pid = {}, None
            with self.points.held():
                if self.met():
                    alive = {**harness.offspring(self.root()), self.root(): "itself"}
                    pid = next((p for p, c in alive.items() if c == victim), None) if victim \
                        else self.points.stander(self.root())
                    if pid and not self.kill(pid):
                        pid = None
            result = self.t.finish(process)
            self.t.ok(result.code in ANY, label, result)
            self.settle(store, label)
            self.request.judge(store, result.code == 0, label, others, podman_first=nth % 2)
            self.end()
        if not pid:
            return None
        STRUCK.add(point)
        return sorted(set(alive.values()) - {alive.get(pid)})

    def run(self, only=None):
        """Strikes at each point that the request passes, or of these."""
        t, rng, wrong, blows = self.t, random.Random(self.request.name), [], 0
        plan = []
        for point, n in self.undisturbed().items():
            if point in only if only else t.long or point not in STRUCK:
                plan += [(point, nth, None) for nth in range(min(n, MANY if t.long else 1))]
        chances = []
        for point, nth, victim in plan:
            try:
                others = self.strike(point, nth, victim)
            except Failure as failure:
                wrong.append(str(failure))
                t.session.leftovers()
                continue
            blows += others is not None
            if victim is None and others and nth == 0:
                chances += [(point, nth, other) for other in others]
            if (point, nth, victim) == plan[-1] and chances:
                plan += chances if t.long else rng.sample(chances, min(SOME, len(chances)))
                chances = []
        print("    %s: %d blows" % (self.request.name, blows), flush=True)
        if wrong:
            raise Failure("%d of %d blows:\n%s" % (len(wrong), len(plan), "\n".join(wrong)))
        t.ok(blows > len(plan) / 2, "only", blows, "of", len(plan), "blows met somebody")
        RUN.append(self.request.name)


def ground(t):
    if not os.path.exists(BUILD + "/bulkhead-store"):
        raise Failure("no faults build: cmake --preset faults && cmake --build --preset faults")
    return Ground(t), Points(t)


def starting(*prefixes):
    return [name for name in table() if name.startswith(prefixes)]


@test
def pull(t):
    """Of an image of which one layer is there."""
    g, points = ground(t)
    Campaign(t, points, g.pull(), [g.kept_ref]).run()


@test
def pull_into_nothing(t):
    """The graph root is an empty directory."""
    g, points = ground(t)
    Campaign(t, points, g.pull()).run(starting("PREPARED", "NEW"))


@test
def pull_of_what_is_there(t):
    """What the image had stays whole, what it had lost comes back, what never came goes."""
    g, points = ground(t)
    request = g.enrich()
    request.damaged = {g.new.images[0].id[:12]}
    Campaign(t, points, request, [g.plain_ref], damage=g.lose_document).run(
        starting("DOCUMENT", "IMAGE_P", "RECORDS_RE"))


@test
def remove(t):
    """Of an image of which one layer stays."""
    g, points = ground(t)
    Campaign(t, points, g.remove(), [g.kept_ref, g.new_ref]).run()


@test
def tag(t):
    g, points = ground(t)
    Campaign(t, points, g.tag(), [g.kept_ref, g.new_ref]).run(starting("TAG", "RECORDS_RENAMED"))


@test
def untag(t):
    g, points = ground(t)
    request = Request(g, "untag", "untag", g.new_ref)
    Campaign(t, points, request, [g.kept_ref, g.new_ref]).run(starting("UNTAG", "RECORDS_RENAMED"))


def pull_after(t, name, at):
    """A second death, in the sweep of what one left that was killed at the point: everybody of it
    together, so that nobody clears up at once."""
    g, points = ground(t)
    dead = getattr(g, name)()

    def prepare(store):
        points.arm(at)
        argv = t.bulkhead_argv(store, *dead.argv)
        process = t.start([points.bin + "/bulkhead"] + argv[1:], start_new_session=True)
        with points.held():
            t.ok(points.met(process), "nobody came to", at)
            for pid in [process.pid, *harness.offspring(process.pid)]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        t.finish(process)
        t.eq(t.session.leftovers(), [], "processes")

    request = g.pull()
    request.name = "pull after a %s died at %s" % (name, at)
    filled = [g.kept_ref] + [g.new_ref] * (name == "remove")
    steps = ("SWEEP", "INCOMPLETE") + ("TRASH", "ERASE", "LAYER_", "RECORDS") * t.long
    Campaign(t, points, request, filled, prepare).run(starting(*steps))


@test
def sweep_of_a_pull(t):
    pull_after(t, "pull", "LAYERS_PUBLISHED")


@test
def sweep_of_a_removal(t):
    pull_after(t, "remove", "LAYER_UNLINKED")


@test
def repair(t):
    """What is beside two layers is made again, another layer goes with its image."""
    g, points = ground(t)
    request = g.repair()
    Campaign(t, points, request, [g.kept_ref, g.new_ref], damage=request.damage).run(
        None if t.long else starting("MEND", "REDRESS"))


@test(long=True)
def repair_of_orphans(t):
    g, points = ground(t)
    request = g.repair()
    Campaign(t, points, request, [g.kept_ref], damage=request.leave_orphans, aged=10.5).run(
        starting("MEND", "LAYER_UNL", "LAYER_T", "SPLIT"))


@test
def refetch(t):
    """Two damaged layers and a document are fetched again."""
    g, points = ground(t)
    request = g.refetch()
    Campaign(t, points, request, [g.kept_ref, g.new_ref], damage=request.damage).run(
        None if t.long else starting("SWAP", "MEND_D"))


@test
def no_point_is_left_out(t):
    """Each of the table was somebody's death, if all of the tests before were run."""
    if len(RUN) == 10:
        t.eq(sorted(set(table()) - STRUCK), [], "nobody was killed at")

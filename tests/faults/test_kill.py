"""kill -9 of every room, of the supervisor and of the command, SIGINT and SIGTERM of the command,
at moments drawn over a whole pull: the store is whole, nothing is left, the next pull completes."""
import os
import random
import signal
import time

import harness
from harness import test
from stores import reassembled

ROOMS = ("conf", "frontend", "dial", "fetch", "hash", "inflate", "document", "verdict", "apply",
         "store")
COMMS = {"supervisor": "bulkheadd", "command": "bulkhead"}
BRIEF = ("conf", "document", "verdict")  # live for milliseconds
RATE = 3000000  # bytes a second of each connection: the pull lasts about a second


class Pull:
    """One pull from a slow registry, watched: when it began, when the last blob byte was sent."""

    def __init__(self, t, server, store, ref):
        self.t, self.server, self.store = t, server, store
        server.last_blob.clear()
        with server.lock:
            server.sent = []
        self.begun = time.monotonic()
        self.process = t.start(t.bulkhead_argv(store, "pull", "--tls-verify=false", "-q", ref),
                               start_new_session=True)

    def members(self, comm):
        """Processes of that name below the command, itself among them."""
        found = [p for p, c in harness.offspring(self.process.pid).items() if c == comm]
        if comm == "bulkhead" and self.process.poll() is None:
            found.append(self.process.pid)
        return found

    def wait_until(self, moment, after_last):
        """moment: seconds from the start, or from the last blob byte."""
        if after_last:
            while not self.server.last_blob.wait(0.0005):
                if self.process.poll() is not None:
                    return
            until = time.monotonic() + moment
        else:
            until = self.begun + moment
        while time.monotonic() < until and self.process.poll() is None:
            time.sleep(min(0.002, max(0, until - time.monotonic())))

    def strike(self, comm, number, spare=0):
        """Kills one such process: now, or the next that appears before the pull ends; `spare`
        of them are let go first."""
        spared = set()
        while self.process.poll() is None:
            for pid in self.members(comm):
                if pid not in spared and len(spared) < spare:
                    spared.add(pid)
                if pid in spared:
                    continue
                try:
                    os.kill(pid, number)
                    return True
                except ProcessLookupError:
                    pass
            time.sleep(0.0005 if comm[9:] in BRIEF else 0.001)
        return False


def undisturbed(t, server, ref, rounds=3):
    """(whole length, length from the last blob byte to the end): the longest of some rounds."""
    whole = tail = 0
    for _ in range(rounds):
        store = t.store()
        pull = Pull(t, server, store, ref)
        t.ok(server.last_blob.wait(60), "the blobs never ended")
        last = time.monotonic()
        result = t.finish(pull.process)
        t.eq(result.code, 0, result)
        whole = max(whole, time.monotonic() - pull.begun)
        tail = max(tail, time.monotonic() - last)
    return whole, tail


def moments(t, whole, tail, seed):
    """20 moments (8 without --long), at least a quarter of them after the last blob byte."""
    rng, count = random.Random(seed), 20 if t.long else 8
    late = max(2, count // 4 + 1)
    spread = [(whole * (i + rng.random()) / (count - late), False) for i in range(count - late)]
    return spread + [(tail * (i + rng.random()) / late, True) for i in range(late)]


def judge(t, store, image, ref, label):
    """What must hold after a blow."""
    left = t.session.leftovers()
    t.eq(left, [], label + ": left behind")
    t.eq(store.staging(), [], label + ": staging")
    for record in store.images():
        for layer in store.chain(record["id"]):
            t.ok(os.path.isdir(store.diff(layer["id"])), label, "a record without its tree")
    theirs, ours = (sorted(i.split(":")[-1] for i in t.run(argv).out.split()) for argv in (
        t.podman_argv(store, "images", "-q", "--no-trunc"),
        t.bulkhead_argv(store, "images", "-q", "--no-trunc")))
    t.eq(ours, theirs, label + ": lists")
    t.eq(store.strays(), [], label + ": strays")


def campaign(t, target, number=signal.SIGKILL):
    image = t.image("three")
    server = t.scripted()
    server.rate, server.expected_blobs = RATE, {l.blob.digest for l in image.layers}
    ref = server.add(image, "faults/" + target)
    whole, tail = undisturbed(t, server, ref)
    comm = COMMS.get(target, "bulkhead-" + target)
    hits = 0
    drawn = moments(t, whole, tail, target)
    for count, (moment, after_last) in enumerate(drawn * (4 if target in BRIEF else 1)):
        if count >= len(drawn) and hits >= 2:
            break  # one that lives for milliseconds is missed when others keep the machine busy
        if target in BRIEF:
            moment, after_last = 0, False
        label = "%s at %.0f ms%s" % (target, moment * 1000, " after the last byte" * after_last)
        store = t.store()
        pull = Pull(t, server, store, ref)
        pull.wait_until(moment, after_last)
        hits += pull.strike(comm[:15], number, count % 2 if target in BRIEF else 0)
        result = t.finish(pull.process, 60)
        t.ok(result.code != 0 or result.out.strip() == image.id, label, result)
        judge(t, store, image, ref, label)
        if result.code == 0:
            t.eq([i["id"] for i in store.images()], [image.id], label + ": success was reported")
        server.rate = None
        again = t.pull(store, "-q", ref, timeout=60)
        t.eq(again.out.strip(), image.id, label + ": the next pull")
        server.rate = RATE
    t.ok(hits >= 2, "only", hits, "blows met their target")
    store = t.stores[-1]
    for layer, made in zip(store.chain(image.id), image.layers):
        t.eq(reassembled(store, layer["id"]), made.diff_id, "after the last blow")
    t.has(t.podman_run(store, ref, "/bin/hello", "hello").out, "hello from the image")


def striking(target, number, name):
    def run(t):
        campaign(t, target, number)
    run.__name__, run.__module__ = name, __name__
    return run


for each in ROOMS + ("supervisor", "command"):
    test(striking(each, signal.SIGKILL, "kill_" + each))
test(striking("command", signal.SIGINT, "interrupt_command"))
test(striking("command", signal.SIGTERM, "terminate_command"))


@test
def a_room_that_stands_still_is_not_waited_for_by_others(t):
    """SIGSTOP of one pull's inflater: a second pull into the same store completes."""
    image, server = t.image("three"), t.scripted()
    server.rate = RATE
    ref = server.add(image, "faults/stopped")
    store = t.store()
    pull = Pull(t, server, store, ref)
    t.ok(pull.strike("bulkhead-inflat", signal.SIGSTOP), "no inflater was met")
    t.pull(store, "-q", t.real().push(t.image("docker"), "faults/beside"))
    t.ok(pull.process.poll() is None, "the stopped pull ended")
    pull.process.terminate()
    t.ok(t.finish(pull.process, 15).code != 0, "exit")
    judge(t, store, image, ref, "stopped inflater")


@test
def what_a_dead_pull_left_is_swept(t):
    """Command, supervisor and store killed together: the next command clears what they left."""
    image, server = t.image("three"), t.scripted()
    server.rate = RATE
    ref = server.add(image, "faults/swept")
    for moment in (0.3, 0.6, 0.9):
        store = t.store()
        pull = Pull(t, server, store, ref)
        pull.wait_until(moment, False)
        for comm in ("bulkhead-store", "bulkheadd", "bulkhead"):
            for pid in pull.members(comm):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        t.finish(pull.process, 20)
        t.eq(t.session.leftovers(), [], "processes")
        server.rate = None
        t.eq(t.pull(store, "-q", ref).out.strip(), image.id, "the next pull")
        t.eq((store.staging(), store.strays()), ([], []), "swept")
        server.rate = RATE

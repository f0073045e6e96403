"""bulkhead, podman and buildah in one store, each pulling, tagging and deleting, while bulkhead's
rooms are killed: no image is lost, no file damaged, nobody waits for ever. And how bulkhead holds
the store's locks."""
import contextlib
import json
import os
import random
import subprocess
import threading
import time

from harness import test
import images
from locks import Trace, holds
from node import Node
from tarmake import Tar
from verify import problems

ROOMS = ("store", "frontend", "apply", "hash", "fetch", "inflate", "document", "verdict", "dial")
FILES = ("overlay-images/images.json", "overlay-layers/layers.json")
PATIENCE = 120  # seconds a command may take on a busy machine: else it waits for a lock for ever
SHARED = 3      # images that all of them pull


class Neighbour:
    """One program at work on names of its own and on some of everybody's. What it says of its own
    names has to be true at the end."""

    def __init__(self, world, who, seed):
        self.world, self.who, self.rng = world, who, random.Random(seed)
        self.own = [world.make("%s-%d" % (who, i)) for i in range(4)]
        self.has = {}  # name -> image ID, None: it may be there or not
        self.done = 0

    def argv(self, verb, *args):
        t, store = self.world.t, self.world.store
        if self.who == "bulkhead":
            return self.world.node.argv(verb, *(["--tls-verify=false"] * (verb == "pull")), *args)
        verb = {"untag": "untag", "rmi": "rmi"}.get(verb, verb)
        tls = ["-q", "--tls-verify=false"] if verb == "pull" else []
        if self.who == "podman":
            return t.podman_argv(store, verb, *tls, *args)
        return ["buildah", "--root", store.root, "--runroot", store.runroot, "--storage-driver",
                "overlay", verb, *tls, *args]

    def run(self, verb, *args):
        env = dict(self.world.t.session.env, TMPDIR=self.world.store.tmp)
        result = subprocess.run(self.argv(verb, *args), stdin=subprocess.DEVNULL, env=env,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
        self.done += 1
        return result.returncode == 0

    def pull(self):
        ref, ident = self.rng.choice(self.own)
        self.has[ref] = None
        if self.run("pull", ref):
            self.has[ref] = ident

    def tag(self):
        known = [(r, i) for r, i in self.has.items() if i and not r.startswith("example.com/")]
        if known:
            ref, ident = self.rng.choice(known)
            name = "example.com/%s:%d" % (self.who, self.rng.randrange(3))
            self.has[name] = None
            if self.run("tag", ref, name):
                self.has[name] = ident

    def remove(self):
        if self.has:
            name = self.rng.choice(sorted(self.has))
            self.has[name] = None
            if self.run("rmi", name):
                del self.has[name]

    def pull_shared(self):
        self.run("pull", self.rng.choice(self.world.shared)[0])

    def remove_shared(self):
        self.run("rmi", self.rng.choice(self.world.shared)[0])

    def work(self):
        kinds = [self.pull, self.pull, self.pull_shared, self.tag, self.remove, self.remove_shared]
        while time.monotonic() < self.world.until:
            try:
                self.rng.choice(kinds)()
            except Exception as error:  # a thread's end would go unseen
                self.world.problems.append("%s: %s" % (self.who, error))
                return

    def judge(self):
        names = {n: i["id"] for i in self.world.store.images() for n in i.get("names", [])}
        for name, ident in self.has.items():
            if ident:
                self.world.t.eq(names.get(name), ident, "%s says that it has %s" % (self.who, name))


class World:
    def __init__(self, t, seconds):
        self.t, self.store, self.problems = t, t.store(), []
        self.node, self.base = Node(t, self.store), images.layer(images.base(t.session))
        self.shared = [self.make("shared-%d" % i) for i in range(SHARED)]
        self.neighbours = [Neighbour(self, who, i) for i, who in enumerate(
            ("bulkhead", "podman", "buildah"))]
        self.until, self.kills, self.reads = time.monotonic() + seconds, 0, 0

    def make(self, name):
        own = Tar().dir("opt").add("opt/own", images.text(60000, name))
        image = images.Image([self.base, images.layer(own)], cmd=["/bin/hello", "hello"])
        return self.t.real().push(image, "neighbours/" + name), image.id

    def kill(self):
        rng = random.Random(1)
        while time.monotonic() < self.until - 2:
            time.sleep(rng.uniform(0.1, 1))
            victims = list(self.node.rooms(rng.choice(ROOMS)))
            if victims:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(rng.choice(victims), 9)
                    self.kills += 1

    def read(self):
        """At any moment, whoever reads the files finds them whole."""
        while time.monotonic() < self.until:
            for name in FILES:
                with contextlib.suppress(FileNotFoundError):
                    with open("%s/%s" % (self.store.root, name)) as file:
                        text = file.read()
                    try:
                        json.loads(text or "[]")
                        self.reads += 1
                    except ValueError as error:
                        self.problems.append("%s: %s" % (name, error))
            time.sleep(0.005)


@test
def nothing_is_lost(t):
    world = World(t, 600 if t.long else 14)
    threads = [threading.Thread(target=n.work) for n in world.neighbours]
    threads += [threading.Thread(target=world.kill), threading.Thread(target=world.read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE + 600)
        t.ok(not thread.is_alive(), "somebody waits for ever")
    t.eq(world.problems[:3], [], "meanwhile")
    t.ok(world.kills > 0 and world.reads > 0 and all(n.done for n in world.neighbours),
         "work was done:", world.kills, world.reads, [n.done for n in world.neighbours])
    for neighbour in world.neighbours:
        neighbour.judge()
    world.node.client().when_there(30)
    world.node.nothing_left(60)
    ids = sorted(i["id"] for i in world.store.images())
    listed = t.podman(world.store, "images", "-a", "-q", "--no-trunc").out.split()
    t.eq(sorted({i.split(":")[-1] for i in listed}), ids, "podman's list")
    world.node.stop()
    world.node.start()  # what was said of images that others removed goes when nobody asks anything
    deadline = time.monotonic() + 60
    while set(os.listdir(world.store.root + "/bulkhead/summaries")) - set(ids) and \
            time.monotonic() < deadline:
        time.sleep(0.1)
    world.node.stop()
    t.eq(problems(world.store.root, spare=True), [], "the store in the end")


EXTRACTING = ("mkdirat", "openat2", "symlinkat", "linkat", "fchown", "utimensat")


@test(needs=("strace",))
def layers_are_made_outside_the_locks(t):
    """By the order of system calls: while the store holds a lock, no applier makes, checks or
    removes anything, whatever room it is; each pull and each removal does take the locks."""
    node, made = Node(t), [t.image(n) for n in ("small_files", "three")]
    refs = [t.real().push(image, "neighbours/locks-%d" % i) for i, image in enumerate(made)]
    trace = Trace(t, [node.process.pid, *node.rooms("store")], "fcntl,close,syncfs," + ",".join(EXTRACTING),
                  t.folder + "/trace")
    for ref in refs:
        node.command("pull", "-q", "--tls-verify=false", ref)
    for ref in refs:
        node.command("rmi", ref)
    node.nothing_left(60)
    lines = trace.stop()
    held = [(a, b) for lock, a, b in holds(lines) if lock == "layers"]
    t.ok(len(held) >= 4, "holds of layers.lock:", len(held))
    work = [(when, call) for _, comm, when, call, _ in lines
            if comm.startswith("bulkhead-apply") and call != "close" and call != "fcntl"]
    t.ok(len(work) > 1000, "calls of appliers:", len(work))
    inside = [(call, when) for when, call in work for a, b in held if a < when < b]
    t.eq(inside[:3], [], "appliers at work while the store holds a lock")

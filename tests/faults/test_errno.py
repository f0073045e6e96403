"""Errors at every call: the k-th call of each kind of one room fails, k = 1.. until none is left.

strace makes it fail, on the release build in its true sandbox: getpid runs instead, a call that
every room may make. Whatever fails, the pull or removal succeeds or ends with the exit code of that
error and one line of reason; the store is whole (after a pull, with the image if only the last look
at it failed), nothing is left, and the same once more succeeds. What a call really moves is halved
by tests/lib/short.py, for reads and writes that come up short.

The exploration is long; without --long a sample of it is drawn, with a fixed seed."""
import contextlib
import os
import random
import re
import signal
import sys
import threading
import time

import harness
from harness import test
from mkimage import Image, layer
from node import Node
from tarmake import Tar
import verify

SEED, SAMPLE, MOST = 20, 10, 12
FULL = ("ENOSPC", "EDQUOT")
NETWORK, NO_SPACE, INTERNAL = 5, 6, 125
HERE = os.path.dirname(os.path.abspath(__file__))
MAKES = FULL + ("EIO", "EROFS", "ENOMEM")
ERRORS = {
    "openat": ("EMFILE", "EIO", "ENOMEM") + FULL + ("EROFS",),
    "openat2": ("EMFILE", "EIO", "ENOMEM") + FULL + ("EROFS",),
    "mkdirat": MAKES, "mknodat": MAKES, "symlinkat": MAKES, "linkat": MAKES, "renameat": MAKES,
    "renameat2": MAKES, "fsetxattr": MAKES, "write": FULL + ("EIO", "EINTR"), "writev": ("EIO",),
    "pwrite64": FULL + ("EIO", "EINTR"), "ftruncate": FULL + ("EIO", "EINTR"),
    "fsync": FULL + ("EIO",), "fdatasync": FULL + ("EIO",), "syncfs": FULL + ("EIO",),
    "unlinkat": ("EIO", "EROFS", "ENOMEM"), "fchown": ("EIO", "EDQUOT", "EROFS"),
    "fchownat": ("EIO", "EDQUOT", "EROFS"), "fchmod": ("EIO", "EROFS"),
    "fchmodat": ("EIO", "EROFS"), "utimensat": ("EIO", "EROFS"), "fremovexattr": ("EIO",),
    "fgetxattr": ("EIO",), "read": ("EIO", "EINTR"), "pread64": ("EIO", "EINTR"),
    "lseek": ("EIO",), "fstat": ("EIO", "ENOMEM"), "newfstatat": ("EIO", "ENOMEM"),
    "statx": ("EIO",), "fstatfs": ("EIO", "EINTR"), "getdents64": ("EIO", "ENOMEM"),
    "readlinkat": ("EIO", "ENOMEM"), "fcntl": ("EMFILE", "ENOMEM", "EINTR"),
    "dup": ("EMFILE",), "dup3": ("EMFILE",), "mmap": ("ENOMEM",), "mprotect": ("ENOMEM",),
    "mremap": ("ENOMEM",), "recvmsg": ("EINTR", "ENOMEM"), "sendmsg": ("EINTR", "ENOMEM"),
    "recvfrom": ("EINTR",), "sendto": ("EINTR", "ENOMEM"), "poll": ("EINTR", "ENOMEM"),
    "epoll_wait": ("EINTR",), "epoll_ctl": ("ENOMEM",), "memfd_create": ("EMFILE", "ENOMEM"),
    "getrandom": ("EINTR",), "clone": ("EAGAIN", "ENOMEM"), "clone3": ("EAGAIN", "ENOMEM"),
    "fork": ("EAGAIN",), "vfork": ("EAGAIN",), "socketpair": ("EMFILE", "ENOMEM"),
    "pidfd_open": ("EMFILE", "ENOMEM"), "setns": ("ENOMEM",), "open_tree": ("ENOMEM", "EMFILE"),
    "waitid": ("EINTR",), "accept4": ("EMFILE", "ENOMEM", "EINTR"),
    "inotify_add_watch": ("ENOSPC", "ENOMEM"),
    "timerfd_settime": ("ENOMEM",), "execve": ("ENOMEM", "EIO"), "mount": ("ENOMEM",),
}


def everything():
    """Two small layers with an entry of each kind."""
    low = Tar().dir("d").add("d/gone", b"x").add("d/f", b"content", mode=0o4755, uid=1)
    low.symlink("d/l", "f").hardlink("d/h", "d/f", mode=0o4755, uid=1).fifo("d/p")
    top = Tar().dir("d").whiteout("d/gone").dir("o").opaque("o").add("implied/x", bytes(70000))
    return Image([layer(low), layer(top)])


def one_layer():
    """Its entries, and whiteouts of nothing."""
    tar = Tar().dir("d").add("d/f", b"content", mode=0o4755, uid=1)
    tar.add("d/x", b"x", xattrs={"user.k": b"v"})
    tar.symlink("d/l", "f", uid=1).hardlink("d/h", "d/f", uid=2).fifo("d/p", mode=0o640, uid=1)
    tar.whiteout("gone").add("gone", b"x").dir("o").opaque("o").add("implied/x", bytes(70000))
    return Image([layer(tar.sparse("s", 100000, [(5, b"ab")]))])


class Tamper:
    """strace on processes that run: attached when made, detached by stop()."""

    def __init__(self, t, pid, *options, follow=False):
        self.t, self.log = t, "%s/trace%d" % (t.folder, time.monotonic_ns())
        argv = ["strace", "-o", self.log, "-p", str(pid), *options] + (["-f"] if follow else [])
        self.process = t.start(argv)
        os.set_blocking(self.process.stderr.fileno(), False)
        seen, deadline = b"", time.monotonic() + 20
        while b" attached" not in seen:
            t.ok(time.monotonic() < deadline and self.process.poll() is None, "strace:", seen)
            seen += self.process.stderr.read() or b""
            time.sleep(0.002)
        self.stopped = threading.Event()
        self.killer = threading.Thread(target=self.kill_crashed)
        if follow:
            self.killer.start()

    def kill_crashed(self):
        """The kernel ends who crashes. Traced, the signal comes from strace, and a room, being the
        first process of its namespace, does not hear it: it would crash for ever."""
        with open(self.log, errors="replace") as file:
            while not self.stopped.wait(0.05):
                for pid in set(re.findall(r"^(\d+) +--- SIGSEGV", file.read(), re.M)):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)

    def stop(self):
        """The lines of its trace."""
        self.stopped.set()
        if self.killer.is_alive():
            self.killer.join()
        if self.process in self.t.busy:
            self.process.terminate()
            self.process.wait(20)
            self.t.busy.remove(self.process)
            self.process.stdout.close()
            self.process.stderr.close()
        with open(self.log, errors="replace") as file:
            return file.read().splitlines()


def counts(lines):
    """call -> how often it is made; of several processes the one that makes it most often counts."""
    each, most = {}, {}
    for line in lines:
        call = re.match(r"(\d+ +)?(\w+)\(", line)
        if call:
            each[call.groups()] = n = each.get(call.groups(), 0) + 1
            most[call.group(2)] = max(n, most.get(call.group(2), 0))
    return most


class World:
    """A daemon, and one image that is pulled and removed over and over."""

    def __init__(self, t, image=None):
        self.t, self.server, self.image = t, t.scripted(), image or everything()
        self.ref = self.server.add(self.image, "errno/image")
        self.node = Node(t)
        self.store = self.node.store
        self.pull(0)
        self.remove()

    def args(self):
        return ["pull", "--tls-verify=false", "--progress", "none", self.ref]

    def pull(self, expect=None):
        return self.node.command(*self.args(), expect=expect, timeout=20)

    def remove(self):
        self.node.command("rmi", "-a", "-f")

    def revive(self):
        """The service, if the fault has ended it: it must have left nothing that runs."""
        if self.node.process.poll() is not None:
            self.t.eq(self.t.session.leftovers(), [], "rooms of a service that is gone")
            self.node.start()
        self.node.wait_ready()

    def begin(self):
        """What act() needs."""

    act = pull

    def judge(self, result, error, label, more=()):
        self.judge_whole(result, error, label, more)
        t, left = self.t, self.store.images()
        t.ok(left or result.code, label, "a pull of nothing")
        t.ok(result.code == 0 or "sync" not in label or left == [],
             label, "what may not be on the disk is seen")
        again = self.pull(expect=0)
        t.eq(again.out.strip(), self.image.id, label + ": the next pull")
        self.remove()
        t.eq((self.store.images(), self.store.strays()), ([], []), label + ": removed")

    def judge_whole(self, result, error, label, more):
        t = self.t
        allowed = {0, NO_SPACE if error in FULL else INTERNAL, *more}
        if "openat" in label:  # what is only read needs no space
            allowed.add(INTERNAL)
        t.ok(result.code in allowed, label, result)
        lines = result.err.strip().splitlines()
        t.ok(result.code == 0 or len(lines) == 1, label, "the reason", result)
        self.revive()
        self.node.nothing_left()
        t.eq(verify.problems(self.store.root), [], label + ": the store after\n" + str(result))
        left = [i["id"] for i in self.store.images()]
        t.ok(left in ([], [self.image.id]), label, "images", left)


class Removals(World):
    """The same, of the removals. Whom it was reported to have failed may find that the image is
    gone."""

    def begin(self):
        self.pull(0)

    def act(self, expect=None):
        """Until it is cleared away, too: unless that failed, it soon is."""
        result = self.node.command("rmi", self.ref, expect=expect, timeout=20)
        deadline = time.monotonic() + 2
        while self.store.staged() and time.monotonic() < deadline:
            time.sleep(0.005)
        return result

    def judge(self, result, error, label, more=()):
        self.judge_whole(result, error, label, more)
        t, left = self.t, self.store.images()
        t.ok(left == [] or result.code, label, "removed, and there")
        self.act(expect=0 if left else 1)
        t.eq((self.store.images(), self.store.strays()), ([], []), label + ": removed")


def explore(t, plan, one, always=()):
    """plan: call -> how often it is made. one(label, call, error, k): whether the call came.
    always: what is no matter of chance, as (call, error), or (call, error, k)."""
    beyond = 2 if t.long else 0  # a sample of one-time calls would mostly be of such as never come
    cases = [(call, error, k) for call, n in sorted(plan.items()) for k in range(1, n + beyond + 1)
             for error in ERRORS.get(call, ())]
    if not t.long:
        cases = [c for c in cases if c in always or c[:2] in always] + \
            random.Random(SEED).sample(cases, min(SAMPLE, len(cases)))
    over, hits, failed = set(), 0, []
    for call, error, k in cases:
        if (call, error) in over:
            continue
        label = "%s: %s, call %d" % (call, error, k)
        try:
            met = one(label, call, error, k)
        except harness.Failure as failure:
            failed.append("%s: %s" % (label, failure))
            if len(failed) == MOST:
                break
            continue
        hits += met
        if not met and t.long:
            over.add((call, error))
    print("    %d faults of %d calls" % (hits, len(plan)), flush=True)
    t.ok(not failed, "\n".join(failed))
    t.ok(hits >= min(6, len(cases) // 2), "only", hits, "faults met their call")


def inject(call, error, k):
    return ["-e", "trace=" + call, "-e",
            "inject=%s:error=%s:when=%d:syscall=getpid" % (call, error, k)]


def struck(lines):
    return any("(INJECTED)" in l for l in lines)


def campaign(t, pid_of, follow=False, more=(), always=(), kind=World):
    """Faults of a process that is there before the pull, or removal."""
    worlds = [kind(t)]
    worlds[0].begin()
    trace = Tamper(t, pid_of(worlds[0].node), follow=follow)
    worlds[0].act(0)
    plan = counts(trace.stop())
    worlds[0].remove()

    def one(label, call, error, k):
        world = worlds[0]
        world.begin()
        trace = Tamper(t, pid_of(world.node), *inject(call, error, k), follow=follow)
        try:
            result = world.act()
            met = struck(trace.stop())
            t.ok(met or result.code == 0, label, result)
            world.judge(result, error, label, more)
        except harness.Failure:
            trace.stop()
            worlds[0] = kind(t)
            raise
        return met

    explore(t, plan, one, always)


@test(needs=["strace"])
def store(t):
    campaign(t, lambda node: next(iter(node.rooms("store"))),
             always=[("fsync", "EIO"), ("fsync", "ENOSPC", 1), ("fsetxattr", "ENOSPC")])


@test(needs=["strace"])
def supervisor(t):
    """It writes nothing to the store: what it lacks is no space of pulls."""
    campaign(t, lambda node: node.process.pid, more=(INTERNAL,))


@test(needs=["strace"])
def rooms(t):
    """All rooms of the pull at once, from their start: each of them has its own k-th call. What dial
    and fetch lack counts as the network."""
    campaign(t, lambda node: node.process.pid, follow=True, more=(NETWORK, INTERNAL),
             always=[("sendmsg", "ENOMEM", 1),  # a room's first word
                     ("sendto", "ENOMEM", 1)])  # that there is something in a ring


@test(needs=["strace"])
def removal(t):
    """By the store: of its record, and of the layers that only it has."""
    campaign(t, lambda node: next(iter(node.rooms("store"))), kind=Removals,
             always=[("fsync", "EIO"), ("renameat2", "EIO")])


@test(needs=["strace"])
def rooms_of_a_removal(t):
    """The supervisor, and all rooms that clear away what was removed."""
    campaign(t, lambda node: node.process.pid, follow=True, more=(INTERNAL,), kind=Removals)


class Gate:
    """Lets a layer's applier be met while it waits for its first byte."""

    def __init__(self, world):
        self.world, self.open = world, threading.Event()
        world.server.on("/blobs/" + world.image.layers[0].blob.digest,
                        lambda server, request, answer: self.open.wait(60) and answer)

    def begin(self):
        """(the pull, the applier's pid)"""
        world = self.world
        self.open.clear()
        process = world.t.start(world.node.argv(*world.args()))
        deadline = time.monotonic() + 30
        while True:
            for pid in world.node.rooms("apply"):
                if waits_for_three(pid):
                    return process, pid
            world.t.ok(time.monotonic() < deadline and process.poll() is None, "no applier")
            time.sleep(0.002)


def waits_for_three(pid):
    """Whether it sleeps in poll on a ring, its store and its supervisor."""
    with contextlib.suppress(OSError), open("/proc/%d/syscall" % pid) as file:
        words = file.read().split()
        return len(words) > 3 and int(words[0]) in (7, 73, 271) and int(words[2], 16) == 3
    return False


@test(needs=["strace"])
def applier(t):
    worlds = [World(t, one_layer())]
    gates = [Gate(worlds[0])]

    def pull(*options):
        process, pid = gates[0].begin()
        trace = Tamper(t, pid, *options)
        gates[0].open.set()
        return t.finish(process, 20), trace.stop()

    result, lines = pull()
    t.eq(result.code, 0, result)
    worlds[0].remove()

    def one(label, call, error, k):
        try:
            result, lines = pull(*inject(call, error, k))
            gates[0].open.set()
            worlds[0].judge(result, error, label)
        except harness.Failure:
            worlds[0] = World(t, one_layer())
            gates[0] = Gate(worlds[0])
            raise
        return struck(lines)

    explore(t, counts(lines), one)


@test
def short_reads_and_writes(t):
    """Of the store and of an applier, at every place: the pull succeeds, and all bytes are there."""
    worlds = World(t, one_layer())
    gate = Gate(worlds)
    hits = 0
    for room in ("store", "apply"):
        for call in ("read", "write", "pread64", "pwrite64"):
            for k in range(1, 1000) if t.long else (1, 3):
                process, pid = gate.begin()
                pid = pid if room == "apply" else next(iter(worlds.node.rooms("store")))
                cutter = t.start([sys.executable, HERE + "/../lib/short.py", str(pid), call, str(k)])
                t.eq(cutter.stdout.readline(), b"attached\n", "short.py")
                gate.open.set()
                result = t.finish(process, 20)
                cutter.terminate()
                met = b"struck" in t.finish(cutter, 20).out.encode()
                label = "%s: a short %s, number %d" % (room, call, k)
                t.eq(result.code, 0, label + "\n" + str(result))
                worlds.judge(result, None, label)
                hits += met
                if not met:
                    break
    t.ok(hits >= 6, "only", hits, "calls came up short")

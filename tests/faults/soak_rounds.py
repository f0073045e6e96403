"""A daemon for a long time: random pulls, lists, removals, reloads, kills and registry faults, and
then again. What it keeps does not grow. Run by `soak`, with nothing beside it."""
import contextlib
import json
import os
import random
import subprocess
import threading
import time

from harness import test
import images
from node import Node
import registry
from tarmake import Tar
from verify import problems

MINUTES = float(os.environ["SOAK_MINUTES"])
ROOMS = ("frontend", "store", "fetch", "dial", "hash", "inflate", "apply", "document", "verdict")
# What the process of a daemon may take more than at the first measure, at rest.
KIB, FDS, DISK = 4096, 4, 1 << 20


def made(t, server):
    """References of small images that share layers, and one that is larger."""
    base, shared = images.layer(images.base(t.session)), images.layer(
        Tar().add("opt/shared", images.text(200000, 1)))
    found = {}
    for i in range(8):
        own = images.layer(Tar().add("opt/own", images.text(50000 * (i + 1), i + 10)))
        image = images.Image([base, shared, own] if i % 2 else [base, own])
        found[server.add(image, "soak/%d" % i)] = image.id
    return found


def faults():
    """What a registry does once, to one request."""
    return (registry.status(500), registry.status(404), registry.truncated(1000),
            registry.change(registry.flip))


class Soak:
    def __init__(self, t, minutes):
        self.t, self.until = t, time.monotonic() + 60 * minutes
        self.server, self.problems, self.counts = t.scripted(), [], {}
        self.images = made(t, self.server)
        self.node, self.lock = Node(t, log_level="warning", check_rate=0), threading.Lock()
        self.rng = random.Random(4)
        self.measures = []

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    # the work of one round, several threads

    def work(self, seed, deadline):
        rng = random.Random(seed)
        kinds = [self.pull] * 5 + [self.remove] * 3 + [self.list] * 2 + [self.tag, self.check]
        while time.monotonic() < deadline:
            kind = rng.choice(kinds)
            try:
                kind(rng)
            except Exception as error:  # a thread's end would go unseen
                self.problems.append("%s: %s" % (kind.__name__, error))
                return
            self.count(kind.__name__)

    def command(self, *args):
        """Whatever it says: rooms are being killed. It has to end."""
        argv = self.node.argv(*args)
        result = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, timeout=120, env=self.t.session.env)
        self.count("exit %d" % result.returncode)
        return result

    def pull(self, rng):
        self.command("pull", "-q", "--tls-verify=false", rng.choice(list(self.images)))

    def remove(self, rng):
        self.command("rmi", "-f", rng.choice(list(self.images)))

    def list(self, _rng):
        self.command("images", "-q")

    def tag(self, rng):
        self.command("tag", rng.choice(list(self.images)), "example.com/soak:%d" % rng.randrange(4))

    def check(self, rng):
        self.command("check", *(["--deep"] if rng.random() < 0.3 else []))

    def disturb(self, deadline):
        """Kills, reloads, registry faults."""
        while time.monotonic() < deadline:
            time.sleep(self.rng.uniform(0.2, 1.5))
            what = self.rng.random()
            if what < 0.5:
                victims = list(self.node.rooms(self.rng.choice(ROOMS)))
                if victims:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(self.rng.choice(victims), 9)
                    self.count("kill")
            elif what < 0.7:
                self.node.configure(max_parallel_pulls=self.rng.randrange(2, 8))
                self.node.process.send_signal(1)
                self.count("reload")
            else:
                self.server.on("/blobs/|/manifests/", self.rng.choice(faults()), times=1)
                self.count("fault")

    # at rest

    def rest(self):
        """All images gone, all rooms of pulls, too; a pull and a list work."""
        node, deadline = self.node, time.monotonic() + 60
        self.server.clear()
        while (out := self.command("rmi", "-a")).returncode or self.listed() != b"":
            self.t.ok(time.monotonic() < deadline, "images are left:", out.stderr, self.listed())
            time.sleep(0.1)
        ref = next(iter(self.images))
        while self.command("pull", "-q", "--tls-verify=false", ref).returncode:
            self.t.ok(time.monotonic() < deadline, "no pull succeeds")
            time.sleep(0.1)
        while self.command("rmi", ref).returncode:
            self.t.ok(time.monotonic() < deadline, "no removal succeeds")
            time.sleep(0.1)
        node.nothing_left(60)

    def listed(self):
        return self.command("images", "-q").stdout.strip()

    def measure(self):
        pids = [self.node.process.pid, *self.node.rooms()]
        fds = 0
        for pid in pids:
            with contextlib.suppress(OSError):
                fds += len(os.listdir("/proc/%d/fd" % pid))
        out = subprocess.run(["du", "-s", "--block-size=1", self.node.store.root],
                             stdout=subprocess.PIPE, check=True, text=True).stdout
        with open("/proc/%d/status" % self.node.process.pid) as file:
            rss = next(int(l.split()[1]) for l in file if l.startswith("VmRSS"))
        return {"memory": self.node.own_memory(), "supervisor": rss, "fds": fds, "processes": len(pids),
                "disk": int(out.split()[0])}

    def round(self, seconds):
        deadline = min(self.until, time.monotonic() + seconds)
        threads = [threading.Thread(target=self.work, args=(self.rng.random(), deadline))
                   for _ in range(3)]
        threads.append(threading.Thread(target=self.disturb, args=(deadline,)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(300)
            self.t.ok(not thread.is_alive(), "a command never ended")
        self.t.eq(self.problems[:3], [], "commands")
        self.rest()
        self.measures.append(self.measure())

    def judge(self):
        """Against the second measure: the first round fills caches."""
        first, last = self.measures[min(1, len(self.measures) - 1)], self.measures[-1]
        text = json.dumps({"counts": self.counts, "measures": self.measures})
        for what, more in (("memory", KIB), ("supervisor", KIB), ("fds", FDS),
                           ("processes", 2), ("disk", DISK)):
            self.t.ok(last[what] <= first[what] + more, "%s grew:" % what, text)
        return text


@test
def nothing_grows(t):
    soak = Soak(t, MINUTES)
    round_seconds = max(10, min(60, MINUTES * 60 / 5))
    while time.monotonic() < soak.until:
        soak.round(round_seconds)
        print("    %s" % soak.measures[-1], flush=True)
    text = soak.judge()
    print("    %s" % soak.counts, flush=True)
    t.ok(all(soak.counts.get(k, 0) > 0 for k in ("pull", "remove", "kill", "reload", "fault",
                                                 "exit 0")), "work was done", text)
    soak.node.stop()
    t.eq(problems(soak.node.store.root), [], "the store in the end")

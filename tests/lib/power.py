"""Disks that lose their power: a loop device over a file of ours that records every write and every
flush (tests/faults/power/recorder.c), and what is left of it at any moment.

    disk = Disk(t, "ext4")             # formatted; disk.mount(folder, image) and unmount(folder)
    with disk.recorded(folder) as tape:    # mounted; what is done in it is on the tape
        ...
        done = tape.length()           # events so far: what was promised by then must hold after
    tape.events                        # FLUSH or (offset, bytes), in the order of completion
    for cut in tape.cuts(seed, count, done):
        cut.image                      # a file: the disk as it could be then

A disk may lose any of the writes that came after the last flush, whole or by blocks of 4,096 bytes
(that many a disk writes at once or not at all; file systems take it for granted), and keeps all
before it. Device-mapper, nbd and ublk would record too, but are not in every kernel; FUSE and loop
are.
"""
import contextlib
import os
import random
import struct
import subprocess
import time

import harness
from points import BUILD

FORMAT = {"ext4": ["mkfs.ext4", "-q", "-F", "-J", "size=8", "-E",
                   "lazy_itable_init=0,lazy_journal_init=0"],
          "xfs": ["mkfs.xfs", "-q", "-f"]}  # which has no smaller disk than this
SIZE, BLOCK = 320 << 20, 4096
FLUSH, HEAD = None, "QQQ"
KEEPS = ("nothing", "all", "some writes", "some blocks")  # of what was not flushed


class Cut:
    def __init__(self, image, at, keeps, lost):
        self.image, self.at, self.keeps, self.lost = image, at, keeps, lost


class Disk:
    def __init__(self, t, kind):
        self.t, self.kind, self.image = t, kind, "%s/%s" % (t.folder, kind)
        with open(self.image, "wb") as file:
            file.truncate(SIZE)
        t.run(FORMAT[kind] + [self.image])
        t.run(["fallocate", "--dig-holes", self.image])

    def mount(self, folder, device=None):
        os.makedirs(folder, mode=0o700, exist_ok=True)
        options = [] if device and device.startswith("/dev/") else ["-o", "loop"]
        self.t.run(["mount", "-t", self.kind, *options, device or self.image, folder])
        self.t.session.base_mounts.append(folder)
        os.chmod(folder, 0o700)

    def unmount(self, folder):
        """With what podman has bound below it; waits for who is about to leave."""
        self.t.session.base_mounts.remove(folder)
        for _ in range(100):
            done = subprocess.run(["umount", "-R", folder], stderr=subprocess.PIPE)
            if done.returncode == 0:
                return
            time.sleep(0.05)
        subprocess.run(["umount", "-l", folder])
        raise harness.Failure("%s stays mounted: %s" % (folder, done.stderr.decode()))

    @contextlib.contextmanager
    def recorded(self, folder):
        tape = Tape(self)
        with contextlib.ExitStack() as stack:
            device = stack.enter_context(tape.device())
            self.mount(folder, device)
            stack.callback(self.unmount, folder)
            yield tape
        tape.read()


class Tape:
    def __init__(self, disk):
        self.disk, self.t = disk, disk.t
        name = "%s/%s%d" % (self.t.folder, disk.kind, len(self.t.cleanups))
        self.copy, self.log, self.folder = name + ".disk", name + ".log", name + ".fuse"
        self.events = []

    @contextlib.contextmanager
    def device(self):
        t = self.t
        t.run(["cp", self.disk.image, self.copy])
        os.mkdir(self.folder)
        recorder = t.start([BUILD + "/power-recorder", self.copy, self.log, self.folder])
        t.busy.remove(recorder)
        device = None
        try:
            while not os.path.exists(self.folder + "/disk"):
                t.ok(recorder.poll() is None, "the recorder ended:", recorder.poll())
                time.sleep(0.002)
            t.session.base_mounts.append(self.folder)
            device = t.run(["losetup", "--find", "--show", self.folder + "/disk"]).out.strip()
            yield device
        finally:
            if device:
                subprocess.run(["losetup", "-d", device])
            subprocess.run(["umount", "-l", self.folder])
            recorder.wait(30)
            t.session.base_mounts.remove(self.folder)

    def length(self):
        """How many events there are now."""
        return len(self.parse())

    def parse(self):
        events = []
        with open(self.log, "rb") as file:
            while head := file.read(struct.calcsize(HEAD)):
                kind, offset, size = struct.unpack(HEAD, head)
                events.append((offset, file.read(size)) if kind == 1 else FLUSH)
        return events

    def read(self):
        self.events = self.parse()

    def moments(self, rng, count, done):
        """Where to cut, ascending: where writes are about to be flushed, at what was promised, and
        anywhere; at every event, if there are so many cuts."""
        flushes = [i for i in range(1, done) if self.events[i] is FLUSH is not self.events[i - 1]]
        picked = list(range(done)) if count > done + 3 else rng.sample(range(done), count // 2)
        picked += [done] * 3
        return sorted(picked + rng.choices(flushes, k=max(0, count - len(picked))))

    def cuts(self, seed, count, done):
        """The image of one is gone when the next is asked for."""
        rng, whole, at, any_lost = random.Random(seed), self.copy + ".whole", 0, False
        self.t.run(["cp", self.disk.image, whole])
        for number, moment in enumerate(self.moments(rng, count, done)):
            last = max((i for i in range(moment) if self.events[i] is FLUSH), default=0)
            write(whole, [e for e in self.events[at:last] if e is not FLUSH])
            at = max(at, last)
            pending = [e for e in self.events[at:moment] if e is not FLUSH]
            keeps = rng.choice(KEEPS)
            if moment == done and number % 2 == 0 or pending and not any_lost:
                keeps = "nothing"  # once at least, however the tape turned out
            kept = subset(rng, pending, keeps)
            any_lost = any_lost or len(kept) < len(pending)
            image = self.copy + ".cut"
            self.t.run(["cp", whole, image])
            write(image, kept)
            yield Cut(image, moment, keeps, len(pending) - len(kept))
            os.unlink(image)
        os.unlink(whole)


def blocks(offset, data):
    while data:
        size = BLOCK - offset % BLOCK
        yield offset, data[:size]
        offset, data = offset + size, data[size:]


def subset(rng, pending, keeps):
    if keeps in ("nothing", "all"):
        return pending if keeps == "all" else []
    if keeps == "some blocks":
        pending = [b for w in pending for b in blocks(*w)]
    return [w for w in pending if rng.random() < 0.5]


def write(path, writes):
    with open(path, "r+b") as file:
        for offset, data in writes:
            file.seek(offset)
            file.write(data)

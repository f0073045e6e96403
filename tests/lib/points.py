"""The fail points of the faults build (common/base/failpoints.def), from the test's side.

    points = Points(t)                 # a copy of the programs, those with fail points among them
    points.arm("LAYER_MOVED", skip=1)  # who comes there for the second time stands still
    process = t.start(...)             # with the programs of points.bin
    with points.held():                # at its end he goes on
        points.met(process)            # True: somebody stands there; False: the process ended first
        points.stander(pid)            # his pid, who is that or of its offspring
    points.hits()                      # name -> how often each was passed since arm() or clear()
"""
import contextlib
import mmap
import os
import re
import shutil
import struct
import time

import harness

TABLE = harness.TOP + "/common/base/failpoints.def"
MAGIC = b"bulkhead-failpoints:1"
POINTS, ARMED, SKIP, STATE, HITS = 24, 28, 32, 36, 40  # offsets in struct failpoints
STANDS, GOES_ON = 1, 2
BUILD = harness.TOP + "/build/faults/bin"


def table():
    """name -> room, in the order of their numbers."""
    with open(TABLE) as file:
        return dict(re.findall(r'^POINT\((\w+), (\w+), "', file.read(), re.M))


class Points:
    def __init__(self, t):
        self.t, self.rooms = t, table()
        self.names = list(self.rooms)
        self.bin = t.folder + "/bin"
        os.mkdir(self.bin)
        for name in os.listdir(t.session.bin):
            if name.startswith("bulkhead"):
                found = "%s/%s" % (BUILD, name)
                honest = "%s/%s" % (t.session.bin, name)
                shutil.copy(found if os.path.exists(found) else honest, self.bin)
        size = HITS + 4 * (len(self.names) + 1)
        with open(self.bin + "/failpoints", "w+b") as file:
            file.write(struct.pack("24sI", MAGIC, len(self.names) + 1).ljust(size, b"\0"))
            file.flush()
            os.fchmod(file.fileno(), 0o666)
            self.page = mmap.mmap(file.fileno(), size)
        t.cleanups.append(self.page.close)

    def get(self, offset):
        return struct.unpack_from("I", self.page, offset)[0]

    def put(self, offset, value):
        struct.pack_into("I", self.page, offset, value)

    def clear(self):
        for offset in range(ARMED, len(self.page), 4):
            self.put(offset, 0)

    def arm(self, name, skip=0):
        """name None: nothing, as clear()."""
        self.clear()
        self.put(SKIP, skip)
        self.put(ARMED, self.names.index(name) + 1 if name else 0)

    def take(self):
        """What is armed, which then is not."""
        armed, skip = self.get(ARMED), self.get(SKIP)
        self.clear()
        return (self.names[armed - 1] if armed else None, skip)

    def hits(self):
        counts = {n: self.get(HITS + 4 * (i + 1)) for i, n in enumerate(self.names)}
        return {n: c for n, c in counts.items() if c}

    def met(self, process, seconds=60, more=0):
        """more: seconds after its end in which somebody may still come."""
        deadline = time.monotonic() + seconds
        while self.get(STATE) != STANDS:
            if process.poll() is not None:
                deadline = min(deadline, time.monotonic() + more)
                more = 60
                if time.monotonic() >= deadline:
                    return self.get(STATE) == STANDS
            elif time.monotonic() > deadline:
                raise harness.Failure("nobody came to the fail point, and nothing ended")
            time.sleep(0.0005)
        return True

    @contextlib.contextmanager
    def held(self):
        """Who stands there goes on afterwards, whatever happens: he holds pipes of the test."""
        try:
            yield
        finally:
            self.put(ARMED, 0)
            self.put(STATE, GOES_ON)

    def stander(self, root):
        """Who sleeps as only a fail point does: in poll for nothing."""
        for _ in range(2000):
            for pid in [root, *harness.offspring(root)]:
                try:
                    with open("/proc/%d/syscall" % pid) as file:
                        fields = file.read().split()
                except OSError:
                    continue
                if fields[1:3] == ["0x0", "0x0"]:
                    return pid
            time.sleep(0.0005)
        raise harness.Failure("nobody stands at the fail point")

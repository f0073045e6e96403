"""As test_kill_points.py, in a daemon: it goes on, or another takes its place, and whoever was
killed, what it left is cleared away while it serves. By default a few points, all with --long."""
import time

from harness import test
from crash import state
from node import Node
from test_kill_points import Campaign, ground

MORE = 1  # seconds in which a daemon may come to a point after it has answered


class Served(Campaign):
    def start(self, store):
        armed = self.points.take()  # its own start is the other tests'
        honest, self.t.session.bin = self.t.session.bin, self.points.bin
        try:
            self.node = Node(self.t, store)
        finally:
            self.t.session.bin = honest
        self.settle(store, "before")
        self.points.arm(*armed)
        self.command = self.t.start(self.node.argv(*self.request.argv))
        return self.command

    def met(self):
        return self.points.met(self.command, more=MORE)

    def root(self):
        return self.node.process.pid

    def kill(self, pid):
        there = super().kill(pid)
        if pid == self.node.process.pid:
            self.node.process.wait(20)
        return there

    def settle(self, store, label):
        """A killed supervisor's place is taken by another one."""
        if self.node.process.poll() is not None:
            self.t.eq(self.t.session.leftovers(), [], label + ": processes")
            self.node.start()
        deadline = time.monotonic() + 20
        while self.request.wrong(store, deep=False) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.node.nothing_left()

    def end(self):
        self.t.eq(self.request.list_of(self.node.command("images", "--format", "json").out),
                  state(self.node.store), "what the daemon lists")
        self.node.stop(expect=None)


@test
def pull(t):
    g, points = ground(t)
    request = g.pull()
    request.name = "daemon: pull"
    Served(t, points, request, [g.kept_ref]).run(None if t.long else [
        "LAYER_CHECKED", "JOURNAL_WRITTEN", "LAYER_MOVED", "LAYERS_PUBLISHED", "DOCUMENT_MOVED",
        "IMAGE_PUBLISHED", "ROOM_REAPED"])


@test
def remove(t):
    g, points = ground(t)
    request = g.remove()
    request.name = "daemon: rmi"
    Served(t, points, request, [g.kept_ref, g.new_ref]).run(None if t.long else [
        "REMOVAL_NOTED", "IMAGE_UNRECORDED", "LAYER_TRASHED", "TRASH_TAKEN", "ERASE_ONE"])

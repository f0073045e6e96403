"""bulkheadd as a daemon over a store, with CRI clients and commands at its sockets."""
import contextlib
import os
import signal
import socket
import threading
import time

import cri
import harness
import rawh2

BACKOFF = 10  # seconds that a killed room may take to be there again


def memory(pid, key):
    """KiB."""
    try:
        with open("/proc/%d/smaps_rollup" % pid) as file:
            return next((int(l.split()[1]) for l in file if l.startswith(key + ":")), 0)
    except OSError:
        return 0


def pss(pid):
    return memory(pid, "Pss")


# Kinds of rooms that may wait for work, and the sockets that they have then: the control channel, and
# two of libcurl's own.
SPARES = {("bulkhead-" + n)[:15]: 3 if n == "fetch" else 1 for n in (
    "fetch", "dial", "document", "verdict", "hash", "inflate")}


def at_work(pid, comm):
    """The room has got channels to others."""
    sockets = 0
    try:
        for fd in os.listdir("/proc/%d/fd" % pid):
            with contextlib.suppress(OSError):
                sockets += os.readlink("/proc/%d/fd/%s" % (pid, fd)).startswith("socket:")
    except OSError:
        return False  # it has just ended
    return sockets > SPARES.get(comm, 0)


class Node:
    """Starts the daemon and waits until it answers. settings: rows of bulkhead.toml."""

    def __init__(self, t, store=None, policy=None, wait=True, **more):
        self.t, self.store = t, store or t.store()
        self.folder = "%s/n%d" % (t.folder, len(t.cleanups))
        os.mkdir(self.folder, 0o700)
        self.socket, self.control, self.metrics = (
            "%s/%s" % (self.folder, n) for n in ("cri", "control", "metrics"))
        self.policy, self.more = policy, more
        self.configure()
        self.log, self.clients, self.process = self.folder + "/log", [], None
        t.cleanups.append(self.close)
        self.start(wait)

    def configure(self, **changes):
        self.more.update(changes)
        self.config = self.t.session.write_config(self.folder, self.policy, dict({
            "listen": "unix://" + self.socket, "control_socket": "unix://" + self.control,
            "metrics_socket": "unix://" + self.metrics, "log_level": "debug"}, **self.more))

    def start(self, wait=True):
        with open(self.log, "ab") as log:
            self.process = self.t.start(
                [self.t.session.bin + "/bulkheadd", "--config", self.config, "--root",
                 self.store.root, "--runroot", self.store.runroot], stdout=log, stderr=log)
        self.t.busy.remove(self.process)
        if wait:
            self.wait_ready()

    def wait_ready(self, seconds=60):
        deadline = time.monotonic() + seconds
        while True:
            if self.process.poll() is not None:
                raise harness.Failure("bulkheadd ended with %d:\n%s" % (
                    self.process.returncode, harness.clip(self.logs())))
            if os.path.exists(self.socket) and self.answers():
                return
            if time.monotonic() > deadline:
                raise harness.Failure("bulkheadd is not ready:\n" + harness.clip(self.logs()))
            time.sleep(0.005)

    def answers(self):
        try:
            with rawh2.Conn(self.socket, timeout=10) as conn:
                return conn.call("/runtime.v1.RuntimeService/Version", timeout=10).code == 0
        except OSError:
            return False

    # who speaks to it

    def client(self, **options):
        client = cri.Client(self.t.session.work, self.socket, **options)
        self.clients.append(client)
        return client

    def raw(self, **options):
        return rawh2.Conn(self.socket, **options)

    def argv(self, *args):
        return [self.t.session.bin + "/bulkhead", "--socket", self.control, *args]

    def command(self, *args, **options):
        return self.t.run(self.argv(*args), **options)

    def metric(self, name):
        """The sum of a metric's samples; None if there are none."""
        text = self.metrics_text()
        found = [l.rsplit(" ", 1) for l in text.splitlines() if not l.startswith("#")]
        values = [float(v) for k, v in found if k.split("{")[0] == name]
        return sum(values) if values else None

    def metrics_text(self):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(30)
            sock.connect(self.metrics)
            sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            got = b""
            while piece := sock.recv(65536):
                got += piece
        return got.partition(b"\r\n\r\n")[2].decode()

    # what it is made of

    def logs(self):
        with open(self.log, errors="replace") as file:
            return file.read()

    def rooms(self, name=None):
        """pid -> comm of the rooms at work; name: only of this one, as in "store"."""
        return {p: c for p, c in self.all_rooms(name).items() if at_work(p, c)}

    def all_rooms(self, name=None):
        """With those that wait for work."""
        found = harness.offspring(self.process.pid)
        return {p: c for p, c in found.items() if name is None or
                c == ("bulkhead-" + name)[:15]}

    def pss(self):
        """KiB of all its processes together."""
        return sum(pss(p) for p in [self.process.pid, *self.all_rooms()])

    def own_memory(self):
        """KiB of its lasting processes together that are theirs alone. Of pages that all processes
        of the machine share, libraries', Pss has the more the fewer these are."""
        return sum(memory(p, "Anonymous") for p in [self.process.pid, *self.rooms()])

    def kill_room(self, name):
        for pid in self.rooms(name):
            with contextlib.suppress(ProcessLookupError):  # the end of one may end the others
                os.kill(pid, signal.SIGKILL)

    def one_shots(self):
        """Rooms that live for one pull or document; the store keeps one applier to clear up."""
        lasting = ["bulkhead-fronte", "bulkhead-store", "bulkhead-apply"]
        found = {}
        for pid, comm in self.rooms().items():
            if comm in lasting:
                lasting.remove(comm)
            else:
                found[pid] = comm
        return found

    def layers_flow(self, seconds=30):
        """Waits for rooms of two layers: the small base of an image may just have ended, so that
        the end of its rooms would hurt nobody; two such layers there are not."""
        deadline = time.monotonic() + seconds
        while any(len(self.rooms(n)) < 2 for n in ("hash", "inflate", "apply")):
            self.t.ok(time.monotonic() < deadline, "no rooms of two layers:", self.rooms())
            time.sleep(0.005)

    def nothing_left(self, seconds=30):
        """No staging and no room of a pull, soon."""
        deadline = time.monotonic() + seconds
        while (left := (self.store.staged(), self.one_shots())) != ([], {}) and \
                time.monotonic() < deadline:
            time.sleep(0.02)
        self.t.eq(left, ([], {}), "left of a pull")

    def stop(self, expect=0):
        self.process.terminate()
        result = self.t.finish(self.process, 20)
        if expect is not None:
            self.t.eq(result.code, expect, "exit code of the daemon")
        return result

    def close(self):
        for client in self.clients:
            client.close()
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except Exception:
                self.process.kill()
                self.process.wait()


class Lister:
    """A client that lists all the while in a thread of its own, as kubelet does; for tests of what
    must not disturb it."""

    def __init__(self, node, pause=0.02, at_least=0):
        self.client, self.pause, self.at_least = node.client(), pause, at_least
        self.times, self.problems, self.stopping = [], [], threading.Event()
        self.client.when_there()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        while not self.stopping.is_set():
            begun = time.monotonic()
            try:
                found = self.client.list(timeout=20)
                if len(found) < self.at_least:
                    self.problems.append("%d images" % len(found))
            except Exception as error:
                self.problems.append(str(error))
            self.times.append(time.monotonic() - begun)
            self.stopping.wait(self.pause)

    def stop(self):
        self.stopping.set()
        self.thread.join(30)
        return self

    def demand(self, t, seconds=2, what=""):
        """It never failed and never took longer."""
        self.stop()
        t.eq(self.problems[:3], [], "a good client failed " + what)
        t.ok(len(self.times) > 1, "a good client did not list", what)
        t.ok(max(self.times) < seconds, "a list took %.1f s" % max(self.times), what)



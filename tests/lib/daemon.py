"""bulkheadd as a service manager runs it: a Node with a peer at NOTIFY_SOCKET.

    daemon = Daemon(t)                    # started; READY=1 was seen; daemon.ready_ms
    Daemon(t, watchdog=0.4)               # with WATCHDOG_USEC (seconds)
    Daemon(t, abstract=True)              # NOTIFY_SOCKET=@name
    Daemon(t, activate=("cri", "control"))   # sockets passed in by systemd-socket-activate
    Daemon(t, start=False, argv=[...], env={...}, wrap=[...])
    daemon.next("STOPPING=1")             # the next message with that line, as {name: value}
    daemon.silent(seconds, "WATCHDOG=1")  # fails if such a message comes
    daemon.drain()                        # forgets what has come so far
    daemon.reload()                       # SIGHUP; returns when READY=1 has come again
    daemon.stop()                         # SIGTERM; Result; then daemon.gone() for what is left

Everything else (client, command, rooms, logs, configure, kill_room ...) is Node's.
"""
import os
import signal
import socket
import time

import harness
from node import Node


class Daemon(Node):
    def __init__(self, t, start=True, watchdog=None, abstract=False, activate=(), names=True,
                 argv=(), env=None, wrap=(), **more):
        self.watchdog, self.activate, self.names = watchdog, activate, names
        self.extra, self.environ, self.wrap, self.seen = list(argv), dict(env or {}), wrap, []
        self.peer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.peer_name = "%s/notify%d" % (t.folder, len(t.cleanups))
        self.abstract, self.process = abstract, None
        self.peer.bind("\0bulkhead-test" + self.peer_name if abstract else self.peer_name)
        t.cleanups.append(self.peer.close)
        self.begin = start
        super().__init__(t, **more)

    def start(self, wait=True):
        if self.begin:
            self.run(wait)

    def run(self, wait=True):
        """Starts it, again too."""
        env = dict(self.environ, NOTIFY_SOCKET="@bulkhead-test" + self.peer_name
                   if self.abstract else self.peer_name)
        if self.watchdog:
            env["WATCHDOG_USEC"] = str(int(self.watchdog * 1e6))
        argv = [self.t.session.bin + "/bulkheadd", "--config", self.config, "--root",
                self.store.root, "--runroot", self.store.runroot, *self.extra]
        self.drain()
        began = time.monotonic()
        with open(self.log, "ab") as log:
            self.process = self.t.start([*self.wrap, *self.activation(env), *argv], env=env,
                                        stdout=log, stderr=log)
        self.t.busy.remove(self.process)
        if wait:
            if self.activate:
                self.poke()
            self.next("READY=1")
            self.ready_ms = 1000 * (time.monotonic() - began)

    def activation(self, env):
        if not self.activate:
            return []
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        argv = ["systemd-socket-activate"]
        for name in env:
            argv += ["-E", name]
        kinds = [k == "control" for k in self.activate]
        # One kind of socket for all that it opens.
        argv += ["--seqpacket"] if all(kinds) else []
        for kind in self.activate:
            argv += ["-l", self.path_of(kind)]
        return argv + (["--fdname=" + ":".join(self.activate)] if self.names else [])

    def path_of(self, kind):
        return {"cri": self.socket, "control": self.control, "metrics": self.metrics}[kind]

    def poke(self):
        """The first connection is what makes systemd-socket-activate start the service."""
        path, deadline = self.path_of(self.activate[0]), time.monotonic() + 30
        kind = socket.SOCK_SEQPACKET if self.activate[0] == "control" else socket.SOCK_STREAM
        while True:
            with socket.socket(socket.AF_UNIX, kind) as sock:
                try:
                    return sock.connect(path)
                except OSError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.01)

    # what it tells

    def receive(self, seconds):
        """The next message as {name: value}; None if none comes."""
        self.peer.settimeout(max(seconds, 0.001))
        try:
            text = self.peer.recv(8192).decode()
        except (TimeoutError, BlockingIOError):
            return None
        message = dict(line.split("=", 1) for line in text.split("\n") if line)
        message["at"] = time.monotonic()
        self.seen.append(message)
        return message

    def next(self, line, seconds=30):
        name, value = line.split("=", 1)
        deadline = time.monotonic() + seconds
        while True:
            message = self.receive(deadline - time.monotonic())
            if message and message.get(name) == value:
                return message
            if time.monotonic() > deadline or (
                    not message and self.process and self.process.poll() is not None):
                raise harness.Failure("no %s within %s s; seen: %s; the daemon: %s\n%s" % (
                    line, seconds, self.seen[-5:], self.process and self.process.poll(),
                    harness.clip(self.logs())))

    def silent(self, seconds, line):
        name, value = line.split("=", 1)
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            message = self.receive(left)
            self.t.ok(not message or message.get(name) != value, line, "came")

    def drain(self):
        while self.receive(0.001):
            pass

    # what is done to it

    def hup(self):
        self.process.send_signal(signal.SIGHUP)

    def reload(self, seconds=60):
        """The message that announced it."""
        self.drain()
        self.hup()
        message = self.next("RELOADING=1", seconds)
        self.next("READY=1", seconds)
        return message

    def room(self, name):
        """The pid of the one room of that kind, waited for."""
        deadline = time.monotonic() + 30
        while len(found := list(self.rooms(name))) != 1:
            self.t.ok(time.monotonic() < deadline, "rooms of", name, found)
            time.sleep(0.01)
        return found[0]

    def refused(self, code, *parts):
        """It ends by itself with that code and says why."""
        result = self.t.finish(self.process, 20)
        self.t.eq(result.code, code, "exit code; its log:\n" + harness.clip(self.logs()))
        for part in parts:
            self.t.has(self.logs(), part, "the reason")

    def gone(self):
        """Nothing of it is left: sockets, staging (mounts and processes: the harness looks)."""
        self.t.eq([k for k in ("cri", "control", "metrics")
                   if os.path.lexists(self.path_of(k))], [], "sockets left")
        self.t.eq(self.store.staging(), [], "staging left")

    def close(self):
        super().close()
        self.clients = []


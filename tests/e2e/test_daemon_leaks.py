"""What a daemon that runs for months must not gather: descriptors, memory, rooms."""
import os
import signal
import socket
import time

from daemon import Daemon
from harness import test
from node import pss
from test_cri_pull import until
from test_daemon import pidfd_getfd

CONTROL = 3  # the descriptor of a room's channel to the supervisor
LASTING = {"bulkhead-fronte", "bulkhead-store", "bulkhead-fetch", "bulkhead-apply"}


def figures(daemon):
    """Of each lasting process: its descriptors, and its Pss in KiB."""
    pids = {"supervisor": daemon.process.pid, "frontend": daemon.room("frontend"),
            "store": daemon.room("store")}
    return {name: (len(os.listdir("/proc/%d/fd" % pid)), pss(pid))
            for name, pid in pids.items()}


def settle(t, daemon):
    daemon.nothing_left()
    until(t, "the rooms of pulls to go", lambda: set(daemon.rooms().values()) <= LASTING)
    time.sleep(2.2)  # the store forgets its view


def demand(t, before, daemon, kib=1024):
    """Soon: on a busy machine the store forgets its view somewhat later."""
    def grown():
        return {n: (before[n], now) for n, now in figures(daemon).items()
                if now[0] > before[n][0] or now[1] > before[n][1] + kib}
    deadline = time.monotonic() + 20
    while (found := grown()) and time.monotonic() < deadline:
        time.sleep(0.5)
    t.eq(found, {}, "descriptors and KiB before and now")


@test
def pulls(t):
    """80 pulls and removals of a small image, and pulls that fail."""
    server, daemon = t.scripted(), Daemon(t, log_level="warning")
    ref = server.add(t.image("three"), "leaks/one")

    def turn(n):
        for i in range(n):
            daemon.command("pull", "-q", "--tls-verify=false", ref)
            daemon.command("rmi", ref)
            if i % 5 == 0:
                daemon.command("pull", "-q", "--tls-verify=false", ref + "-no", expect=None)

    turn(20)
    settle(t, daemon)
    before = figures(daemon)
    turn(60)
    settle(t, daemon)
    demand(t, before, daemon)
    daemon.stop()
    daemon.gone()


@test
def reloads_and_restarts(t):
    """50 reloads, half of them refused; rooms killed, pulls cut off by it."""
    server, daemon = t.scripted(), Daemon(t, log_level="warning")
    image = t.image("three")
    ref, client = server.add(image, "leaks/two"), daemon.client()
    broken = daemon.config.removesuffix(".toml") + ".conf.d"
    os.mkdir(broken, 0o700)
    broken += "/x.toml"

    def turn(reloads, kills):
        for i in range(reloads):
            if i % 2:
                with open(broken, "w", opener=lambda p, f: os.open(p, f, 0o600)) as file:
                    file.write("no_such_key = 1\n")
            elif os.path.exists(broken):
                os.remove(broken)
            daemon.reload()
        os.remove(broken)
        for i in range(kills):
            server.rate = 20000
            pull = client.begin_pull(ref)
            daemon.layers_flow()
            name = ("hash", "fetch", "apply", "inflate")[i % 4]
            daemon.kill_room(name)
            t.ok(pull.exception() is not None, "the pull over the end of", name)
            server.rate = None
            daemon.nothing_left()

    turn(4, 4)
    settle(t, daemon)
    before = figures(daemon)
    turn(50, 12)
    settle(t, daemon)
    demand(t, before, daemon)
    t.eq(client.pull(ref), image.id, "a pull in the end")
    daemon.stop()
    daemon.gone()


@test
def a_pull_at_once_after_the_store(t):
    """The next store is asked before it is set up: with whose credentials it is told all the
    same."""
    server, daemon = t.scripted(), Daemon(t)
    image = t.image("three")
    ref = server.add(image, "leaks/three")
    client = daemon.client()
    for _ in range(4):
        before = set(daemon.rooms("store"))
        daemon.kill_room("store")
        until(t, "another store", lambda: set(daemon.rooms("store")) - before)
        deadline = time.monotonic() + 60
        while True:
            try:
                t.eq(client.pull(ref), image.id, "the pull")
                break
            except Exception as error:
                text = str(error)
                t.ok("with whose credentials" not in text, text)
                t.ok(time.monotonic() < deadline, text)
                time.sleep(0.005)
        daemon.command("rmi", ref)


@test
def a_channel_that_is_lost(t):
    """Store and frontend live, the channel between them does not: a new frontend gets another
    one. Here a tool shuts it down with a copy of the frontend's end."""
    server, daemon = t.scripted(), Daemon(t)
    image = t.image("three")
    ref, client = server.add(image, "leaks/four"), daemon.client()
    frontend, store = daemon.room("frontend"), daemon.room("store")
    pidfd = os.pidfd_open(frontend)
    cut = 0
    for name in os.listdir("/proc/%d/fd" % frontend):
        try:
            if not os.readlink("/proc/%d/fd/%s" % (frontend, name)).startswith("socket:"):
                continue
        except FileNotFoundError:
            continue  # a file that it had open just then
        end = socket.socket(fileno=pidfd_getfd(pidfd, int(name)))
        control = name == str(CONTROL)
        if not control and end.type == socket.SOCK_SEQPACKET and not end.getsockopt(
                socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            end.shutdown(socket.SHUT_RDWR)
            cut += 1
        end.close()
    os.close(pidfd)
    t.eq(cut, 1, "channels shut down")
    until(t, "another frontend", lambda: frontend not in daemon.rooms("frontend"))
    client.when_there()
    t.eq(client.pull(ref), image.id, "a pull")
    t.eq(daemon.room("store"), store, "the store")
    t.has(daemon.logs(), "no channel to the store worker")

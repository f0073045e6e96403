"""The daemon's life with clients: rooms that crash, reloads, the end."""
import os
import signal
import threading
import time

from harness import test
from cri import ended
from node import Lister, Node
from test_cri import plain, refusal
from test_cri_pull import until


@test
def frontend_killed(t):
    """Calls in flight end as UNAVAILABLE; the socket stays; the same channel works again."""
    server, node, image = t.scripted(), Node(t), t.image("three")
    ref = server.add(image, "life/frontend")
    server.rate = 20000
    client, inode = node.client(), os.stat(node.socket).st_ino
    pulls = [client.begin_pull(ref) for _ in range(3)]
    until(t, "a blob's request", server.blobs_asked)
    for turn in range(2):
        old = set(node.rooms("frontend"))
        node.kill_room("frontend")
        for pull in pulls:
            t.eq(ended(pull)[0], "UNAVAILABLE", "a call in flight")
        client.when_there()
        t.eq(client.list(), [], "list")
        t.ok(not old & set(node.rooms("frontend")), "the room is another")
        pulls = []
    t.eq(os.stat(node.socket).st_ino, inode, "the socket")
    node.nothing_left()
    server.rate = None
    t.eq(client.pull(ref), image.id, "a pull")
    t.eq(node.command("images", "-q", "--no-trunc").out.split()[0].split(":")[-1], image.id,
         "the control socket")
    t.ok("start" in node.logs() and "frontend" in node.logs(), "it is logged")


@test
def store_killed(t):
    """A pull in flight fails cleanly, lists go on from the cache, the next pull completes."""
    server, node, image = t.scripted(), Node(t), t.image("three")
    ref = server.add(image, "life/store")
    client, kept = node.client(), plain("kept")
    t.eq(client.pull(server.add(kept, "life/kept")), kept.id, "an image before")
    server.rate = 20000
    server.clear()
    lister = Lister(node, at_least=1)
    pull = client.begin_pull(ref)
    until(t, "a layer's request", lambda: len(server.blobs_asked()) > 1)
    node.kill_room("store")
    code, text = ended(pull)
    t.ok(code in ("UNAVAILABLE", "INTERNAL", "ABORTED", "UNKNOWN"), code, text)
    server.rate = None
    deadline = time.monotonic() + 60
    while True:
        code, text = ended(client.begin_pull(ref))
        if code == "OK" or time.monotonic() > deadline:
            break
        t.ok(code in ("UNAVAILABLE", "INTERNAL", "ABORTED", "UNKNOWN"), code, text)
        time.sleep(0.05)
    t.eq((code, text), ("OK", image.id), "the next pull")
    lister.demand(t)
    t.eq({i.id for i in client.list()}, {kept.id, image.id}, "list")
    node.nothing_left()
    t.eq((node.store.strays(), len(node.store.staging())), ([], 1), "strays, staging")


@test
def rooms_killed_again_and_again(t):
    """Back-off, but never the end; the other room does not go along."""
    node = Node(t)
    client = node.client()
    for room in ("frontend", "store", "frontend", "store"):
        old, other = node.rooms(room), node.rooms("store" if room == "frontend" else "frontend")
        node.kill_room(room)
        until(t, "another " + room, lambda: set(node.rooms(room)) - set(old))
        client.when_there()
        t.ok(set(other) & set(node.rooms()), "the other room went along with", room)
    until(t, "fsinfo", lambda: not isinstance(answer(client.fs_info), Exception))
    restarts = node.metric("bulkhead_room_restarts_total")
    t.ok(restarts is None or restarts >= 4, "restarts counted", restarts)


def answer(function):
    try:
        return function()
    except Exception as error:
        return error


@test
def rooms_of_a_pull_killed(t):
    """Their pull fails, the daemon does not."""
    server, node, image = t.scripted(), Node(t), t.image("three")
    ref, client = server.add(image, "life/fetch"), node.client()
    server.rate = 20000
    for name in ("fetch", "hash", "inflate", "apply"):
        pull = client.begin_pull(ref)
        node.layers_flow()
        node.kill_room(name)
        code, text = ended(pull)
        t.ok(code not in ("OK", "DEADLINE_EXCEEDED", "CANCELLED") and text, name, code, text)
        node.nothing_left()
    server.rate = None
    t.eq(client.pull(ref), image.id, "again")


@test
def reload_during_pulls(t):
    """SIGHUP: pulls go on, new settings hold for new calls; a broken file changes nothing."""
    server, node, image = t.scripted(), Node(t), t.image("three")
    ref, client = server.add(image, "life/reload"), node.client()
    pinned = server.add(plain("pinned"), "life/pinned")
    client.pull(pinned)
    t.ok(not client.status(pinned).pinned, "pinned already")
    server.rate = 60000
    lister = Lister(node)
    pull = client.begin_pull(ref)
    until(t, "a blob's request", server.blobs_asked)
    node.configure(pinned_images=["*life/pinned*"])
    node.process.send_signal(signal.SIGHUP)
    until(t, "the pin", lambda: client.status(pinned).pinned)
    until(t, "the log to say so", lambda: "pinned_images" in node.logs())
    with open(node.config, "a") as file:
        file.write("no_such_key = 1\n")
    node.process.send_signal(signal.SIGHUP)
    until(t, "the refusal", lambda: "no_such_key" in node.logs())
    t.ok(client.status(pinned).pinned and node.process.poll() is None, "the old settings hold")
    for _ in range(20):
        node.process.send_signal(signal.SIGHUP)
        time.sleep(0.01)
    server.rate = None
    t.eq(ended(pull), ("OK", image.id), "the pull over the reloads")
    lister.demand(t)
    node.policy = {"default": [{"type": "reject"}]}
    node.configure()
    node.process.send_signal(signal.SIGHUP)
    client.remove(ref)
    until(t, "the new policy", lambda: isinstance(answer(lambda: client.pull(ref)), Exception) or
          client.remove(ref))
    text = refusal(t, "UNKNOWN", client.pull, ref)
    t.ok(text.startswith("SignatureValidationFailed"), text)


@test
def sigterm_with_calls_in_flight(t):
    server, node, image = t.scripted(), Node(t), t.image("three")
    ref, client = server.add(image, "life/term"), node.client()
    server.rate = 5000
    pulls = [client.begin_pull(ref), node.client().begin_pull(ref)]
    until(t, "a blob's request", server.blobs_asked)
    begun = time.monotonic()
    node.stop()
    t.ok(time.monotonic() - begun < 15, "it took too long to end")
    for pull in pulls:
        t.ok(ended(pull)[0] in ("UNAVAILABLE", "CANCELLED"), ended(pull))
    t.eq((node.store.images(), node.store.staging(), node.store.strays()), ([], [], []), "store")
    t.eq([p for p in (node.socket, node.control, node.metrics) if os.path.exists(p)], [],
         "sockets left")
    server.rate = None
    node.start()
    client.when_there()
    t.eq(client.pull(ref), image.id, "started again")


@test
def stopped_while_the_store_comes_again(t):
    """What the dead store left goes all the same, however far the next one has come."""
    for turn in range(24):
        node = Node(t)
        dead = set(node.rooms("store"))
        node.kill_room("store")
        if turn:
            until(t, "another store", lambda: set(node.rooms("store")) - dead)
            time.sleep(turn / 1000)
        node.stop(0 if turn else None)  # a store that dies while it stops is a failure
        t.eq(node.store.staging(), [], "staging left, turn %d" % turn)


@test
def killed_daemon_starts_again(t):
    """kill -9 of the supervisor: the rooms go, the next start takes over socket and staging."""
    server, node, image = t.scripted(), Node(t), t.image("three")
    ref, client = server.add(image, "life/kill"), node.client()
    server.rate = 20000
    pull = client.begin_pull(ref)
    until(t, "a blob's request", server.blobs_asked)
    node.process.kill()
    node.process.wait()
    t.eq(ended(pull)[0], "UNAVAILABLE", "the call")
    node.start()
    client.when_there()
    server.rate = None
    t.eq(client.pull(ref), image.id, "a pull")
    t.eq((len(node.store.staging()), node.store.strays()), (1, []), "staging, strays")


@test
def a_second_daemon_is_refused(t):
    node = Node(t)
    second = t.run([t.session.bin + "/bulkheadd", "--config", node.config, "--root",
                    node.store.root, "--runroot", node.store.runroot], expect=None, timeout=20)
    t.ok(second.code not in (0, None) and node.store.root in second.err, second)
    other = t.store()
    second = t.run([t.session.bin + "/bulkheadd", "--config", node.config, "--root", other.root,
                    "--runroot", other.runroot], expect=None, timeout=20)
    t.ok(second.code not in (0, None) and node.folder in second.err, second)
    t.eq(node.client().list(), [], "the first serves on")


@test
def embedded_beside_the_daemon(t):
    """Both in one store at once; the daemon sees what the other pulled."""
    real, node = t.real(), Node(t)
    images = [plain("beside%d" % i) for i in range(4)]
    refs = [real.push(image, "beside/%d" % i) for i, image in enumerate(images)]
    client, failures = node.client(), []

    def embedded(ref):
        try:
            t.pull(node.store, ref)
        except Exception as error:
            failures.append(error)
    threads = [threading.Thread(target=embedded, args=(r,)) for r in refs[:2]]
    for thread in threads:
        thread.start()
    t.eq([client.pull(r) for r in refs[2:]], [i.id for i in images[2:]], "the daemon's")
    for thread in threads:
        thread.join()
    t.eq(failures, [], "embedded pulls")
    until(t, "all four", lambda: {i.id for i in client.list()} == {i.id for i in images})

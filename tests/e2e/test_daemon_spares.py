"""Rooms that wait for work: bare, used once, made again, never staler than the host's files."""
import collections
import os
import signal
import time

from daemon import Daemon
from harness import test
from node import SPARES, Node, at_work
from test_cri import plain
from test_cri_pull import until

STOCK = {"bulkhead-fetch": 2, "bulkhead-dial": 2, "bulkhead-docume": 2, "bulkhead-verdic": 1,
         "bulkhead-hash": 1, "bulkhead-inflat": 1}


def waiting(node):
    return {p for p, c in node.all_rooms().items() if c in SPARES and not at_work(p, c)}


def counted(node):
    return dict(collections.Counter(c for p, c in node.all_rooms().items() if c in SPARES))


def full(t, node):
    until(t, "all spares: %s" % counted(node), lambda: counted(node) == STOCK)
    until(t, "bare ones", lambda: len(waiting(node)) == sum(STOCK.values()))
    return waiting(node)


@test
def used_once(t):
    """A pull ends every spare that it takes; others take their places. None has more than its
    sandbox."""
    real, image, node = t.real(), plain("spares"), Node(t)
    ref = real.push(image, "spares/a")
    before = full(t, node)
    text = node.command("status").out
    t.has(text, "2 fetch, 2 dial, 2 document, 1 verdict, 1 hash, 1 inflate", "status")
    t.ok(not any(str(p) in text.split() for p in before), "status shows a spare")
    t.eq(node.client().pull(ref), image.id, "pulled")
    after = full(t, node)
    t.ok(len(before - after) >= 6, "taken:", before - after)
    node.nothing_left()


@test
def handed_out_when_a_room_has_ended(t):
    """Not at the next message, whosesoever: a fetcher that is wanted when its helper's answer has been
    read."""
    server, image, helpers = t.scripted(), plain("helped"), t.folder + "/helpers"
    ref = server.add(image, "spares/helped")
    os.mkdir(helpers)
    with open(helpers + "/docker-credential-x", "w") as file:
        file.write("#!/bin/sh\necho credentials not found in native keychain; exit 1\n")
    os.chmod(file.name, 0o755)
    node = Node(t, credential_helper_dir=helpers, authfile=t.write(
        "a.json", '{"credHelpers": {"%s": "x"}}' % server.host))
    full(t, node)
    begun = time.monotonic()
    t.eq(node.client().pull(ref), image.id, "pulled")
    t.ok(time.monotonic() - begun < 15, "it took", time.monotonic() - begun, "s")


@test
def killed_while_waiting(t):
    """Whoever is killed comes again, the service goes on; at the end nobody is left."""
    real, image, node = t.real(), plain("killed"), Node(t)
    ref = real.push(image, "spares/killed")
    spares = full(t, node)
    for pid in spares:
        os.kill(pid, signal.SIGKILL)
    until(t, "their ends", lambda: not any(os.path.exists("/proc/%d" % p) for p in spares))
    t.eq(node.client().pull(ref), image.id, "pulled without any")
    t.ok(not full(t, node) & spares, "others")
    t.has(node.logs(), "ended while it waited for work", "the log")
    node.stop()


@test
def files_of_the_host_change(t):
    """A dial that waits has the resolver's files as they were: it is not used after a change."""
    server, image = t.scripted(), plain("hosts")
    server.add(image, "spares/hosts")
    hosts = t.folder + "/hosts"
    with open(hosts, "w") as file:
        file.write("127.0.0.1 localhost\n")
    wrap = ["unshare", "-m", "--propagation", "private", "sh", "-c",
            'mount --bind "$0" "$(realpath /etc/hosts)" && exec "$@"', hosts]
    name = "spare.test:%d" % server.port
    daemon = Daemon(t, wrap=wrap, insecure_registries=[name])
    old = full(t, daemon)
    time.sleep(0.02)  # a change within one tick of the file system's clock has the same time
    with open(hosts, "a") as file:
        file.write("127.0.0.1 spare.test\n")
    t.eq(daemon.client().pull(name + "/spares/hosts"), image.id, "the new name")
    t.ok(not full(t, daemon) & old, "all are others")
    daemon.stop()

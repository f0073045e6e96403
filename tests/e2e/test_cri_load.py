"""Many clients: 50 that list while podman works, h2load with 200 connections."""
import os
import re
import threading
import time

from harness import test
from cri import frame
from node import Lister, Node
from test_cri import plain
import many
import rawh2


class Crowd:
    """Raw clients in one thread, each listing again as soon as it was answered: 50 of python's own
    would measure python."""

    def __init__(self, node, count):
        self.conns = [node.raw() for _ in range(count)]
        self.calls, self.problems, self.slowest = 0, [], 0.0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        import selectors
        picker, begun = selectors.DefaultSelector(), {}
        for conn in self.conns:
            picker.register(conn.sock, selectors.EVENT_READ, conn)
            begun[conn] = (conn.begin("ListImages"), time.monotonic())
        while not self.stopping.is_set():
            for key, _ in picker.select(0.2):
                conn = key.data
                stream, when = begun[conn]
                conn.step(1)
                answer = conn.answers[stream] if stream in conn.answers else None
                if conn.closed:
                    self.problems.append("closed")
                    picker.unregister(conn.sock)
                elif answer and answer.ended:
                    if answer.code != 0:
                        self.problems.append("code %s %s" % (answer.code, answer.text))
                    self.calls += 1
                    self.slowest = max(self.slowest, time.monotonic() - when)
                    del conn.answers[stream]
                    begun[conn] = (conn.begin("ListImages"), time.monotonic())
            time.sleep(0.01)

    def stop(self):
        self.stopping.set()
        self.thread.join(20)
        for conn in self.conns:
            conn.close()


@test
def fifty_list_while_podman_works(t):
    real, node = t.real(), Node(t)
    store, client = node.store, node.client()
    refs = [real.push(plain("crowd%d" % i), "crowd/%d" % i) for i in range(4)]
    ours = real.push(plain("ours"), "crowd/ours")
    crowd = Crowd(node, 50)
    for turn in range(2):
        for ref in refs[turn * 2:turn * 2 + 2]:
            t.podman_pull(store, ref)
            t.podman(store, "tag", ref, "example.com/crowd:%d" % turn)
        client.pull(ours)
        t.podman(store, "rmi", *refs[turn * 2:turn * 2 + 1])
        client.remove(ours)
    crowd.stop()
    t.eq(crowd.problems[:3], [], "clients failed")
    t.ok(crowd.calls > 200, "calls", crowd.calls)
    t.ok(crowd.slowest < 2, "a list took", crowd.slowest)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and \
            {i.id for i in client.list()} != {i["id"] for i in store.images()}:
        time.sleep(0.05)
    t.eq({i.id for i in client.list()}, {i["id"] for i in store.images()}, "list and store")
    t.eq(store.strays(), [], "strays")


@test(needs=("h2load",))
def h2load_200_connections(t):
    store = t.store()
    many.fill(store, 50)
    node = Node(t, store)
    with open(node.folder + "/body", "wb") as file:
        file.write(frame(b""))
    lister = Lister(node, at_least=50)
    result = t.run(["h2load", "-B", "unix:" + node.socket, "-c", "200", "-n", "10000", "-m", "10",
                    "-d", node.folder + "/body", "-H", "content-type: application/grpc", "-H",
                    "te: trailers", "http://localhost" + rawh2.IMAGES + "ListImages"], timeout=60)
    lister.demand(t, what="beside h2load")
    done = re.search(r"requests: 10000 total, 10000 started, 10000 done, 10000 succeeded, 0 failed",
                     result.out)
    t.ok(done, result.out)
    text = node.metrics_text()
    t.ok("operations" in text, "metrics")
    before = node.pss()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and node.pss() > 60 << 10:
        time.sleep(0.1)
    t.ok(node.pss() < 60 << 10, "Pss after it", before, node.pss(), "KiB")


@test
def pulls_beside_lists(t):
    """Lists are answered all the while that layers come, are checked and committed."""
    real, node = t.real(), Node(t)
    client = node.client()
    lister = Lister(node, pause=0.005)
    for name in ("small_files", "three", "huge_files"):
        t.eq(client.pull(real.push(t.image(name), "beside/" + name)), t.image(name).id, name)
    lister.demand(t, 0.5)
    t.eq(len(client.list()), 3, "images")
    client.remove(t.image("small_files").id)
    t.ok(os.path.isdir(node.store.root), "store")


@test
def memory(t):
    """All rooms together: 20 MiB when idle and empty, 40 with 1,000 images."""
    empty = Node(t)
    full = Node(t, t.store())
    full.stop()
    many.fill(full.store, 1000)
    full.start()
    t.eq(len(full.client().list()), 1000, "images")
    time.sleep(1)
    for node, most, what in ((empty, 20, "empty and idle:"), (full, 40, "with 1,000 images:")):
        deadline = time.monotonic() + 20  # to come to rest
        while (pss := node.pss()) >= most << 10:
            t.ok(time.monotonic() < deadline, what, pss, "KiB")
            time.sleep(0.1)

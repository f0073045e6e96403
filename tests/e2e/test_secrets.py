"""Where secrets are while a pull goes on, and after it: the memory of every room is looked through."""
import os
import shutil
import threading
import time

from harness import test
from node import Node
import registry


def regions(pid):
    """Everything that a process could have written to."""
    with open("/proc/%d/maps" % pid) as file:
        rows = [line.split() for line in file]
    for row in rows:
        if "w" in row[1] and not row[-1].startswith("[v"):
            yield [int(n, 16) for n in row[0].split("-")]


def holds(pid, needles):
    """Whether one of the needles lies in its memory, its arguments or its environment."""
    try:
        with open("/proc/%d/mem" % pid, "rb", 0) as memory:
            for start, end in regions(pid):
                try:
                    memory.seek(start)
                    got = memory.read(end - start)
                except (OSError, ValueError, OverflowError):
                    continue
                if any(n in got for n in needles):
                    return True
        for name in ("cmdline", "environ"):
            with open("/proc/%d/%s" % (pid, name), "rb") as file:
                got = file.read()
            if any(n in got for n in needles):
                return True
    except (FileNotFoundError, ProcessLookupError):
        pass
    return False


class Ground:
    """A daemon whose pulls hang in the middle of a layer."""

    def __init__(self, t, **settings):
        self.t, self.image, self.hanging = t, t.image("three"), threading.Event()
        self.server = t.scripted(**settings.pop("server", {}))
        self.ref = self.server.add(self.image, "secret/app")
        self.secret = "canary-%d-in-memory" % os.getpid()
        self.basic = registry.basic("u", self.secret)
        self.needles = [self.secret.encode(), self.basic.split()[1].encode()]
        self.settings = settings

    def lock(self):
        """Let in with the secret alone; a layer hangs."""
        hang = registry.stall(after=100)

        def layer(server, request, answer):
            self.hanging.set()
            return hang(server, request, answer)
        self.server.on("/blobs/" + self.image.layers[0].blob.digest, lambda s, r, a: layer(s, r, a)
                       if r.header("Authorization") == self.basic else
                       registry.need_basic("u", self.secret)(s, r, a))
        self.server.on("^/v2/", registry.need_basic("u", self.secret))

    def start(self, **more):
        self.node = Node(self.t, **dict(self.settings, **more))
        return self.node

    def holders(self):
        deadline = time.monotonic() + 20
        while "bulkheadd" in (rooms := dict(self.node.rooms())).values():
            # not yet a room: a copy of the supervisor that is about to become one
            self.t.ok(time.monotonic() < deadline, "the supervisor has a child of its own kind")
            time.sleep(0.005)
        rooms[self.node.process.pid] = "supervisor"
        return sorted(c.replace("bulkhead-", "") for p, c in rooms.items()
                      if holds(p, self.needles))

    def wait(self):
        self.t.ok(self.hanging.wait(20), "no layer was asked for")

    def gone(self, wanted):
        """Once the rooms of the pull have ended."""
        self.node.nothing_left()
        deadline = time.monotonic() + 10
        while (got := self.holders()) != wanted and time.monotonic() < deadline:
            time.sleep(0.1)
        self.t.eq(got, wanted, "who has the secret after the pull")
        self.t.ok(self.secret not in self.node.logs() and
                  self.needles[1].decode() not in self.node.logs(), "the secret is in the log")


@test
def of_an_auth_file(t):
    """The supervisor keeps it; one fetcher has it; nobody else, and after the pull nobody at all."""
    g = Ground(t)
    g.lock()
    path = t.write("auth.json", {"auths": {g.server.host: {"auth": g.needles[1].decode()}}})
    node = g.start(authfile=path)
    job = t.start(node.argv("pull", "--tls-verify=false", g.ref))
    g.wait()
    t.eq(g.holders(), ["fetch", "supervisor"], "who has the secret")
    job.terminate()
    t.finish(job)
    g.gone(["supervisor"])


@test
def of_a_helper(t):
    """Nobody but the fetcher needs it for longer than the pull."""
    g = Ground(t)
    g.lock()
    helpers = t.folder + "/helpers"
    os.mkdir(helpers)
    with open(helpers + "/docker-credential-x", "w") as file:
        file.write('#!/bin/sh\necho \'{"ServerURL":"","Username":"u","Secret":"%s"}\'\n' % g.secret)
    os.chmod(helpers + "/docker-credential-x", 0o755)
    node = g.start(credential_helper_dir=helpers, authfile=t.write("auth.json", {
        "credHelpers": {g.server.host: "x"}}))
    job = t.start(node.argv("pull", "--tls-verify=false", g.ref))
    g.wait()
    t.eq(g.holders(), ["fetch", "supervisor"], "who has the secret")
    job.terminate()
    t.finish(job)
    g.gone([])


@test
def of_a_client(t):
    """One that came with a request is the frontend's and the fetcher's."""
    g = Ground(t)
    g.lock()
    node = g.start()
    client = node.client()
    call = client.begin_pull(g.ref, username="u", password=g.secret)
    g.wait()
    t.ok(set(g.holders()) <= {"fetch", "fronte", "supervisor"} and "fetch" in g.holders(),
         "who has the secret", g.holders())
    call.cancel()
    g.gone([])


@test
def of_a_client_certificate(t):
    """Its key, as its file spells it, is in nobody's memory."""
    authority = t.authority()
    context = authority.context("server")
    context.load_verify_locations(authority.ca)
    context.verify_mode = 2
    g = Ground(t, server={"tls": context})
    certs = "%s/certs/%s" % (t.folder, g.server.host)
    os.makedirs(certs)
    pair = authority.client("client")
    shutil.copy(pair[0], certs + "/c.cert")
    shutil.copy(pair[1], certs + "/c.key")
    shutil.copy(authority.ca, certs + "/ca.crt")
    with open(pair[1]) as file:
        lines = [l.strip() for l in file if "-----" not in l]
    g.needles = [lines[0].encode()]
    hang = registry.stall(after=100)

    def layer(server, request, answer):
        g.hanging.set()
        return hang(server, request, answer)
    g.server.on("/blobs/" + g.image.layers[0].blob.digest, layer)
    node = g.start(cert_dir=t.folder + "/certs")
    job = t.start(node.argv("pull", "--tls-verify=true", g.ref))
    g.wait()
    t.eq(g.holders(), [], "who has the text of the key")
    job.terminate()
    t.finish(job)

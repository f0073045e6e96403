"""The place where hostile registries are met: a network namespace of its own with public, private
and special addresses, a DNS stub, servers by name, canaries that nobody may touch, one daemon, and
a second tenant who pulls from a good registry all the while.

    world = World(t)
    world.server("other.test")       # its TLS server; "http://other.test": its plain one
    world.canaries                   # what was touched: [(address, port, first bytes)]
    world.check(cases)               # what must hold after every batch; a list of problems
"""
import base64
import contextlib
import ctypes
import os
import re
import socket
import subprocess
import threading
import time

import dns
import harness
import mkimage
import real
import registry
from node import Node
from tarmake import Tar

CLONE_NEWNET = 0x40000000
# In a network of our own an address is what dial's tables say it is: these are public there.
PUBLIC = {"reg.evil.test": "11.1.1.1", "auth.evil.test": "11.1.1.2", "other.test": "11.1.1.3",
          "good.test": "11.1.1.4", "plain.test": "11.1.1.5"}
LOOP, LOOP_TOO, PRIVATE, DEAD = "127.0.0.1", "127.0.0.2", "10.7.0.1", "11.1.1.99"
METADATA = ("169.254.169.254", "100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fe80::1234")
INSIDE = ("127.0.0.9", "::1", "10.9.9.9", "172.16.9.9", "192.168.9.9", "100.64.9.9", "fd00:9::9")
NAMES = {  # beside PUBLIC: names on the registry's own site that lead elsewhere
    "meta": [("A", METADATA[0])], "meta6": [("AAAA", METADATA[3])], "loop": [("A", INSIDE[0])],
    "loop6": [("AAAA", "::1")], "private": [("A", INSIDE[2])], "ula": [("AAAA", INSIDE[6])],
    "mapped": [("AAAA", "::ffff:169.254.169.254")], "nat64": [("AAAA", "64:ff9b::a9fe:a9fe")],
    "sixtofour": [("AAAA", "2002:a9fe:a9fe::1")], "cname": [("CNAME", "meta.evil.test")],
    "twin": [("A", PUBLIC["reg.evil.test"])], "zero": [("A", "0.0.0.0")], "multicast": [("A", "224.0.0.1")],
    "half": [("A", DEAD), ("A", INSIDE[0]), ("A", METADATA[0])]}
BASE_SECRET = "filecanary-"
# Peak resident memory of a room, KiB; libraries included. Documents of 200,000 values are allowed.
PEAKS = {"fetch": 48 << 10, "dial": 24 << 10, "document": 160 << 10, "frontend": 48 << 10,
         "store": 48 << 10, "hash": 32 << 10, "inflate": 32 << 10, "apply": 48 << 10,
         "verdict": 32 << 10}


class Network:
    """The calling thread and all that it starts live in a network of their own until leave()."""

    def __init__(self, folder):
        self.before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.bound = []
        if harness.LIBC.unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "unshare")
        batch = ["link set lo up"]
        for address in (*PUBLIC.values(), PRIVATE, *METADATA, *INSIDE):
            if not address.startswith("127.") and address != "::1":
                batch.append("addr add %s dev lo%s" % (address, " nodad" * (":" in address)))
        subprocess.run(["ip", "-batch", "-"], input="\n".join(batch), text=True, check=True)
        for name, text in (("resolv.conf", "nameserver 127.0.0.1\noptions timeout:2 attempts:2\n"),
                           ("hosts", "127.0.0.1 localhost\n::1 localhost\n")):
            path, target = "%s/%s" % (folder, name), os.path.realpath("/etc/" + name)
            with open(path, "w") as file:
                file.write(text)
            subprocess.run(["mount", "--bind", path, target], check=True)
            self.bound.append(target)

    def leave(self):
        for target in self.bound:
            subprocess.run(["umount", "-l", target], check=True)
        harness.LIBC.setns(self.before, CLONE_NEWNET)
        os.close(self.before)


class Canary:
    """Listens where no pull has any business; takes what it is told for half a second."""

    def __init__(self, world, address, port):
        self.world, self.address, self.port = world, address, port
        self.sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        scope = (0, socket.if_nametoindex("lo")) if address.startswith("fe80") else ()
        self.sock.bind((address, port, *scope))
        self.sock.listen(16)
        threading.Thread(target=self.work, daemon=True).start()

    def work(self):
        with contextlib.suppress(OSError):
            while True:
                conn, _ = self.sock.accept()
                conn.settimeout(0.5)
                got = b""
                with conn, contextlib.suppress(OSError):
                    got = conn.recv(2000)
                self.world.canaries.append((self.address, self.port, got))

    def stop(self):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


class Tenant:
    """Pulls a private image of its own, removes it and begins again."""

    def __init__(self, world):
        self.world, self.pulls, self.problems = world, 0, []
        self.image = mkimage.Image([mkimage.layer(Tar().add("tenant", b"b" * 50000))])
        server = world.server("good.test")
        self.ref = "good.test/tenant/" + server.add(self.image, "tenant/b").rsplit("/", 1)[1]
        server.on("^/v2/tenant/", registry.need_basic("tenant", "tenants-own-secret"))
        self.client = world.node.client()
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        while not self.stopping.wait(0.2):
            try:
                found = self.client.pull(self.ref, namespace="tenant-b", username="tenant",
                                         password="tenants-own-secret")
                if found != self.image.id:
                    self.problems.append("pulled " + found)
                self.client.remove(self.ref)
                self.pulls += 1
            except Exception as error:
                self.problems.append(str(error))

    def stop(self):
        deadline = time.monotonic() + 30
        while not self.pulls and not self.problems and time.monotonic() < deadline:
            time.sleep(0.05)
        self.stopping.set()
        self.thread.join(60)
        if not self.pulls:
            self.problems.append("no pull of the second tenant ended")
        return self.problems


class Watch:
    """The highest peak of each kind of room, read while they live."""

    def __init__(self, node):
        self.node, self.peaks, self.stopping = node, {}, threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        while not self.stopping.wait(0.1):
            for pid, comm in self.node.rooms().items():
                with contextlib.suppress(OSError), open("/proc/%d/status" % pid) as file:
                    found = re.search(r"VmHWM:\s+(\d+)", file.read())
                    if found:
                        self.peaks[comm] = max(self.peaks.get(comm, 0), int(found.group(1)))

    def stop(self):
        self.stopping.set()
        self.thread.join(10)
        return ["a %s room took %d KiB" % (name, self.peaks[comm]) for name, limit in PEAKS.items()
                if self.peaks.get(comm := ("bulkhead-" + name)[:15], 0) > limit]


class Certificates:
    """Made once for all batches."""
    made = {}

    @classmethod
    def of(cls, session):
        if not cls.made:
            authority = real.Authority(session.work + "/hostile-ca")
            cls.made = {"authority": authority, "all": authority.context(
                "all", ["DNS:" + name for name in (*PUBLIC, *(n + ".evil.test" for n in (*NAMES, "flip")))] +
                ["IP:" + a for a in (*PUBLIC.values(), LOOP, PRIVATE)])}
        return cls.made


class World:
    def __init__(self, t, **settings):
        self.t, self.canaries, self.flips = t, [], 0
        self.certificates = Certificates.of(t.session)
        self.network = Network(t.folder)
        self.servers, self.stops = {}, []
        try:
            self.populate()
            self.node = Node(t, **dict({
                "insecure_registries": ["plain.test:5000", "127.0.0.0/8", PRIVATE + "/32"],
                "cert_dir": self.certificates["authority"].cert_dir(),
                "authfile": self.auth_file(), "max_parallel_pulls": 12}, **settings))
        except BaseException:
            self.leave()
            raise
        t.cleanups.append(self.leave)
        self.watch, self.tenant = Watch(self.node), Tenant(self)

    def populate(self):
        table = {name: [("A", address)] for name, address in PUBLIC.items()}
        table.update({name + ".evil.test": value for name, value in NAMES.items()})
        table["flip.evil.test"] = self.flip
        self.stops.append(dns.Server(table).stop)
        for name, address in PUBLIC.items():
            if name != "plain.test":
                self.serve(name, address, 443, self.certificates["all"])
            self.serve("http://" + name, address, 80)
        for name, address in (("plain", PUBLIC["plain.test"]), ("loop", LOOP),
                              ("loop-too", LOOP_TOO), ("private", PRIVATE)):
            self.serve(name, address, 5000)
        for address in (*METADATA, *INSIDE):
            for port in (80, 443):
                self.stops.append(Canary(self, address, port).stop)
        for port in (22, 25, 6379):
            self.stops.append(Canary(self, PUBLIC["auth.evil.test"], port).stop)

    def flip(self):
        """A name that is the other registry's at first, and the metadata service's ever after."""
        self.flips += 1
        return [("A", PUBLIC["other.test"] if self.flips <= 2 else METADATA[0])]

    def serve(self, key, address, port, tls=None, name=None):
        server = registry.Scripted(tls=tls, host=address, port=port, name=name)
        self.servers[key] = server
        self.stops.append(server.stop)
        return server

    def own(self, case, tls, name="reg.evil.test"):
        """A registry for one case."""
        case.server_key = "own-" + case.id
        case.home = self.serve(case.server_key, PUBLIC["reg.evil.test"], 0, tls, name)
        case.place = case.home.host
        case.home.add(case.image, case.repo)

    def server(self, key):
        return self.servers[key]

    def auth_file(self):
        """A secret for every place, so that one that goes astray is seen."""
        hosts = ["reg.evil.test", "auth.evil.test", "other.test", "good.test", METADATA[0],
                 LOOP_TOO + ":5000"]
        return self.t.write("auth.json", {"auths": {
            host: {"auth": base64.b64encode(b"u:" + BASE_SECRET.encode() + host.encode()).decode()}
            for host in hosts}})

    def leave(self):
        for stop in self.stops:
            stop()
        self.stops = []
        self.network.leave()

    # what must hold ----------------------------------------------------------------------

    def check(self, cases):
        problems = self.watch.stop() + self.tenant.stop()
        problems += ["a canary was touched: %s" % (c,) for c in self.canaries]
        problems += self.stray_secrets(cases) + self.shared_connections()
        try:
            self.node.nothing_left()
        except harness.Failure as error:
            problems.append(str(error))
        store = self.node.store
        left = [i["names"] for i in store.images()], [l["id"] for l in store.layers()]
        if left != ([], []) or store.strays():
            problems.append("the store holds %s %s" % (left, store.strays()))
        return problems

    def stray_secrets(self, cases):
        """Who got a secret that is neither its own nor meant for it."""
        problems = []
        for key, server in self.servers.items():
            with server.lock:
                heard = b"\n".join(server.raw)
            for case in cases:
                for what, words, friends in case.secrets():
                    if key not in friends and any(word in heard for word in words):
                        problems.append("%s: its %s came to %s" % (case.id, what, key))
            for secret in set(re.findall(rb"Basic (\S+)", heard)):
                text = base64.b64decode(secret + b"==").decode(errors="replace")
                owner = text.partition(BASE_SECRET)[2]
                # The token server of the registry's own site is asked with the registry's.
                if owner and key != owner and (owner, key) != ("reg.evil.test", "auth.evil.test"):
                    problems.append("the file's secret of %s came to %s" % (owner, key))
        return problems

    def shared_connections(self):
        """One connection serves one pull: one repository and one Host."""
        problems = []
        for key, server in self.servers.items():
            links = {}
            for request in list(server.requests):
                found = re.match(r"/(?:v2|token|moved|token/moved)/(g\d\d/\w+|tenant)", request.path)
                links.setdefault(request.link, set()).add(
                    (found and found.group(1), request.header("Host")))
            problems += ["a connection to %s was shared by %s" % (key, sorted(map(str, users)))
                         for users in links.values() if len(users) > 1]
        return problems



"""Hostile clients of the CRI socket, by hand. While each works, a good client keeps listing: it
never fails and never waits longer than two seconds; the daemon's memory stays bounded."""
import struct
import time

from harness import test
from node import Lister, Node
from rawh2 import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, IMAGES, PADDED,
                   PING, PREFACE, PRIORITY, PUSH, RST, SETTINGS, WINDOW, Conn, frame, message,
                   settings, window)
import many

LIST = IMAGES + "ListImages"
GROWTH = 24 << 10  # KiB of Pss that an attack may leave behind


class Siege:
    def __init__(self, t, images=20, **more):
        self.t, store = t, t.store()
        many.fill(store, images)
        self.node = Node(t, store, **more)
        self.lister = Lister(self.node, at_least=images)
        time.sleep(0.5)
        self.pss, self.pids = self.node.pss(), set(self.node.rooms())

    def lift(self, growth=GROWTH, seconds=2):
        self.lister.demand(self.t, seconds)
        t, now = self.t, self.node.rooms()
        kept = [now[p] for p in self.pids & set(now)]
        t.ok("bulkhead-fronte" in kept and "bulkhead-store" in kept, "a room was restarted:\n",
             self.node.logs()[-1500:])
        deadline = time.monotonic() + 20
        while self.node.pss() > self.pss + growth and time.monotonic() < deadline:
            time.sleep(0.1)
        self.t.ok(self.node.pss() <= self.pss + growth, "memory grew from", self.pss, "to",
                  self.node.pss(), "KiB")

    def closes(self, *pieces, greet=False, seconds=15):
        """Sends them; the daemon must end the connection."""
        with self.node.raw(greet=greet) as conn:
            for piece in pieces:
                if not conn.send(piece):
                    break
            closed = conn.wait_closed(seconds) or conn.goaway is not None
            self.t.ok(closed, "still open after", [p[:40] for p in pieces])
            return conn


@test
def prefaces_and_frames(t):
    siege = Siege(t)
    for wrong in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0" * 64, PREFACE[:-1] + b"x",
                  b"PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\0" + b"x" * 100):
        siege.closes(wrong)
    hello = PREFACE + settings()
    for wrong in (
            PREFACE + frame(PING, 0, 0, b"x" * 8), hello + frame(DATA, 0, 0, b"x"),
            hello + frame(HEADERS, END_HEADERS, 0, b"\x82"), hello + frame(RST, 0, 0, b"\0" * 4),
            hello + frame(RST, 0, 1, b"\0" * 4), hello + frame(RST, 0, 1, b"\0"),
            hello + frame(SETTINGS, 0, 1), hello + frame(SETTINGS, 0, 0, b"x" * 5),
            hello + frame(SETTINGS, ACK, 0, b"x" * 6), hello + settings(window=1 << 31),
            hello + settings(frame=1), hello + frame(PING, 0, 0, b"x"),
            hello + frame(WINDOW, 0, 0, b"\0" * 4),
            hello + window(0, 0x7fffffff), hello + frame(PUSH, 4, 1, b"\0\0\0\2\x82"),
            hello + frame(CONTINUATION, END_HEADERS, 1, b"\x82"),
            hello + frame(DATA, 0, 0, b"", length=(1 << 24) - 1),
            hello + frame(HEADERS, END_HEADERS, 2, b"\x82"),
            hello + frame(HEADERS, END_HEADERS, 1, b"\xff" * 50),
            hello + frame(HEADERS, END_HEADERS | PADDED, 1, b"\xff\x82"),
            hello + frame(HEADERS, 0, 1, b"\x82") + frame(DATA, 0, 1, b"x")):
        siege.closes(wrong)
    siege.lift()


@test
def requests_that_are_none(t):
    """Wrong headers end the call, or the connection, never more."""
    siege = Siege(t)
    with siege.node.raw() as conn:
        for extra, drop in (((), (":path",)), ((), (":method",)), ((), ("te",)),
                            ((), ("content-type",)), ([("content-type", "text/html")],
                                                      ("content-type",)),
                            ([("Upper", "x")], ()), ([("x", "a\r\nb")], ()), ([("", "x")], ()),
                            ([("connection", "close")], ()), ([(":status", "200")], ()),
                            ([(":path", "/again")], ()), ([("grpc-timeout", "9" * 5000)], ()),
                            ([("x\0y", "z")], ()), ([(":method", "GET")], (":method",))):
            if conn.closed or conn.goaway is not None:
                conn.close()
                conn = siege.node.raw()
            stream = conn.open(LIST, extra, drop)
            conn.data(stream, message(b""))
            answer = conn.answer(stream, 20)
            t.ok(answer.ended or conn.closed, "no end for", extra, drop)
        conn.close()
    siege.lift()


@test
def lying_messages(t):
    """Prefixes that lie, half messages, two messages, none at all."""
    siege = Siege(t)
    with siege.node.raw() as conn:
        for body in (message(b"", length=1), message(b"abc", length=1 << 31), b"\0\0\0",
                     message(b"abc", length=(1 << 32) - 1), message(b"") + b"x", message(b"") * 3,
                     b"", message(b"x" * 100, length=50), b"\0" + b"\xff" * 4):
            stream = conn.open(LIST)
            conn.data(stream, body)
            answer = conn.answer(stream, 20)
            t.ok(answer.ended, "no end for", body[:20])
            t.ok(answer.code != 0, "answered", body[:20])
        for _ in range(50):  # begun and dropped in the middle
            stream = conn.open(LIST)
            conn.data(stream, message(b"x" * 1000)[:500], end=False)
            conn.send(frame(RST, 0, stream, struct.pack(">I", 8)))
        t.eq(conn.call("ListImages").code, 0, "the connection serves on")
    siege.lift()


@test
def messages_over_the_limit(t):
    """Refused by their prefix; many at once take no memory."""
    siege = Siege(t, max_grpc_message_bytes=1 << 20)
    conns = [siege.node.raw() for _ in range(20)]
    for conn in conns:
        for _ in range(10):
            stream = conn.open(LIST)
            conn.data(stream, message(b"x" * 30000, length=2 << 20), end=False)
    for conn in conns:
        answer = conn.answer(1, 20)
        t.eq(answer.code, 8, "RESOURCE_EXHAUSTED")
    for conn in conns:
        conn.close()
    conns = [siege.node.raw() for _ in range(40)]
    for conn in conns:  # allowed each, too many together; never finished
        for _ in range(20):
            stream = conn.open(LIST)
            conn.data(stream, message(b"x" * 15000, length=1 << 20), end=False)
    time.sleep(1)
    peak = siege.node.pss()
    t.ok(peak < siege.pss + (110 << 10), "requests being received took", peak, "KiB")
    for conn in conns:
        conn.close()
    siege.lift(64 << 10)


@test
def header_and_continuation_floods(t):
    siege = Siege(t)
    for count, size in ((300, 10), (20, 8000), (10000, 30), (2, 60000)):
        with siege.node.raw() as conn:
            block = conn.encoder.encode(conn.fields(LIST, [
                ("x-%d" % i, "%d" % i + "v" * size) for i in range(count)]))
            pieces = [block[i:i + 16384] for i in range(0, len(block), 16384)]
            conn.send(frame(HEADERS, END_STREAM | (END_HEADERS if len(pieces) == 1 else 0), 1,
                            pieces[0]))
            for i, piece in enumerate(pieces[1:]):
                last = i == len(pieces) - 2
                if not conn.send(frame(CONTINUATION, END_HEADERS if last else 0, 1, piece)):
                    break
            answer = conn.answer(1, 20)
            t.ok(answer.ended or conn.closed, "no end", count, size)
            t.ok(answer.code != 0, "taken", count, size)
    with siege.node.raw() as conn:  # one that never ends
        conn.send(frame(HEADERS, 0, 1, b"\x82"))
        for _ in range(100000):
            if not conn.send(frame(CONTINUATION, 0, 1, b"\0\x01a\x01b" * 100)):
                break
        t.ok(conn.closed or conn.wait_closed(15), "an endless CONTINUATION")
    with siege.node.raw() as conn:  # empty ones
        conn.send(frame(HEADERS, 0, 1, b"\x82"))
        for _ in range(2000):
            if not conn.send(frame(CONTINUATION, 0, 1) * 100):
                break
        t.ok(conn.closed or conn.wait_closed(15), "empty CONTINUATIONs")
    with siege.node.raw() as conn:  # a small block that decodes to much: one entry, indexed again
        entry = conn.encoder.encode([("x-bomb", "v" * 3900)])
        conn.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, conn.encoder.encode(
            conn.fields(LIST)) + entry + b"\xbe" * 15000))
        answer = conn.answer(1, 20)
        t.ok((answer.ended or conn.closed) and answer.code != 0, "a header bomb")
    siege.lift()


@test
def floods_of_small_frames(t):
    """SETTINGS, PING, RST (rapid reset), PRIORITY, empty DATA, WINDOW_UPDATE; nothing is read."""
    siege = Siege(t)
    with siege.node.raw() as conn:
        reset, block = b"", None
        for number in range(400):
            block = conn.encoder.encode(conn.fields(LIST))
            stream = conn.take()
            reset += frame(HEADERS, END_HEADERS, stream, block) + \
                frame(DATA, END_STREAM, stream, message(b"")) + \
                frame(RST, 0, stream, struct.pack(">I", 8))
        begun = time.monotonic()
        while time.monotonic() - begun < 1.5 and conn.send(reset):
            conn.encoder, reset = type(conn.encoder)(), b""
            for number in range(100):
                stream = conn.take()
                reset += frame(HEADERS, END_HEADERS, stream, block) + \
                    frame(RST, 0, stream, struct.pack(">I", 8))
        conn.close()
    for flood in (settings(window=65535) * 500, frame(PING, 0, 0, b"12345678") * 500,
                  frame(PRIORITY, 0, 1, b"\0\0\0\0\x10") * 500, frame(11, 0, 0, b"x" * 9) * 500,
                  frame(GOAWAY, 0, 0, b"\0" * 8) * 500, frame(WINDOW, 0, 0, b"\0\0\0\1") * 500):
        with siege.node.raw(timeout=2) as conn:
            begun = time.monotonic()
            try:
                while time.monotonic() - begun < 1.5 and conn.send(flood):
                    pass
            except TimeoutError:
                pass  # it does not read us any more: as good as closed
    with siege.node.raw(timeout=2) as conn:
        stream, begun = conn.open(LIST), time.monotonic()
        try:
            while time.monotonic() - begun < 1.5 and conn.send(frame(DATA, 0, stream) * 500):
                pass
        except TimeoutError:
            pass
    siege.lift()


@test
def half_open_peers(t):
    """Nothing said, half a preface, half a frame, half a call, a shut side: all end in time."""
    siege = Siege(t)
    peers = []
    for number in range(100):
        conn = siege.node.raw(greet=False, timeout=30)
        begin = (b"", PREFACE[:10], PREFACE, PREFACE + settings()[:5],
                 PREFACE + settings() + frame(HEADERS, END_HEADERS, 1, b"", length=100))[number % 5]
        conn.send(begin)
        if number % 2:
            conn.sock.shutdown(1)
        peers.append(conn)
    begun = time.monotonic()
    open_ones = [c for i, c in enumerate(peers) if i % 2]
    t.ok(all(c.wait_closed(15) for c in open_ones), "peers that shut their side are kept")
    while time.monotonic() - begun < 20 and not peers[0].closed:
        peers[0].step(0.5)
    t.ok(peers[0].closed, "a peer that says nothing is kept for ever")
    for conn in peers:
        conn.close()
    siege.lift()


@test
def slow_readers(t):
    """A list of 10 MB asked for by peers that take nothing, or a byte now and then."""
    store = t.store()
    many.fill(store, 1500, names=40, padding="p" * 120)
    node = Node(t, store, max_grpc_message_bytes=32 << 20)
    big = sum(i.ByteSize() for i in node.client().list())
    t.ok(big > 9 << 20, "the list has", big, "bytes")
    lister = Lister(node, pause=0.2, at_least=1500)
    before = node.pss()
    conns = [node.raw(refill=False) for _ in range(30)]
    for conn in conns:
        for _ in range(20):
            conn.begin("ListImages")
    with node.raw() as other:  # takes all of it through a window of its own
        t.eq(len(other.call("ListImages", timeout=20).messages()), 1, "a raw list")
    time.sleep(2)
    held = node.pss()
    t.ok(held < before + (300 << 10), "held for slow readers:", before, held, "KiB")
    for conn in conns[:10]:
        conn.send(window(0, 1) + window(1, 1))
    lister.demand(t, 3)
    for conn in conns:
        conn.close()
    deadline = time.monotonic() + 20
    while node.pss() > before + (64 << 10) and time.monotonic() < deadline:
        time.sleep(0.1)
    t.ok(node.pss() <= before + (64 << 10), "kept after they went:", before, node.pss(), "KiB")


@test
def six_hundred_connections(t):
    """More than may be: those that are served stay served, and room comes back."""
    siege = Siege(t)
    conns, served = [], 0
    for _ in range(600):
        try:
            conns.append(Conn(siege.node.socket, timeout=10))
        except OSError:
            break
    for conn in conns[::50]:
        served += conn.call("ListImages", timeout=10).code == 0
    t.ok(served >= 8, "served", served)
    for conn in conns:
        conn.close()
    siege.lift()
    fresh = siege.node.client()
    t.eq(len(fresh.list()), 20, "a new client afterwards")


@test
def streams_without_end(t):
    """All the streams of a connection, begun and left; the 129th is refused, others go on."""
    siege = Siege(t)
    conns = [siege.node.raw() for _ in range(20)]
    for conn in conns:
        for _ in range(140):
            conn.open(LIST)
    time.sleep(1)
    with siege.node.raw() as conn:
        t.eq(conn.call("ListImages", timeout=20).code, 0, "a new connection")
    for conn in conns:
        deadline = time.monotonic() + 20
        while not (any(a.reset == 7 or a.code == 8 for a in conn.answers.values()) or
                   conn.closed or conn.goaway is not None):
            t.ok(time.monotonic() < deadline, "140 streams were taken")
            conn.step(0.5)
        conn.close()
    siege.lift()


@test
def pulls_without_end(t):
    """Pulls that nobody waits for, of registries that never answer, in hundreds."""
    siege, server = Siege(t), t.scripted()
    client = siege.node.client()
    server.on("/v2/", lambda s, request, answer: (s.closed.wait(60), None)[1])
    pulls = [client.begin_pull("%s/x/y%d:1" % (server.host, i), timeout=20) for i in range(300)]
    time.sleep(2)
    for pull in pulls:
        pull.cancel()
    siege.node.nothing_left(15)
    siege.lift()

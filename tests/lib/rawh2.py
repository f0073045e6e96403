"""HTTP/2 and gRPC by hand over a unix socket: a client that may break any rule.

Frames are made here; only header compression is python3-hpack's (which python3-h2 brings).
"""
import socket
import struct
import time

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8
IMAGES = "/runtime.v1.ImageService/"


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    size = len(payload) if length is None else length
    return struct.pack(">I", size)[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def settings(**values):
    keys = {"table": 1, "push": 2, "streams": 3, "window": 4, "frame": 5, "headers": 6}
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", keys[k], v)
                                          for k, v in values.items()))


def window(stream, more):
    return frame(WINDOW, 0, stream, struct.pack(">I", more))


def message(body, flag=0, length=None):
    """gRPC's length-prefixed message; length: a lie."""
    body = body if isinstance(body, bytes) else body.SerializeToString()
    return bytes([flag]) + struct.pack(">I", len(body) if length is None else length) + body


class Answer:
    def __init__(self):
        self.headers, self.data, self.reset, self.ended = {}, b"", None, False

    @property
    def code(self):
        """The grpc-status as a number, None if there was none."""
        return int(self.headers["grpc-status"]) if "grpc-status" in self.headers else None

    @property
    def text(self):
        return self.headers.get("grpc-message", "")

    def messages(self):
        found, rest = [], self.data
        while len(rest) >= 5:
            size = struct.unpack(">I", rest[1:5])[0]
            found.append(rest[5:5 + size])
            rest = rest[5 + size:]
        return found


class Conn:
    """One connection. greet=False: nothing is sent by itself. refill: the receive window is kept
    open, as a decent client does."""

    def __init__(self, path, greet=True, refill=True, timeout=10, **own):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout)
        self.sock.connect(path)
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.answers, self.rest, self.refill = {}, b"", refill
        self.closed, self.goaway, self.pongs, self.acks = False, None, [], 0
        self.block, self.block_of, self.next = b"", 0, 1
        self.quiet = not greet
        if greet:
            self.send(PREFACE + settings(**own))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    # out

    def send(self, data):
        """False: the other side has closed."""
        try:
            self.sock.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            self.closed = True
            return False

    def fields(self, path, extra=(), drop=()):
        usual = [(":method", "POST"), (":scheme", "http"), (":path", path),
                 (":authority", "localhost"), ("te", "trailers"),
                 ("content-type", "application/grpc")]
        return [f for f in usual if f[0] not in drop] + list(extra)

    def open(self, path, extra=(), drop=(), flags=END_HEADERS, stream=None):
        """A HEADERS frame; returns the stream."""
        stream = stream or self.take()
        block = self.encoder.encode(self.fields(path, extra, drop))
        self.send(frame(HEADERS, flags, stream, block))
        return stream

    def take(self):
        stream, self.next = self.next, self.next + 2
        return stream

    def data(self, stream, payload, end=True):
        """DATA frames within the largest frame; the window is the caller's business."""
        pieces = [payload[i:i + 16384] for i in range(0, len(payload), 16384)] or [b""]
        for i, piece in enumerate(pieces):
            last = end and i == len(pieces) - 1
            if not self.send(frame(DATA, END_STREAM if last else 0, stream, piece)):
                return

    def begin(self, method, body=b"", extra=()):
        path = method if method.startswith("/") else IMAGES + method
        stream = self.open(path, extra)
        self.data(stream, message(body))
        return stream

    def call(self, method, body=b"", extra=(), timeout=10):
        return self.answer(self.begin(method, body, extra), timeout)

    # in

    def step(self, timeout):
        """Reads once; False when nothing came or the connection ended."""
        self.sock.settimeout(max(timeout, 0.001))
        try:
            piece = self.sock.recv(1 << 18)
        except (TimeoutError, BlockingIOError):
            return False
        except ConnectionResetError:
            piece = b""
        if not piece:
            self.closed = True
            return False
        self.rest += piece
        while len(self.rest) >= 9:
            size = int.from_bytes(self.rest[:3], "big")
            if len(self.rest) < 9 + size:
                break
            kind, flags = self.rest[3], self.rest[4]
            stream = int.from_bytes(self.rest[5:9], "big") & 0x7fffffff
            payload, self.rest = self.rest[9:9 + size], self.rest[9 + size:]
            self.got(kind, flags, stream, payload)
        return True

    def got(self, kind, flags, stream, payload):
        answer = self.answers.setdefault(stream, Answer())
        if kind == SETTINGS and flags & ACK:
            self.acks += 1
        elif kind == SETTINGS:
            if not self.quiet:
                self.send(frame(SETTINGS, ACK))
        elif kind == PING and flags & ACK:
            self.pongs.append(payload)
        elif kind == PING:
            self.send(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            self.goaway = int.from_bytes(payload[4:8], "big")
        elif kind == RST:
            answer.reset, answer.ended = int.from_bytes(payload, "big"), True
        elif kind == DATA:
            answer.data += payload
            if self.refill and payload:
                self.send(window(0, len(payload)) + window(stream, len(payload)))
        elif kind in (HEADERS, CONTINUATION):
            self.block += payload
            if kind == HEADERS:
                self.block_of = flags
            if flags & END_HEADERS:
                answer.headers.update(self.decoder.decode(self.block))
                self.block, flags = b"", flags | self.block_of
        if kind in (DATA, HEADERS, CONTINUATION) and flags & END_STREAM:
            answer.ended = True

    def answer(self, stream, timeout=10):
        """Waits for the stream's end, or the connection's."""
        deadline = time.monotonic() + timeout
        answer = self.answers.setdefault(stream, Answer())
        while not answer.ended and not self.closed and time.monotonic() < deadline:
            self.step(deadline - time.monotonic())
        return answer

    def wait_closed(self, timeout=10):
        """True if the other side closes in time."""
        deadline = time.monotonic() + timeout
        while not self.closed and time.monotonic() < deadline:
            self.step(deadline - time.monotonic())
        return self.closed

    def ping(self, timeout=5):
        """True if the connection still answers."""
        mark = struct.pack(">Q", 0x1234567890abcdef)
        self.send(frame(PING, 0, 0, mark))
        deadline = time.monotonic() + timeout
        while mark not in self.pongs and not self.closed and time.monotonic() < deadline:
            self.step(deadline - time.monotonic())
        return mark in self.pongs

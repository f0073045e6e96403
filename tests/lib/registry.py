"""A registry that answers as a test tells it to; Debian's own is in real.py.

Scripted speaks HTTP/1.1 with sockets and threads of its own: a server library would refuse to
send most of what a hostile registry sends. It records every request with all of its headers, so
that a test can assert where a secret went and which blobs were asked for.
"""
import base64
import json
import re
import socket
import ssl
import threading
import time

import mkimage


def closed_port(t):
    """One where nobody listens, and nobody else will before the test's end."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    t.cleanups.append(sock.close)
    return sock.getsockname()[1]


def all_answered(ports, seconds=60):
    """Waits until the servers at these ports have closed their connections: a server does so after
    it has written of the last request to its log, some time after its client has the answer."""
    busy, deadline = ("01", "08"), time.monotonic() + seconds  # ESTABLISHED, CLOSE_WAIT
    while True:
        rows = []
        for name in ("/proc/net/tcp", "/proc/net/tcp6"):
            with open(name) as file:
                rows += [line.split() for line in file.readlines()[1:]]
        if not any(row[3] in busy and int(row[1].rpartition(":")[2], 16) in ports for row in rows):
            return
        if time.monotonic() > deadline:
            raise RuntimeError("connections are kept open at %s" % ports)
        time.sleep(0.005)


def basic(user, password):
    return "Basic " + base64.b64encode(("%s:%s" % (user, password)).encode()).decode()


class Request:
    """link: the number of the connection it came on."""

    def __init__(self, method, path, headers, raw, peer, link):
        self.method, self.path, self.headers = method, path, headers
        self.raw, self.peer, self.link, self.when = raw, peer, link, time.monotonic()

    def header(self, name):
        values = [v for k, v in self.headers if k.lower() == name.lower()]
        return values[0] if values else None


class Answer:
    """length None: the body's own; a text: sent as it is; False: no Content-Length at all."""

    def __init__(self, status=200, headers=(), body=b"", length=None):
        self.status, self.headers, self.body = status, list(headers), body
        self.length = length

    def head(self):
        lines = ["HTTP/1.1 %d X" % self.status]
        lines += ["%s: %s" % pair for pair in self.headers]
        if self.length is not False:
            size = self.body.size if isinstance(self.body, mkimage.Blob) else len(self.body)
            lines.append("Content-Length: %s" % (size if self.length is None else self.length))
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def set(self, name, value):
        self.headers = [h for h in self.headers if h[0].lower() != name.lower()]
        if value is not None:
            self.headers.append((name, value))
        return self


class Rule:
    def __init__(self, pattern, action, method, times):
        self.pattern, self.action = re.compile(pattern), action
        self.method, self.times = method, times


class Scripted:
    def __init__(self, tls=None, host="127.0.0.1", port=0, name=None):
        self.tls = tls
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.socket(family)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind((host, port))
        self.sock.listen(128)
        self.port = self.sock.getsockname()[1]
        shown = name or host
        self.host = "%s:%d" % ("[%s]" % shown if ":" in shown else shown, self.port)
        self.url = ("https://" if tls else "http://") + self.host
        self.lock = threading.Lock()
        self.requests, self.rules, self.raw, self.sent = [], [], [], []
        self.connections = 0
        self.manifest_of, self.blob_of = {}, {}
        self.closed = threading.Event()
        self.last_blob = threading.Event()
        self.expected_blobs = set()
        self.rate = None
        threading.Thread(target=self.accept, daemon=True).start()

    # What it serves ------------------------------------------------------------------

    def add(self, image, name, tag="latest"):
        """Serves the image; the last manifest also under its tag."""
        for blob in image.blobs():
            self.blob_of[(name, blob.digest)] = blob
        for manifest, media_type in image.manifests():
            self.manifest_of[(name, manifest.digest)] = (manifest, media_type)
        self.manifest_of[(name, tag)] = (image.manifest, image.media_type)
        return "%s/%s:%s" % (self.host, name, tag)

    def on(self, pattern, action, method=None, times=None):
        """First rule that matches the path acts: action(server, request, answer) gives the
        Answer to send, or None when it has dealt with the socket itself (which then closes)."""
        rule = Rule(pattern, action, method, times)
        with self.lock:
            self.rules.append(rule)
        return rule

    def clear(self):
        with self.lock:
            self.rules = []
            self.requests, self.raw, self.sent = [], [], []
        self.last_blob.clear()

    # What it saw ---------------------------------------------------------------------

    def saw(self, secret):
        secret = secret.encode() if isinstance(secret, str) else secret
        with self.lock:
            return any(secret in raw for raw in self.raw)

    def asked(self, pattern):
        with self.lock:
            return [r for r in self.requests if re.search(pattern, r.path)]

    def blobs_asked(self):
        return {r.path.rsplit("/", 1)[1] for r in self.asked("/blobs/sha256:")}

    # How it works --------------------------------------------------------------------

    def accept(self):
        while not self.closed.is_set():
            try:
                conn, peer = self.sock.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(conn, peer, self.connections),
                             daemon=True).start()

    def serve(self, conn, peer, link):
        try:
            conn.settimeout(300)
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                conn = self.tls.wrap_socket(conn, server_side=True)
            rest = b""
            while not self.closed.is_set():
                while b"\r\n\r\n" not in rest:
                    piece = conn.recv(65536)
                    if not piece or (not rest and piece[0] == 0x16 and not self.tls):
                        return  # peers try TLS first; a silent server would cost them 10 s
                    with self.lock:
                        self.raw.append(piece)
                    rest += piece
                head, _, rest = rest.partition(b"\r\n\r\n")
                if not self.reply(conn, self.parse(head, peer, link)):
                    return
        except (OSError, ValueError, ssl.SSLError):
            return
        finally:
            try:
                conn.close()
            except OSError:
                pass

    def parse(self, head, peer, link):
        lines = head.decode("latin-1").split("\r\n")
        method, path, _ = lines[0].split(" ", 2)
        headers = [tuple(part.strip() for part in l.split(":", 1)) for l in lines[1:] if ":" in l]
        request = Request(method, path, headers, head, peer, link)
        with self.lock:
            self.requests.append(request)
        return request

    def pick(self, request):
        with self.lock:
            for rule in self.rules:
                if rule.method not in (None, request.method) or rule.times == 0:
                    continue
                if rule.pattern.search(request.path):
                    if rule.times is not None:
                        rule.times -= 1
                    return rule.action
        return None

    def reply(self, conn, request):
        request.conn = conn
        answer = self.default(request)
        action = self.pick(request)
        if action:
            answer = action(self, request, answer)
            if answer is None:
                return False
        self.send(conn, answer, request)
        return answer.length is not False

    def send(self, conn, answer, request):
        conn.sendall(answer.head())
        if request.method == "HEAD":
            return
        if isinstance(answer.body, mkimage.Blob):
            with answer.body.open() as file:
                self.pump(conn, file)
        elif self.rate:
            import io
            self.pump(conn, io.BytesIO(answer.body))
        else:
            conn.sendall(answer.body)
        found = re.search(r"/blobs/(sha256:[0-9a-f]{64})$", request.path)
        if found and answer.status == 200:
            with self.lock:
                self.sent.append((time.monotonic(), found.group(1)))
                done = {digest for _, digest in self.sent}
            if self.expected_blobs and self.expected_blobs <= done:
                self.last_blob.set()

    def pump(self, conn, file):
        """rate: bytes a second of each connection."""
        piece = min(1 << 18, max(1024, self.rate // 50)) if self.rate else 1 << 18
        for data in iter(lambda: file.read(piece), b""):
            conn.sendall(data)
            if self.rate:
                time.sleep(len(data) / self.rate)

    def default(self, request):
        path = request.path.split("?")[0]
        if path in ("/v2", "/v2/"):
            return Answer(200, [("Docker-Distribution-Api-Version", "registry/2.0"),
                                ("Content-Type", "application/json")], b"{}")
        found = re.fullmatch(r"/v2/(.+)/(manifests|blobs)/([^/]+)", path)
        if found:
            name, what, key = found.groups()
            if what == "manifests" and (name, key) in self.manifest_of:
                manifest, media_type = self.manifest_of[(name, key)]
                return Answer(200, [("Content-Type", media_type),
                                    ("Docker-Content-Digest", manifest.digest)], manifest.read())
            if what == "blobs" and (name, key) in self.blob_of:
                return Answer(200, [("Content-Type", "application/octet-stream"),
                                    ("Docker-Content-Digest", key)], self.blob_of[(name, key)])
        body = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
        return Answer(404, [("Content-Type", "application/json")], json.dumps(body).encode())

    def stop(self):
        self.closed.set()
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()


# Actions for Scripted.on ---------------------------------------------------------------

def body_of(answer):
    return answer.body.read() if isinstance(answer.body, mkimage.Blob) else answer.body


def status(code, headers=(), body=b""):
    return lambda server, request, answer: Answer(code, headers, body)


def redirect(target, code=307):
    """target: a URL, or a function of the request's path."""
    def act(server, request, answer):
        place = target(request.path) if callable(target) else target
        return Answer(code, [("Location", place)])
    return act


def change(function):
    """The usual answer with its body changed; Content-Length tells the truth about it."""
    def act(server, request, answer):
        return Answer(answer.status, answer.headers, function(body_of(answer)))
    return act


def parts(server, request, answer):
    """Ranges are served, as "bytes=N-" and "bytes=N-M"."""
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.header("Range") or "")
    if not asked or answer.status != 200:
        return answer
    data = body_of(answer)
    first, last = int(asked.group(1)), min(int(asked.group(2) or len(data) - 1), len(data) - 1)
    return Answer(206, answer.headers, data[first:last + 1]).set(
        "Content-Range", "bytes %d-%d/%d" % (first, last, len(data)))


def flip(data):
    return data[:-1] + bytes([data[-1] ^ 1])


def truncated(missing=1):
    """Announces all bytes, sends fewer, closes."""
    def act(server, request, answer):
        data = body_of(answer)
        answer.body, answer.length = data[:-missing], str(len(data))
        server.send(request.conn, answer, request)
        return None
    return act


def set_header(name, value):
    return lambda server, request, answer: answer.set(name, value)


def endless(size=1 << 40):
    """No length; the real body and then zeros until the other side closes."""
    def act(server, request, answer):
        data = body_of(answer)
        answer.length = False
        request.conn.sendall(answer.head() + data)
        sent = 0
        while sent < size and not server.closed.is_set():
            request.conn.sendall(bytes(1 << 16))
            sent += 1 << 16
        return None
    return act


def stall(after=0, whole_head=True):
    """Sends the head and `after` bytes, then nothing until the server stops."""
    def act(server, request, answer):
        data = body_of(answer)
        answer.length = str(len(data))
        if whole_head:
            request.conn.sendall(answer.head() + data[:after])
        server.closed.wait(300)
        return None
    return act


def hold(count, seconds=20):
    """Answers nobody before `count` requests are waiting at once; fails them after `seconds`."""
    barrier = threading.Barrier(count)

    def act(server, request, answer):
        try:
            barrier.wait(seconds)
        except threading.BrokenBarrierError:
            return Answer(503, [], b"not enough requests at once")
        return answer
    act.barrier = barrier
    return act


def raw(data):
    def act(server, request, answer):
        request.conn.sendall(data)
        return None
    return act


def header_flood(count, size=100):
    def act(server, request, answer):
        request.conn.sendall(b"HTTP/1.1 200 OK\r\n")
        line = b"X-Flood-%d: " + b"a" * size + b"\r\n"
        for i in range(count):
            request.conn.sendall(line % i)
        request.conn.sendall(b"Content-Length: 0\r\n\r\n")
        return None
    return act


def need_basic(user, password, realm="test"):
    """401 unless the request has exactly this Authorization."""
    def act(server, request, answer):
        if request.header("Authorization") == basic(user, password):
            return answer
        return Answer(401, [("WWW-Authenticate", 'Basic realm="%s"' % realm)],
                      b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}')
    return act


def need_bearer(realm, token, service="test", scope=None):
    def act(server, request, answer):
        if request.header("Authorization") == "Bearer " + token:
            return answer
        name = re.match(r"/v2/(.+)/(?:manifests|blobs)/", request.path)
        wanted = scope or ("repository:%s:pull" % name.group(1) if name else "")
        challenge = 'Bearer realm="%s",service="%s"' % (realm, service)
        if wanted:
            challenge += ',scope="%s"' % wanted
        return Answer(401, [("WWW-Authenticate", challenge)],
                      b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}')
    return act


def give_token(token, user=None, password=None):
    """A token server's answer; asks for Basic credentials if a user is named."""
    def act(server, request, answer):
        if user and request.header("Authorization") != basic(user, password):
            return Answer(401, [("WWW-Authenticate", 'Basic realm="token"')], b"{}")
        return Answer(200, [("Content-Type", "application/json")],
                      json.dumps({"token": token, "expires_in": 300}).encode())
    return act

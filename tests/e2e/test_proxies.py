"""HTTP proxies: CONNECT for https, forwarding for plain HTTP, whose credentials go to whom, who is
reached without one, and what the rules for addresses say behind one."""
import base64
import re
import select
import socket
import threading

from harness import test
import registry


class Proxy:
    """Serves CONNECT and absolute-form requests; keeps what it saw. login: what it demands."""

    def __init__(self, t, login=None, refuse=None):
        self.login, self.refuse, self.heads = login, refuse, []
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.host = "127.0.0.1:%d" % self.sock.getsockname()[1]
        self.url = "http://" + self.host
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()
        t.cleanups.append(self.stop)

    def stop(self):
        """Not close() alone: a thread that waits in accept() would go on to serve whoever gets the
        number of the descriptor next."""
        self.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join(30)
        self.sock.close()

    def accept(self):
        while True:
            try:
                conn, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        with conn:
            try:
                rest = b""
                while b"\r\n\r\n" not in rest:
                    piece = conn.recv(65536)
                    if not piece:
                        return
                    rest += piece
                head, _, body = rest.partition(b"\r\n\r\n")
                self.heads.append(head.decode())
                self.act(conn, head.decode(), body)
            except OSError:
                return

    def act(self, conn, head, body):
        method, target, _ = head.split("\r\n")[0].split(" ")
        if self.refuse:
            conn.sendall(b"HTTP/1.1 %d x\r\nContent-Length: 0\r\n\r\n" % self.refuse)
            return
        if self.login and "Proxy-Authorization: " + self.login not in head.split("\r\n"):
            conn.sendall(b"HTTP/1.1 407 x\r\nProxy-Authenticate: Basic realm=p\r\n"
                         b"Content-Length: 0\r\n\r\n")
            return
        if method == "CONNECT":
            host, port = target.rsplit(":", 1)
            with socket.create_connection((host, int(port))) as out:
                conn.sendall(b"HTTP/1.1 200 ok\r\n\r\n")
                self.pump(conn, out)
            return
        place, _, path = target[len("http://"):].partition("/")
        host, port = place.rsplit(":", 1)
        with socket.create_connection((host, int(port))) as out:
            lines = [l for l in head.split("\r\n")[1:] if not l.lower().startswith("proxy-")]
            out.sendall(("%s /%s HTTP/1.1\r\n%s\r\n\r\n" % (method, path, "\r\n".join(
                lines + ["Connection: close"]))).encode() + body)
            self.answer(conn, out)

    def answer(self, conn, out):
        """One answer of known length; then the connection ends."""
        got = b""
        while b"\r\n\r\n" not in got:
            got += out.recv(65536)
        head, _, body = got.partition(b"\r\n\r\n")
        size = int(re.search(rb"(?i)content-length: (\d+)", head).group(1))
        while len(body) < size:
            body += out.recv(65536)
        conn.sendall(head + b"\r\nConnection: close\r\n\r\n" + body)

    def pump(self, a, b):
        while True:
            for sock in select.select([a, b], [], [], 60)[0]:
                piece = sock.recv(65536)
                if not piece:
                    return
                (b if sock is a else a).sendall(piece)

    def saw(self, text):
        return any(text in head for head in self.heads)


class Ground:
    def __init__(self, t):
        self.t, self.image, self.authority = t, t.image("tiny"), t.authority()
        self.certs = self.authority.cert_dir()
        self.tls = t.scripted(tls=self.authority.context("tls"))
        self.plain = t.scripted()
        for server in (self.tls, self.plain):
            server.add(self.image, "p/x")

    def pull(self, server, *args, expect=0, env=None, **settings):
        verify = "--tls-verify=%s" % ("true" if server is self.tls else "false")
        return self.t.bulkhead(self.t.store(), "pull", verify, *args, server.host + "/p/x:latest",
                               config=self.t.config(cert_dir=self.certs, **settings), expect=expect,
                               env=env)


def basic(text):
    return "Basic " + base64.b64encode(text.encode()).decode()


@test
def connect_and_forward(t):
    """https through CONNECT, where the proxy sees no request; plain HTTP in its hands."""
    g = Ground(t)
    for server in (g.tls, g.plain):
        proxy = Proxy(t)
        server.on("^/v2/", registry.need_basic("u", "canary-origin"))
        g.pull(server, "--creds", "u:canary-origin",
               registry_proxies=["%s=%s" % (server.host, proxy.url)])
        kinds = {h.split(" ")[0] for h in proxy.heads}
        t.ok("CONNECT" in kinds if server is g.tls else "GET" in kinds, "requests", kinds)
        if server is g.tls:
            t.eq({h.split(" ")[1] for h in proxy.heads}, {server.host}, "targets")
            t.ok(not proxy.saw("Authorization") and not proxy.saw("/v2/"), proxy.heads)
        else:
            t.ok(proxy.saw("GET http://%s/v2/" % server.host), "absolute form", proxy.heads)
        t.ok(not server.saw("roxy-"), "the proxy's headers at the registry")


@test
def a_proxys_credentials_are_its_own(t):
    g = Ground(t)
    secret = "p:canary-proxy"
    for server in (g.tls, g.plain):
        proxy = Proxy(t, login=basic(secret))
        rules = ["%s=%s" % (server.host, proxy.url)]
        got = g.pull(server, expect=[4, 5], registry_proxies=rules)
        t.ok("407" in got.err or "login" in got.err, got.err)
        path = t.write("auth.json", {"auths": {
            proxy.host: {"auth": base64.b64encode(secret.encode()).decode()}}})
        g.pull(server, registry_proxies=rules, authfile=path)
        t.ok(not server.saw(basic(secret).split()[1]), "the registry saw the proxy's credentials")


@test
def as_the_environment_says(t):
    """Only where the configuration tells so; credentials in the URL are the proxy's."""
    g = Ground(t)
    proxy = Proxy(t, login=basic("p@x:canary"))
    address = t.run(["hostname", "-I"]).out.split()
    url = "http://p%40x:canary@" + proxy.host
    env = {"HTTPS_PROXY": url, "https_proxy": "", "NO_PROXY": ""}
    g.pull(g.tls, env=env, proxy="environment")
    t.eq(proxy.heads, [], "127.0.0.0/8 is reached without")
    if not address or ":" in address[0]:
        return
    server = t.scripted(tls=g.authority.context("far", ["IP:" + address[0]]), host=address[0])
    server.add(g.image, "p/x")
    g.tls = server
    g.pull(server, env=env)
    t.eq(proxy.heads, [], "the environment was not asked for")
    g.pull(server, env=dict(env, NO_PROXY="other.example, %s/32" % address[0]), proxy="environment")
    t.eq(proxy.heads, [], "NO_PROXY")
    got = g.pull(server, env=env, proxy="environment")
    t.ok(proxy.saw("CONNECT " + server.host), "the proxy was not used")
    t.ok("canary" not in got.err, got.err)
    got = g.pull(server, proxy=proxy.url, expect=None)
    t.ok(got.code in (4, 5), got, proxy.heads)
    t.ok(len(proxy.heads) > 1, "the proxy of the configuration was not used")
    seen = len(proxy.heads)
    g.pull(server, proxy=proxy.url, no_proxy=[address[0]])
    g.pull(server, proxy=proxy.url, registry_proxies=[server.host + "=direct"])
    t.eq(len(proxy.heads), seen, "those who are reached without")


@test
def what_goes_wrong_behind_a_proxy(t):
    g = Ground(t)
    for refuse, part in ((403, "the proxy refuses"), (407, "the proxy demands a login")):
        proxy = Proxy(t, refuse=refuse)
        got = g.pull(g.tls, expect=[4, 5], registry_proxies=["%s=%s" % (g.tls.host, proxy.url)])
        t.has(got.err, part, "the reason")
    dead = socket.create_server(("127.0.0.1", 0))
    gone = "127.0.0.1:%d" % dead.getsockname()[1]
    dead.close()
    got = g.pull(g.tls, expect=5, registry_proxies=["%s=http://%s" % (g.tls.host, gone)])
    t.has(got.err, "the proxy for 127.0.0.1", "the reason")
    t.eq(g.tls.requests, [], "asked without the proxy")


@test
def addresses_behind_a_proxy(t):
    """A redirect to the metadata service, to be followed by the proxy: refused before it is asked."""
    g = Ground(t)
    proxy = Proxy(t)
    g.plain.on("/blobs/", registry.redirect("http://169.254.169.254:80/latest"))
    got = g.pull(g.plain, expect=5, registry_proxies=[
        "%s=%s" % (g.plain.host, proxy.url), "169.254.169.254=" + proxy.url])
    t.has(got.err, "never dialled", "the reason")
    t.ok(not proxy.saw("169.254"), "the proxy was asked for it")

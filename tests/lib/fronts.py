"""What stands around registries: a token server, and nginx as a process of its own."""
import base64
import http.server
import json
import os
import socket
import subprocess
import threading
import time
import urllib.parse

import registry


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenServer:
    """Distribution's token protocol over plain HTTP: for the user and the password a token of what
    was asked for, for nobody one of the repositories in `public`."""

    def __init__(self, authority, user, password, public=()):
        self.base = authority.made("tokens", ["DNS:tokens"], key=("rsa:2048",))
        self.bundle, self.login, self.public = authority.ca, registry.basic(user, password), public
        self.issuer, self.asked, self.refused = "test tokens", [], 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.realm = "http://127.0.0.1:%d/token" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(request.path).query)
        scope = query.get("scope", [""])[0]
        name = scope.split(":")[1] if scope.count(":") == 2 else ""
        self.asked.append((scope, query.get("service"), request.headers["Authorization"]))
        known = request.headers["Authorization"] == self.login
        if not known and (request.headers["Authorization"] or name not in self.public):
            self.refused += 1
            body, status = b'{"details":"incorrect username or password"}', 401
        else:
            body, status = json.dumps({"token": self.token(name, query["service"][0]),
                                       "expires_in": 300}).encode(), 200
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        if status == 401:
            request.send_header("WWW-Authenticate", 'Basic realm="tokens"')
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def token(self, name, service):
        """A JSON Web Token (RFC 7519) with its certificate, signed by openssl."""
        with open(self.base + ".crt") as file:
            chain = ["".join(file.read().split("-----")[2].split())]
        now = int(time.time())
        head = {"typ": "JWT", "alg": "RS256", "x5c": chain}
        body = {"iss": self.issuer, "sub": "x", "aud": service, "exp": now + 300, "nbf": now - 60,
                "iat": now, "jti": os.urandom(8).hex(),
                "access": [{"type": "repository", "name": name, "actions": ["pull"]}]}
        text = ".".join(b64url(json.dumps(part).encode()) for part in (head, body))
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.base + ".key"],
                                   input=text.encode(), check=True, stdout=subprocess.PIPE).stdout
        return text + "." + b64url(signature)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Nginx:
    """servers: texts of server blocks without their listen lines; each gets a port of its own over
    TLS with the certificate in BASE.crt and BASE.key. hosts: where they are, in that order."""

    def __init__(self, folder, base, servers):
        os.makedirs(folder, exist_ok=True)
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in servers]
        self.ports = [sock.getsockname()[1] for sock in sockets]
        self.hosts = ["127.0.0.1:%d" % port for port in self.ports]
        self.log = folder + "/access.log"
        blocks = "".join(
            "server {\nlisten 127.0.0.1:%d ssl;\nssl_certificate %s.crt;\nssl_certificate_key %s.key;"
            "\n%s\n}\n" % (port, base, base, text) for port, text in zip(self.ports, servers))
        for i, host in enumerate(self.hosts):
            blocks = blocks.replace("SERVER%d" % i, host)
        temporary = "".join("%s_temp_path %s/%s;\n" % (kind, folder, kind) for kind in (
            "client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(folder + "/nginx.conf", "w") as file:
            file.write("user root;\ndaemon off;\nworker_processes 1;\npid %s/pid;\n"
                       "error_log %s/error.log;\nevents {}\nhttp {\naccess_log %s;\n%s"
                       "proxy_cache_path %s/cache keys_zone=blobs:1m;\n%s}\n" % (
                           folder, folder, self.log, temporary, folder, blocks))
        # It takes over sockets that listen, as one process of its own does from another.
        numbers = [sock.fileno() for sock in sockets]
        self.process = subprocess.Popen(
            ["nginx", "-p", folder, "-e", folder + "/error.log", "-c", folder + "/nginx.conf"],
            stdin=subprocess.DEVNULL, cwd="/", pass_fds=numbers,
            env={"PATH": os.environ["PATH"] + ":/usr/sbin",
                 "NGINX": "".join("%d;" % number for number in numbers)})
        for sock in sockets:
            sock.close()

    def lines(self):
        registry.all_answered(self.ports)
        with open(self.log) as file:
            return file.read().splitlines()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)

"""G12: TLS. Each case is a server of its own at a port of the registry's address."""
import socket
import ssl
import threading

import real
from cases import AUTH, NETWORK, OK, group

add = group("G12")
TRUST = "certificate"


def label_of(case):
    return case.id.replace(".", "-").lower()


def presents(make, name="reg.evil.test"):
    """A registry with the certificate or context that make(authority, label) gives."""
    def plan(world, case):
        world.own(case, make(world.certificates["authority"], label_of(case)), name)
    return plan


def speaks(handler):
    """A listener that does with each connection what handler(socket) does."""
    def plan(world, case):
        sock = socket.socket()
        sock.bind(("11.1.1.1", 0))
        sock.listen(16)
        world.stops.append(lambda: (sock.shutdown(socket.SHUT_RDWR), sock.close()))
        case.place = "reg.evil.test:%d" % sock.getsockname()[1]

        def serve(conn):
            with conn:
                conn.settimeout(30)
                try:
                    handler(conn)
                except OSError:
                    pass

        def accept():
            while True:
                try:
                    conn = sock.accept()[0]
                except OSError:
                    return
                threading.Thread(target=serve, args=(conn,), daemon=True).start()
        threading.Thread(target=accept, daemon=True).start()
    return plan


NAME = ["DNS:reg.evil.test"]


def no_plain(world, case, result):
    """Nobody tried without TLS."""
    raw = b"".join(case.home.raw)
    return "it spoke plainly: %r" % raw[:80] if b"HTTP/1.1" in raw else None


for what, make, code, says in (
        ("a good certificate, which is fine", lambda a, l: a.context(l, NAME), OK, ""),
        ("by a wildcard, which is fine", lambda a, l: a.context(l, ["DNS:*.evil.test"]), OK, ""),
        ("a wildcard of a whole top level", lambda a, l: a.context(l, ["DNS:*.test"]), NETWORK,
         TRUST + "|name"),
        ("a wildcard in the middle", lambda a, l: a.context(l, ["DNS:reg.*.test"]), NETWORK,
         TRUST + "|name"),
        ("of another host", lambda a, l: a.context(l, ["DNS:other.test"]), NETWORK, TRUST + "|name"),
        ("of the site alone", lambda a, l: a.context(l, ["DNS:evil.test"]), NETWORK, TRUST + "|name"),
        ("for an address only", lambda a, l: a.context(l, ["IP:11.1.1.1"]), NETWORK, TRUST + "|name"),
        ("with the name as a URI", lambda a, l: a.context(l, ["URI:https://reg.evil.test"]), NETWORK,
         TRUST + "|name"),
        ("self-signed", lambda a, l: a.context(l, NAME, signed=False), NETWORK, TRUST),
        ("expired", lambda a, l: a.context(l, NAME, days=-1), NETWORK, TRUST),
        ("by an authority nobody knows", lambda a, l: real.Authority(
            a.folder + "/" + l).context(l, NAME), NETWORK, TRUST),
        ("for clients only", lambda a, l: a.context(l, NAME, more="extendedKeyUsage=clientAuth"),
         NETWORK, TRUST),
        ("signed by one that is no authority", lambda a, l: a.below(l, NAME, authority=False),
         NETWORK, TRUST),
        ("below another authority, which is fine", lambda a, l: a.below(l, NAME), OK, ""),
        ("a key of 1,024 bits", lambda a, l: a.context(l, NAME, key=["rsa:1024"]), NETWORK, ""),
        ("signed with SHA-1", lambda a, l: a.context(l, NAME, sign=["-sha1"]), NETWORK, ""),
        ("of 100 KiB", lambda a, l: a.context(l, NAME + ["DNS:n%d.evil.test" % i
                                                         for i in range(5000)]), OK, ""),
        ("a chain of 20", lambda a, l: a.below(l, NAME, 20), OK, ""),
        ("with an OCSP server and a revocation list inside: nobody asks them", lambda a, l: a.context(
            l, NAME, more="authorityInfoAccess=OCSP;URI:http://127.0.0.9/\n"
            "crlDistributionPoints=URI:http://169.254.169.254/"), OK, "")):
    add("certificate: " + what, presents(make), code, says)
add("an address in the certificate, which is fine", presents(lambda a, l: a.context(
    l, ["IP:11.1.1.1"]), "11.1.1.1"), OK)
add("an address, and only a name in the certificate", presents(lambda a, l: a.context(l, NAME),
    "11.1.1.1"), NETWORK, TRUST + "|name")


def tuned(tune, name=NAME):
    def make(authority, label):
        context = authority.context(label, name)
        tune(context, authority)
        return context
    return make


def old(version):
    def tune(context, authority):
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
    return tune


def weak(ciphers):
    def tune(context, authority):
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(ciphers)
    return tune


def ask(mode):
    def tune(context, authority):
        context.load_verify_locations(authority.ca)
        context.verify_mode = mode
    return tune


add("TLS 1.0 alone", presents(tuned(old(ssl.TLSVersion.TLSv1))), NETWORK, "")
add("TLS 1.1 alone", presents(tuned(old(ssl.TLSVersion.TLSv1_1))), NETWORK, "")
add("TLS 1.2 alone, which is fine", presents(tuned(old(ssl.TLSVersion.TLSv1_2))), OK)
add("only ciphers that encrypt nothing", presents(tuned(weak("eNULL:@SECLEVEL=0"))), NETWORK, "")
add("only ciphers without authentication", presents(tuned(weak("aNULL:@SECLEVEL=0"))), NETWORK, "")
add("a client certificate is wished for, which is fine", presents(tuned(ask(ssl.CERT_OPTIONAL))), OK)
add("a client certificate is demanded, and none is there", presents(tuned(ask(ssl.CERT_REQUIRED))),
    AUTH, "belong in its directory below certs.d")
add("HTTP/2 alone by ALPN, which nobody offered", presents(tuned(
    lambda context, authority: context.set_alpn_protocols(["h2"]))), OK)
for what, handler in (
        ("closes at once", lambda conn: None),
        ("closes after the greeting", lambda conn: conn.recv(4096)),
        ("speaks plain HTTP", lambda conn: (conn.recv(4096), conn.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"))),
        ("speaks another protocol", lambda conn: conn.sendall(b"220 mail ESMTP\r\n")),
        ("sends an alert", lambda conn: (conn.recv(4096), conn.sendall(b"\x15\3\3\0\2\2\x28"))),
        ("sends a record of 65,535 bytes", lambda conn: (conn.recv(4096), conn.sendall(
            b"\x16\3\3\xff\xff" + b"x" * 65535))),
        ("sends empty records without end", lambda conn: [conn.sendall(b"\x16\3\3\0\0" * 10000)
                                                          for _ in range(100)]),
        ("asks for another greeting without end", lambda conn: [conn.sendall(
            b"\x16\3\3\0\4\0\0\0\0" * 10000) for _ in range(100)]),
        ("sends zeros", lambda conn: (conn.recv(4096), conn.sendall(bytes(100000))))):
    add("the server %s: never without TLS" % what, speaks(handler), NETWORK,
        "speaks no TLS" if what.startswith("speaks") or what == "sends zeros" else "",
        slow="closes" in what)


add("a plain registry where TLS is due: nothing is said plainly",
    lambda world, case: world.own(case, None), NETWORK, "speaks no TLS|closed|reset|SYSCALL",
    after=no_plain, slow=True)
add("no answer to the greeting: 60 s", speaks(lambda conn: conn.recv(100000) and conn.recv(1)),
    NETWORK, "", long=True, slow=True)

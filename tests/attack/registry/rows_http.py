"""Bodies (G06), lengths (G07), slowness (G08), headers (G09), encodings (G10), HTTP/2 (G11), busy
and resuming registries (G22), connections (G23)."""
import time
from functools import partial

import rawh2
import registry
from cases import (ABSENT, BODY, CONTENT, DEADLINE, NETWORK, OK, absent, asked_at_most, at, group,
                   head, image_of, logged_in, moved, of_case, serves)
from registry import Answer

GZIP = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0"
BYTES, LIES = "bytes|hash|digest|damaged", "[Cc]ontent-[Ll]ength|length"

add = group("G06")
for part, pinned in (("layer", False), ("config", False), ("manifest", True)):
    for what, change in (("the last bit is another", registry.flip),
                         ("the first bit is another", lambda d: bytes([d[0] ^ 1]) + d[1:]),
                         ("one byte less", lambda d: d[:-1]), ("one byte more", lambda d: d + b"x"),
                         ("a space more", lambda d: d + b" "), ("nothing", lambda d: b""),
                         ("zeros of the same length", lambda d: bytes(len(d)))):
        add("%s: %s" % (part, what), at(part, registry.change(change)), CONTENT, BYTES,
            pinned=pinned)
for what, value in (("another's", "sha256:" + "0" * 64), ("upper-case", "SHA256:" + "A" * 64),
                    ("sha512", "sha512:" + "0" * 128), ("a path", "sha256:../../x"),
                    ("10 KiB", "x" * 10240), ("absent", None)):
    add("Docker-Content-Digest is %s, which only advises" % what,
        at("all", registry.set_header("Docker-Content-Digest", value)), OK)
add("the other layer under this one's digest", at("layer", of_case(lambda case: lambda s, r, a:
    Answer(200, [], case.image.layers[0].blob.read()))), CONTENT, BYTES)
add("the config under the layer's digest", at("layer", of_case(lambda case: lambda s, r, a:
    Answer(200, [], case.image.config.read()))), CONTENT, BYTES)

add = group("G07")
for part in ("manifest", "layer"):
    for what, lines, body, code, says in (
            ("negative", ["Content-Length: -1"], b"", NETWORK, LIES),
            ("2^64", ["Content-Length: 18446744073709551616"], b"", NETWORK, LIES),
            ("10^30", ["Content-Length: 1" + "0" * 30], b"", NETWORK, LIES),
            ("a number and a letter", ["Content-Length: 5x"], b"hello", NETWORK, LIES),
            ("hexadecimal", ["Content-Length: 0x10"], b"hello", NETWORK, LIES),
            ("with a plus", ["Content-Length: +5"], b"hello", NETWORK, LIES),
            ("a list", ["Content-Length: 5, 5"], b"hello", NETWORK, LIES),
            ("two that disagree", ["Content-Length: 5", "Content-Length: 6"], b"hello", NETWORK,
             "disagree|" + LIES),
            ("with chunked", ["Content-Length: 5", "Transfer-Encoding: chunked"], b"0\r\n\r\n",
             NETWORK, "both Content-Length and Transfer-Encoding"),
            ("8 EiB", ["Content-Length: 9223372036854775807"], b"", NETWORK, LIES),
            ("5 GiB, the true body", ["Content-Length: 5368709120"], BODY, CONTENT, "announces"),
            ("a chunk of 2^63", ["Transfer-Encoding: chunked"], b"8000000000000000\r\nx", NETWORK,
             "http://|https://"),
            ("a chunk of 2^64-1", ["Transfer-Encoding: chunked"], b"ffffffffffffffff\r\nx", NETWORK,
             "http://|https://"),
            ("a chunk that is none", ["Transfer-Encoding: chunked"], b"zz\r\nx\r\n0\r\n\r\n",
             NETWORK, "http://|https://")):
        add("%s, Content-Length %s" % (part, what) if "chunk of" not in what else "%s, %s" % (
            part, what), at(part, head(*lines, body=body)), code, says)
add("layer: fewer bytes than announced", at("layer", registry.truncated(1)), NETWORK, "",
    slow=True)
add("layer: far fewer bytes than announced", at("layer", registry.truncated(10000)), NETWORK, "",
    slow=True)
add("manifest: fewer bytes than announced", at("manifest", registry.truncated(5)), NETWORK, "",
    slow=True)
add("layer without length and without end", at("layer", registry.endless()), CONTENT, "more than")
add("config without length and without end", at("config", registry.endless()), CONTENT, "more than")
add("manifest without length and without end", at("manifest", registry.endless()), NETWORK,
    "no length")
add("manifest without length and without end, plain http", at("manifest", registry.endless()),
    CONTENT, "more than", host="plain")
add("manifest without length over TLS: it could have been cut", at("manifest", head(body=BODY)),
    NETWORK, "no length")
add("manifest without length, plain http, which is fine", at("manifest", head(body=BODY)), OK,
    host="plain")
add("layer without length, which its descriptor has", at("layer", head(body=BODY)), OK)


def chunked(size, trailer=b"", extension=b""):
    def act(server, request, answer):
        data = registry.body_of(answer)
        pieces = [data[i:i + size] for i in range(0, len(data), size)]
        kind = dict(answer.headers).get("Content-Type", "text/plain").encode()
        request.conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked"
                             b"\r\n\r\n" % kind + b"".join(
                                 b"%x%s\r\n%s\r\n" % (len(p), extension, p) for p in pieces) +
                             b"0\r\n" + trailer + b"\r\n")
        return None
    return act


add("chunks of one byte each, which is fine", at("all", chunked(1)), OK)
add("chunk extensions, which is fine", at("all", chunked(1000, extension=b";x=y")), OK)
add("a trailer, which is ignored", at("all", chunked(1000, b"X: y\r\n")), OK)
add("trailers of 1 MiB", at("manifest", chunked(1000, b"X: %s\r\n" % (b"y" * 1000) * 1000)),
    NETWORK, "too many headers|https://")
add("a trailer that changes the length", at("layer", chunked(1000, b"Content-Length: 1\r\n")), OK)

add = group("G08")


def drip(size, pause, head_too=False):
    """`size` bytes at a time."""
    def act(server, request, answer):
        data = answer.head() + registry.body_of(answer)
        first = 0 if head_too else len(answer.head())
        request.conn.sendall(data[:first])
        for i in range(first, len(data), size):
            if server.closed.is_set():
                break
            request.conn.sendall(data[i:i + size])
            time.sleep(pause)
        return None
    return act


SETTING = "pull_progress_timeout"
add("layer: nothing after some bytes; the setting pull_progress_timeout",
    at("layer", registry.stall(5000)), DEADLINE, SETTING)
add("layer: nothing after one byte", at("layer", registry.stall(1)), DEADLINE, SETTING)
add("config: nothing after some bytes", at("config", registry.stall(50)), DEADLINE,
    "not a byte for 60 s", long=True, slow=True)
add("a byte now and then is progress: 200 bytes a tenth of a second", at("layer", drip(200, 0.01)),
    OK, slow=True)
add("headers a few bytes at a time", at("manifest", drip(20, 0.005, True)), OK, slow=True)
add("no answer to the manifest's request: 60 s", at("manifest", registry.stall(
    0, whole_head=False)), DEADLINE, "no answer within 60 s", long=True, slow=True)
add("no body: 60 s", at("manifest", registry.stall(0)), DEADLINE, "not a byte for 60 s",
    long=True, slow=True)
add("1 byte a second: 300 s", at("layer", drip(1, 1)), DEADLINE, "fewer than", long=True, slow=True)
add("1 byte of the head a second", at("manifest", drip(1, 1, True)), DEADLINE, "", long=True,
    slow=True)

add = group("G09")
FINE = ["Content-Length: LENGTH"]
for what, lines, code, says in (
        ("900 lines, which is fine", ["X-%d: y" % i for i in range(900)], OK, ""),
        ("1,001 lines", ["X-%d: y" % i for i in range(1001)], NETWORK, "too many headers"),
        ("5,001 lines", ["X-%d: y" % i for i in range(5001)], NETWORK, "too many headers"),
        ("100,000 cookies", ["Set-Cookie: a%d=b" % i for i in range(100000)], NETWORK, "too many"),
        ("900 cookies, which are forgotten", ["Set-Cookie: a%d=b" % i for i in range(900)], OK, ""),
        ("a line of 90 KiB, which is fine", ["X: " + "y" * (90 << 10)], OK, ""),
        ("a line of 301 KiB", ["X: " + "y" * (301 << 10)], NETWORK, "longer than 100 KiB"),
        ("a line of 10 MiB", ["X: " + "y" * (10 << 20)], NETWORK, "longer than 100 KiB"),
        ("299 KiB in 30 lines", ["X: " + "y" * (10 << 10)] * 29, OK, ""),
        ("310 KiB in 31 lines", ["X: " + "y" * (10 << 10)] * 31, NETWORK, "too many headers|https:"),
        ("Warning of 8 KiB, which is fine", ["Warning: 299 - \"%s\"" % ("w" * 8192)], OK, ""),
        ("a NUL", ["X: a\0b"], NETWORK, "control byte|https://"),
        ("an escape sequence", ["X: \x1b[2J"], NETWORK, "control byte"),
        ("a bare carriage return", ["X: a\rb"], NETWORK, "control byte"),
        ("no colon", ["this is no header"], NETWORK, "no header|https://"),
        ("a space before the colon", ["X : y"], NETWORK, "no header"),
        ("an empty name", [": y"], NETWORK, "no header"),
        ("a folded line", ["X: a", " b"], NETWORK, "no header"),
        ("two media types", ["Content-Type: text/html"], NETWORK, "two Content-Type"),
        ("Alt-Svc and HSTS, which are forgotten", ["Alt-Svc: h2=\"127.0.0.9:443\"; ma=9999",
         "Strict-Transport-Security: max-age=99999; includeSubDomains"], OK, ""),
        ("Refresh and Link elsewhere, which are ignored", ["Refresh: 0; url=https://127.0.0.9/",
         "Link: <https://127.0.0.9/>; rel=next"], OK, ""),
        ("Upgrade offered, which is ignored", ["Upgrade: h2c", "Connection: Upgrade"], OK, ""),
        ("Location with status 200, which is ignored", ["Location: https://127.0.0.9/"], OK, ""),
        ("Content-Location elsewhere, which is ignored", ["Content-Location: https://127.0.0.9/"],
         OK, "")):
    add("head: " + what, at("manifest", head(*lines, *FINE, body=BODY)), code, says)
for what, text, code, says in (
        ("status 101", b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n", NETWORK, "https://|protocol"),
        ("200,000 times 100 Continue", b"HTTP/1.1 100 Continue\r\n\r\n" * 200000, NETWORK, "headers|"
         "https://"),
        ("103 Early Hints without end", b"HTTP/1.1 103 X\r\nLink: </x>\r\n\r\n" * 100000, NETWORK,
         "headers|https://"),
        ("HTTP/0.9", b"hello", NETWORK, "https://"), ("nothing", b"", NETWORK, "https://"),
        ("zeros", b"\0" * 5000, NETWORK, "https://"),
        ("another protocol", b"SSH-2.0-OpenSSH_9\r\n", NETWORK, "https://"),
        ("half a status line", b"HTTP/1.1 20", NETWORK, "https://"),
        ("half a head", b"HTTP/1.1 200 OK\r\nX: y\r\n", NETWORK, "https://"),
        ("HTTP/3.7", b"HTTP/3.7 200 OK\r\nContent-Length: 0\r\n\r\n", NETWORK, "https://"),
        ("lower case", b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", NETWORK, "https://"),
        ("status 99", b"HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n", NETWORK, "https://|status"),
        ("status 600", b"HTTP/1.1 600 X\r\nContent-Length: 0\r\n\r\n", NETWORK, "https://|status"),
        ("status 2000", b"HTTP/1.1 2000 X\r\nContent-Length: 0\r\n\r\n", NETWORK, "https://|status"),
        ("status 2e2", b"HTTP/1.1 2e2 X\r\nContent-Length: 0\r\n\r\n", NETWORK, "https://|status")):
    add("answer: " + what, at("manifest", registry.raw(text)), code, says, slow=not text)
for status, code in ((204, NETWORK), (205, NETWORK), (206, NETWORK), (400, NETWORK), (402, NETWORK),
                     (404, ABSENT), (410, NETWORK), (451, NETWORK), (511, NETWORK)):
    add("status %d" % status, at("manifest", registry.status(status)), code, str(status))
add("an error body of 1 MiB: its beginning is shown, in one line", at("manifest", registry.status(
    418, [], b"\x1b[31mA\nB" * 200000)), NETWORK, r"answers 418: \\x1b\[31mA$")
add("an error that speaks with escapes", at("manifest", registry.status(418, [(
    "Content-Type", "application/json")], b'{"errors":[{"code":"A\\u001b[2J","message":"x\\ny"}]}')),
    NETWORK, r"answers 418 A\\x1b\[2J: x\\x0ay")

add = group("G10")
for part in ("manifest", "config", "layer"):
    add("%s: Content-Encoding gzip" % part, at(part, registry.set_header("Content-Encoding", "gzip")),
        NETWORK, "compressed in transit")
for value in ("br", "deflate", "gzip, gzip, gzip, gzip, gzip, gzip", "x-gzip", "zstd"):
    add("Content-Encoding %s" % value, at("layer", head("Content-Encoding: " + value, *FINE,
                                                       body=GZIP)), NETWORK, "compressed in transit")
add("Content-Encoding identity, which is fine", at("all", registry.set_header(
    "Content-Encoding", "identity")), OK)
for value in ("gzip", "gzip, chunked", "gzip, gzip, chunked", "identity", "chunked, chunked",
              "xchunked", "deflate"):
    add("Transfer-Encoding %s" % value, at("layer", head("Transfer-Encoding: " + value, body=GZIP)),
        NETWORK, "Transfer-Encoding|https://")
add("Transfer-Encoding twice", at("layer", head("Transfer-Encoding: chunked",
    "Transfer-Encoding: chunked", body=b"0\r\n\r\n")), NETWORK, "Transfer-Encoding|https://")

add = group("G11")
SETTINGS = rawh2.settings(streams=100)
HEAD = rawh2.frame(rawh2.HEADERS, 0, 1, b"\x88")
H2 = (("SETTINGS", SETTINGS), ("SETTINGS without end", SETTINGS * 100000),
      ("PINGs", SETTINGS + rawh2.frame(rawh2.PING, 0, 0, b"x" * 8) * 100000),
      ("CONTINUATION without end", SETTINGS + HEAD + rawh2.frame(
          rawh2.CONTINUATION, 0, 1, b"\0" * 1000) * 3000),
      ("PUSH_PROMISE", SETTINGS + rawh2.frame(rawh2.PUSH, 4, 1, b"\0\0\0\2\x88") * 50000),
      ("an HPACK bomb", SETTINGS + rawh2.frame(rawh2.HEADERS, 4, 1, b"\x40\x01a\x7f" + b"b" * 200 +
                                               b"\xbe" * 16000)),
      ("GOAWAY", SETTINGS + rawh2.frame(rawh2.GOAWAY, 0, 0, bytes(8))),
      ("RST_STREAM", SETTINGS + rawh2.frame(rawh2.RST, 0, 1, bytes(4))),
      ("a window of 0", rawh2.settings(window=0) + rawh2.window(0, 0)),
      ("data of one byte a frame", SETTINGS + HEAD + rawh2.frame(rawh2.DATA, 0, 1, b"x") * 50000),
      ("its preface", rawh2.PREFACE))
for what, text in H2:
    add("HTTP/2 unasked: " + what, at("manifest", registry.raw(text)), NETWORK,
        "speaks no HTTP/1.1|Unsupported HTTP version")
add("HTTP/2 unasked, plain http", at("manifest", registry.raw(H2[0][1])), NETWORK, "no HTTP/1.1",
    host="plain")
add("an upgrade to h2c nobody asked for", at("manifest", registry.raw(
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + SETTINGS)),
    NETWORK, "http://", host="plain")
add("HTTP/2 frames in the middle of a layer", at("layer", registry.change(
    lambda d: d[:10000] + SETTINGS + d[10000 + len(SETTINGS):])), CONTENT, BYTES)


def not_offered(world, case, result):
    """ALPN and the request line: HTTP/2 is never offered."""
    asked = case.home.asked("/" + case.repo + "/")
    spoken = {r.conn.selected_alpn_protocol() for r in asked}
    upgrades = [r.headers for r in asked if r.header("Upgrade") or r.header("HTTP2-Settings")]
    return "negotiated %s, upgrades %s" % (spoken, upgrades) if spoken != {None} or upgrades else None


add("a server that would speak it", None, OK, after=not_offered)

add = partial(group("G22"), host="own", slow=True)
for status in (500, 502, 503, 504):
    add("%d for ever: a bounded number of tries" % status, at("manifest", registry.status(status)),
        NETWORK, str(status), after=asked_at_most(6, "REPO"), long=status != 503)
add("429 for ever", at("manifest", registry.status(429)), NETWORK, "429",
    after=asked_at_most(6, "REPO"))
for value in ("9999999999", "-1", "soon", "1e9", "18446744073709551617",
              "Fri, 31 Dec 9999 23:59:59 GMT"):
    add("429 with Retry-After %s" % value, at("manifest", registry.status(
        429, [("Retry-After", value)])), NETWORK, "429", after=asked_at_most(6, "REPO"),
        long=value in ("-1", "soon", "1e9"))
add("503 with Retry-After 10^10", at("layer", registry.status(503, [("Retry-After", "9999999999")])),
    NETWORK, "503", after=asked_at_most(6, "REPO"))
fine = lambda server, request, answer: answer  # noqa: E731
add("429 once, then it works", at("manifest", registry.status(429, [("Retry-After", "0")]), fine), OK)
add("503 once, then it works", at("layer", registry.status(503), fine), OK)
add("206 where nothing of it was asked", at("layer", head(
    "Content-Range: bytes 0-9/10", "Content-Length: 10", status="206 X", body=b"x" * 10)),
    [NETWORK, CONTENT], "206")
add("416", at("layer", registry.status(416)), NETWORK, "416")


def cut_then(*lines, status="206 X", flip=False):
    """Half of the layer; whoever asks for the rest gets this. START, LAST, TOTAL stand for what
    would be true."""
    def act(server, request, answer):
        data = registry.body_of(answer)
        wanted = request.header("Range")
        if not wanted:
            return registry.truncated(len(data) // 2)(server, request, answer)
        start = int(wanted.split("=")[1].split("-")[0])
        rest = data[start:]
        rest = registry.flip(rest) if flip else rest
        text = "HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n" % (
            status, "".join(l + "\r\n" for l in lines), len(rest))
        for word, value in (("START", start), ("LAST", len(data) - 1), ("TOTAL", len(data))):
            text = text.replace(word, str(value))
        request.conn.sendall(text.encode() + rest)
        return None
    return at("layer", act)


TRUE = "Content-Range: bytes START-LAST/TOTAL"
add("a layer cut in half goes on, which is fine", cut_then(TRUE), OK)
add("resumed: the rest has another bit", cut_then(TRUE, flip=True), CONTENT, BYTES)
add("resumed: the ETag is another, the bytes are right", cut_then(TRUE, 'ETag: "other"'), OK)
for what, value in (("another place", "bytes 0-LAST/TOTAL"), ("another end", "bytes START-5/TOTAL"),
                    ("another total", "bytes START-LAST/99999999"), ("no total", "bytes START-LAST/*"),
                    ("no range", "bytes */TOTAL"), ("another unit", "lines START-LAST/TOTAL"),
                    ("2^64", "bytes 18446744073709551616-18446744073709551617/TOTAL"),
                    ("a negative one", "bytes -5-LAST/TOTAL")):
    add("resumed: Content-Range of %s" % what, cut_then("Content-Range: " + value),
        [CONTENT, NETWORK], "another part|Content-Range")
add("resumed: no Content-Range", cut_then(), [CONTENT, NETWORK], "another part|Content-Range")
add("resumed: 200 and the whole again, which is fine", at("layer", registry.truncated(9000), fine), OK)
add("resumed: 200 but only the rest", cut_then(status="200 OK"), CONTENT, BYTES + "|announces")
add("resumed: 416", at("layer", registry.truncated(9000), registry.status(416)), NETWORK, "416")

add = group("G23")


def own_connections(world, case, result):
    """Two names of one server: neither connections nor credentials are shared."""
    asked = case.home.asked("/%s/" % case.repo)
    links = {name: {r.link for r in asked if r.header("Host") == name}
             for name in ("reg.evil.test", "twin.evil.test")}
    shown = [r.path for r in asked if r.header("Host") == "twin.evil.test" and
             r.header("Authorization")]
    bad = not all(links.values()) or links["reg.evil.test"] & links["twin.evil.test"] or shown
    return "links %s, credentials for %s" % (links, shown) if bad else None


add("a redirect to another name of the same address and certificate", logged_in(
    moved("https://twin.evil.test/moved/REPO/x"), serves("reg.evil.test", of_case(
        lambda case: lambda s, r, a: Answer(200, [], case.image.layers[-1].blob.read())))), OK,
    after=own_connections)
add("many layers of one pull: at most four connections", at("blobs", drip(4000, 0.01)), OK,
    image=lambda case: image_of(case, 12), slow=True)
absent("G23.z", "connections coalesced by certificate",
       "only HTTP/2 does that, and HTTP/2 is never offered (G11)")

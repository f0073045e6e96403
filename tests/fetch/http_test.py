#!/usr/bin/env python3
"""Exchanges with servers that misbehave: raw sockets on this side, fetch_probe on the other.

usage: http_test.py PROBE [name of one case]
"""
import concurrent.futures
import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

PROBE = os.path.abspath(sys.argv[1])
BIG = os.urandom(3 << 20)
SLOW = '-t', '60000,60000,120000,20'  # a busy machine is not what is tested
FAST = '-t', '1500,1200,2500,20'      # where silence is


def fnv(data):
    h = 0xcbf29ce484222325
    for b in data:
        h = (h ^ b) * 0x100000001b3 & 0xffffffffffffffff
    return '%016x' % h


def head(status='200 OK', *lines):
    return ('HTTP/1.1 %s\r\n' % status + ''.join(x + '\r\n' for x in lines) + '\r\n').encode()


def plain(body, status='200 OK', *lines):
    return head(status, 'Content-Length: %d' % len(body), *lines) + body


class Server:
    """Calls handler(server, connection, request head) for each request until it returns False."""

    def __init__(self, handler, tls=None, family=socket.AF_INET, on_accept=None):
        self.handler, self.tls, self.on_accept = handler, tls, on_accept
        self.requests, self.connections = [], 0
        self.lock = threading.Lock()
        self.s = socket.socket(family)
        self.s.bind(('::1' if family == socket.AF_INET6 else '127.0.0.1', 0))
        self.s.listen(64)
        self.port = self.s.getsockname()[1]
        host = '[::1]' if family == socket.AF_INET6 else '127.0.0.1'
        self.origin = '%s://%s:%d/' % ('https' if tls else 'http', host, self.port)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                c, _ = self.s.accept()
            except OSError:
                return
            c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        try:
            if self.on_accept and self.on_accept(self, c) is False:
                return
            if self.tls:
                c = self.tls.wrap_socket(c, server_side=True)
            data = b''
            while True:
                while b'\r\n\r\n' not in data:
                    more = c.recv(65536)
                    if not more:
                        return
                    data += more
                request, data = data.split(b'\r\n\r\n', 1)
                length = re.search(rb'(?i)content-length: (\d+)', request)
                while length and len(data) < int(length.group(1)):
                    data += c.recv(65536)
                request = request.decode('latin1')
                if length:
                    request += '\r\n\r\n' + data[:int(length.group(1))].decode('latin1')
                    data = data[int(length.group(1)):]
                with self.lock:
                    self.requests.append(request)
                    number = len(self.requests)
                if self.handler(self, c, request, number) is False:
                    return
        except (OSError, ssl.SSLError):
            pass
        finally:
            try:
                c.close()
            except OSError:
                pass


def sends(*chunks, close=False, pause=0.0):
    def handler(server, c, request, number):
        for chunk in chunks:
            c.sendall(chunk)
            time.sleep(pause)
        return not close
    return handler


def probe(server, *args, targets=('/x',), timeout=30):
    argv = [PROBE, *SLOW, *args, server.origin, *targets]
    run = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
                         universal_newlines=True, errors='replace')
    out = run.stdout.strip().split('\n')
    assert run.returncode == 0, (run.returncode, out)
    assert 'leaked descriptors' not in out, out
    return out


def one(handler, *args, **kw):
    """A fresh server with the handler, one exchange; the first line of the answer."""
    return probe(Server(handler), *args, **kw)[0]


CASES = {}


def case(f):
    CASES[f.__name__] = f
    return f


def expect(line, *parts):
    for p in parts:
        assert p in line, 'wanted %r in %r' % (p, line)


# ---- what must work

@case
def body_with_length():
    s = Server(sends(plain(b'hello')))
    out = probe(s, '-e', '5')
    expect(out[0], 'done 200 5 ' + fnv(b'hello'))
    r = s.requests[0]
    assert r.startswith('GET /x HTTP/1.1\r\n'), r
    expect(r, 'Host: 127.0.0.1:%d' % s.port, 'User-Agent: bulkhead/', 'Accept-Encoding: identity')
    assert 'Authorization' not in r and 'Cookie' not in r


@case
def into_memory():
    expect(one(sends(plain(BIG[:100000])), '-m', '-c', '100000'), 'done 200 100000 ' + fnv(BIG[:100000]))


@case
def chunked_and_until_close():
    chunked = head('200 OK', 'Transfer-Encoding: chunked') + b'3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: x\r\n\r\n'
    expect(one(sends(chunked), '-e', '5'), 'done 200 5 ' + fnv(b'abcde'))
    expect(one(sends(head() + b'abc', close=True)), 'done 200 3')


@case
def interim_responses():
    expect(one(sends(head('103 Early') + plain(b'ok'))), 'done 200 2')


@case
def empty_body():
    expect(one(sends(plain(b'')), '-e', '0'), 'done 200 0')


@case
def big_with_backpressure():
    s = Server(sends(plain(BIG)))
    out = probe(s, '-e', str(len(BIG)), '-p', '7')
    expect(out[0], 'done 200 %d %s' % (len(BIG), fnv(BIG)))


@case
def ipv6_literal():
    s = Server(sends(plain(b'six')), family=socket.AF_INET6)
    expect(probe(s)[0], 'done 200 3')
    expect(s.requests[0], 'Host: [::1]:%d' % s.port)


@case
def connections_are_used_again():
    # One after another and at once: never more than four connections, all bodies right.
    s = Server(sends(plain(BIG[:50000])))
    out = probe(s, '-e', '50000', targets=['/%d' % i for i in range(20)])
    assert out[:20] == ['done 200 50000 ' + fnv(BIG[:50000])] * 20, out
    assert s.connections <= 4, s.connections
    assert out[20] == 'sockets %d' % s.connections


@case
def idle_connection_closed_by_server():
    def handler(server, c, request, number):
        c.sendall(plain(b'ok'))
        return False  # without saying so
    s = Server(handler)
    out = probe(s, targets=['/%d' % i for i in range(12)])
    assert out[:12] == ['done 200 2 ' + fnv(b'ok')] * 12, out


@case
def connection_close_header():
    s = Server(sends(plain(b'ok', '200 OK', 'Connection: close'), close=True))
    out = probe(s, targets=['/%d' % i for i in range(9)])
    assert out[:9] == ['done 200 2 ' + fnv(b'ok')] * 9, out


@case
def header_is_sent_as_given():
    s = Server(sends(plain(b'ok')))
    probe(s, '-a', 'Bearer canary', '-f', 'grant_type=refresh_token&x=%20y')
    r = s.requests[0]
    assert r.startswith('POST '), r
    expect(r, 'Authorization: Bearer canary\r\n', '\r\n\r\ngrant_type=refresh_token&x=%20y')


@case
def path_is_sent_as_given():
    s = Server(sends(plain(b'ok')))
    probe(s, targets=['/a/../b//c/./%2e%2e?x=/../y'])
    assert s.requests[0].startswith('GET /a/../b//c/./%2e%2e?x=/../y HTTP/1.1'), s.requests


# ---- sizes

@case
def sizes_that_disagree():
    expect(one(sends(plain(b'12345')), '-e', '4'), 'failed 7 200', 'announces 5')
    expect(one(sends(plain(b'12345')), '-e', '6'), 'failed 7 200', 'announces 5')
    expect(one(sends(head() + b'12345', close=True), '-e', '4'), 'failed 7', 'more than the 4')
    expect(one(sends(head() + b'12345', close=True), '-e', '6'), 'failed 7', 'sends 5 bytes')
    expect(one(sends(plain(b'12345')), '-c', '4'), 'failed 7', 'at most 4')
    expect(one(sends(head() + b'12345', close=True), '-m', '-c', '4'), 'failed 7', 'more than the 4')
    expect(one(sends(plain(b'12345')), '-m', '-c', '5'), 'done 200 5')


@case
def endless_body():
    def handler(server, c, request, number):
        c.sendall(head())
        while True:
            c.sendall(b'x' * 65536)
    expect(one(handler, '-e', '1000000'), 'failed 7', 'more than the 1000000')
    expect(one(handler, '-m', '-c', '1000000'), 'failed 7', 'more than the 1000000')


@case
def bad_lengths():
    for line in ('Content-Length: -1', 'Content-Length: 99999999999999999999', 'Content-Length: 1x',
                 'Content-Length: 1\r\nContent-Length: 2',
                 'Content-Length: 1\r\nTransfer-Encoding: chunked'):
        expect(one(sends(head('200 OK', line) + b'a', close=True)), 'failed')
    expect(one(sends(head('200 OK', 'Transfer-Encoding: chunked') + b'8000000000000000\r\nx', close=True)),
           'failed')
    expect(one(sends(head('200 OK', 'Transfer-Encoding: chunked') + b'zz\r\nx', close=True)), 'failed')


@case
def encodings():
    for line in ('Content-Encoding: gzip', 'Content-Encoding: br, gzip', 'Transfer-Encoding: gzip, chunked',
                 'Transfer-Encoding: gzip, gzip, chunked'):
        s = Server(sends(head('200 OK', line) + b'x', close=True))
        expect(probe(s)[0], 'failed 5', 'refused')
        assert len(s.requests) == 1


# ---- heads

@case
def hostile_heads():
    many = head('200 OK', *['A: b'] * 5001)
    long = head('200 OK', 'A: ' + 'b' * (10 << 20))
    interim = head('100 Continue') * 3000
    cookies = head('200 OK', *['Set-Cookie: a%d=b' % i for i in range(5000)])
    for data in (many, long, interim, cookies, b'HTTP/0.9 hello', b'hello\r\n\r\n', b'\x16\x03\x01',
                 head('101 Switching Protocols', 'Upgrade: h2c', 'Connection: Upgrade'),
                 b'HTTP/1.1 200 OK\r\nA: \0\r\n\r\n', b'HTTP/1.1 200 OK\r\n folded\r\n\r\n',
                 b'HTTP/2 200\r\n\r\n', b'HTTP/1.1 999 x\r\n\r\n', b'HTTP/1.1 200 OK\nX y\n\n',
                 b'HTTP/1.1 200 OK\r\nX: y\r\n', b'HTTP/1.1 200 OK\r\n'):
        expect(one(sends(data, close=True)), 'failed 5')


@case
def alt_svc_hsts_cookies_ignored():
    s = Server(sends(plain(b'ok', '200 OK', 'Alt-Svc: h2="127.0.0.1:9"', 'Set-Cookie: a=b',
                           'Strict-Transport-Security: max-age=99999')))
    out = probe(s, targets=['/%d' % i for i in range(8)])
    assert out[:8] == ['done 200 2 ' + fnv(b'ok')] * 8
    assert not any('ookie' in r for r in s.requests)


# ---- statuses

@case
def errors_say_why():
    body = b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown\\u001b[31m"}]}'
    expect(one(sends(plain(body, '404 Not Found'))), 'failed 1 404', 'MANIFEST_UNKNOWN: manifest unknown\\x1b[31m')
    expect(one(sends(plain(b'', '403 Forbidden'))), 'failed 4 403')
    expect(one(sends(plain(b'', '401 Unauthorized'))), 'failed 4 401')
    expect(one(sends(plain(b'', '500 Oops'))), 'failed 5 500', 'try again later')
    expect(one(sends(plain(b'x', '206 Partial', 'Content-Range: bytes 0-0/1'))), 'failed 5 206')
    expect(one(sends(plain(b'', '204 None'))), 'failed 5 204')
    expect(one(sends(plain(b'x' * (1 << 20), '502 Bad'))), 'failed 5 502')
    s = Server(sends(plain(b'', '500 Oops')))
    expect(probe(s)[0], '[later] [wait 0]')
    assert len(s.requests) == 1, 'when to ask again is not decided here'
    assert 'later' not in one(sends(plain(b'', '403 Forbidden')))


@case
def challenge():
    s = Server(sends(plain(b'', '401 x', 'WWW-Authenticate: Bearer realm="https://a/t",service="s"')))
    expect(probe(s)[0], 'challenge https://a/t')
    assert len(s.requests) == 1
    two = plain(b'', '401 x', 'WWW-Authenticate: Bearer realm="a"', 'WWW-Authenticate: Bearer realm="b"')
    expect(one(sends(two)), 'failed 5', 'two bearer')
    expect(one(sends(plain(b'', '401 x', 'WWW-Authenticate: Bearer realm="a'))), 'failed 5', 'quote')


@case
def busy_servers():
    s = Server(sends(plain(b'', '429 Slow', 'Retry-After: 7')))
    expect(probe(s)[0], 'failed 5 429', '[later] [wait 7]')
    assert len(s.requests) == 1
    expect(one(sends(plain(b'', '503 Busy', 'Retry-After: 1000000000'))), '[later] [wait 86400]')
    expect(one(sends(plain(b'', '429 Slow', 'Date: Sun, 06 Nov 1994 08:49:37 GMT',
                           'Retry-After: Sun, 06 Nov 1994 08:49:47 GMT'))), '[later] [wait 10]')


@case
def broken_connections():
    """What comes to nothing is reported, and asked for again where all pulls are known."""
    s = Server(lambda *a: False)
    expect(probe(s)[0], 'failed 5 0', '[later]')
    assert len(s.requests) == 1, len(s.requests)
    s = Server(sends(plain(b'hello')[:-2], close=True))
    expect(probe(s, '-m')[0], 'failed 5 200', '[later]')
    assert len(s.requests) == 1, len(s.requests)


@case
def bodies_that_break_off_for_ever():
    def byte(server, c, request, number):
        first = int((re.search(r'Range: bytes=(\d+)-', request) or [0, 0])[1])
        c.sendall(head('206 Partial' if first else '200 OK', 'Content-Length: %d' % (1000 - first),
                       'Content-Range: bytes %d-999/1000' % first) + b'x')
        return False
    s = Server(byte)
    expect(probe(s, '-e', '1000')[0], 'failed 5', '[later]')
    assert 50 < len(s.requests) < 60, len(s.requests)

    # without ranges all that was read before is read again: four times the body at most
    def further(server, c, request, number):
        c.sendall(plain(BIG)[:len(BIG) * number // 12])
        return False
    s = Server(further)
    expect(probe(s, '-e', str(len(BIG)))[0], 'failed 5', 'again and again')
    assert len(s.requests) < 12, len(s.requests)


@case
def stream_goes_on_with_a_range():
    def handler(server, c, request, number):
        first = int((re.search(r'Range: bytes=(\d+)-', request) or [0, 0])[1])
        part = BIG[first:]
        if first:
            c.sendall(head('206 Partial', 'Content-Length: %d' % len(part),
                           'Content-Range: bytes %d-%d/%d' % (first, len(BIG) - 1, len(BIG))))
        else:
            c.sendall(head('200 OK', 'Content-Length: %d' % len(part)))
        if number < 6:
            c.sendall(part[:400000])
            return False
        c.sendall(part)
    s = Server(handler)
    expect(probe(s, '-e', str(len(BIG)))[0], 'done 206 %d %s' % (len(BIG), fnv(BIG)))
    assert len(s.requests) == 6


@case
def stream_goes_on_without_ranges():
    def handler(server, c, request, number):
        data = plain(BIG)
        if number < 3:
            c.sendall(data[:1000000 * number])
            return False
        c.sendall(data)
    s = Server(handler)
    expect(probe(s, '-e', str(len(BIG)), '-p', '5')[0], 'done 200 %d %s' % (len(BIG), fnv(BIG)))


@case
def range_answers_that_lie():
    for line in ('bytes 1-9/10', 'bytes 3-9/11', 'bytes 3-8/10', 'bytes 0-9/10', 'bytes 3-9/*',
                 'bytes 9-3/10', 'bytes */10', 'octets 3-9/10', ''):
        def handler(server, c, request, number):
            if number == 1:
                c.sendall(head('200 OK', 'Content-Length: 10') + b'012')
                return False
            c.sendall(plain(b'3456789', '206 Partial', 'Content-Range: ' + line))
        expect(one(handler, '-e', '10'), 'failed')

    def never(server, c, request, number):
        if number == 1:
            c.sendall(head('200 OK', 'Content-Length: 10') + b'012')
        return False
    s = Server(never)
    expect(probe(s, '-e', '10')[0], 'failed 5', '[later]')
    assert len(s.requests) == 2, len(s.requests)


@case
def ranges_of_the_same_body():
    """If-Range goes along when there is a strong ETag; a server whose body has changed sends all."""
    for etag, sent in (('"v1"', True), ('W/"v1"', False), (None, False)):
        def handler(server, c, request, number):
            lines = ['ETag: ' + etag] if etag else []
            if number == 1:
                c.sendall(head('200 OK', 'Content-Length: 10', *lines) + b'012')
                return False
            c.sendall(plain(b'0123456789', '200 OK', *lines))
        s = Server(handler)
        expect(probe(s, '-e', '10')[0], 'done 200 10 ' + fnv(b'0123456789'))
        expect(s.requests[1], 'Range: bytes=3-')
        assert ('If-Range: "v1"' in s.requests[1]) == sent, s.requests[1]


@case
def a_stream_that_others_began():
    def good(server, c, request, number):
        c.sendall(plain(BIG[1000:], '206 Partial', 'Content-Range: bytes 1000-%d/%d' % (
            len(BIG) - 1, len(BIG))))
    s = Server(good)
    expect(probe(s, '-e', str(len(BIG)), '-F', '1000', '-w', '1')[0],
           'done', '%d %s' % (len(BIG) - 1000, fnv(BIG[1000:])))
    assert s.requests[0].endswith('Range: bytes=1000-'), s.requests
    expect(one(sends(plain(BIG)), '-e', str(len(BIG)), '-F', '1000', '-w', '1'),
           'done', '%d %s' % (len(BIG) - 1000, fnv(BIG[1000:])))
    expect(one(sends(plain(b'', '416 x')), '-e', str(len(BIG)), '-F', '1000'), 'failed 5 416')


# ---- parts at once

HUGE = os.urandom((9 << 20) + 12345)


class Parts(Server):
    """Serves ranges of HUGE; `spoil` may answer instead, by the number of the request's part."""

    def __init__(self, spoil=None, delay=0.0):
        self.spoil, self.delay, self.most, self.busy = spoil, delay, 0, 0
        super().__init__(Parts.answer)

    def answer(self, c, request, number):
        asked = re.search(r'Range: bytes=(\d+)-(\d*)', request)
        first, last = (int(asked[1]), int(asked[2] or len(HUGE) - 1)) if asked else (0, None)
        if self.spoil:
            answer = self.spoil(self, c, first, number)
            if answer is not None:
                return answer
        with self.lock:
            self.busy += 1
            self.most = max(self.most, self.busy)
        time.sleep(self.delay)
        if last is None:
            c.sendall(plain(HUGE))
        else:
            c.sendall(plain(HUGE[first:last + 1], '206 Partial', 'ETag: "v1"',
                            'Content-Range: bytes %d-%d/%d' % (first, last, len(HUGE))))
        with self.lock:
            self.busy -= 1


def parts(server, *args):
    return probe(server, '-e', str(len(HUGE)), '-w', '4', *args, timeout=120)[0]


WHOLE = '%d %s' % (len(HUGE), fnv(HUGE))


@case
def parts_in_order():
    s = Parts(delay=0.2)
    expect(parts(s), 'done', WHOLE)
    assert len(s.requests) == 5 and s.most > 1, (len(s.requests), s.most)
    assert s.connections <= 4, s.connections
    assert 'If-Range' not in s.requests[0]
    assert all('If-Range: "v1"' in r for r in s.requests[1:]), s.requests
    # the first part comes last; the sink has no room now and then
    def late(server, c, first, number):
        time.sleep(0.5 if first == 2 << 20 else 0)
    expect(parts(Parts(late), '-p', '3'), 'done', WHOLE)


@case
def parts_that_break_off():
    broken = []

    def cut(server, c, first, number):
        if first in broken or first % (2 << 20):
            return None
        broken.append(first)
        last = min(first + (2 << 20), len(HUGE)) - 1
        c.sendall(plain(HUGE[first:last + 1], '206 Partial', 'Content-Range: bytes %d-%d/%d' % (
            first, last, len(HUGE)))[:1 << 20])
        return False
    s = Parts(cut)
    expect(parts(s), 'done', WHOLE)
    assert len(broken) == 5 and len(s.requests) == 10, (broken, len(s.requests))


class Turns:
    """Lets the script of a server wait for what else it was asked for."""

    def __init__(self):
        self.seen, self.changed = [], threading.Condition()

    def came(self, what):
        """How often it has come, this time counted."""
        with self.changed:
            self.seen.append(what)
            self.changed.notify_all()
            return self.seen.count(what)

    def wait(self, *wanted):
        with self.changed:
            assert self.changed.wait_for(lambda: all(w in self.seen for w in wanted), 60), self.seen


@case
def parts_refused_in_the_middle():
    """A part breaks off when half of it is with the sink, and its rest is refused once, because of
    parts that were asked for after it."""
    turns, half = Turns(), 3 << 20

    def script(server, c, first, number):
        again = turns.came(first) > 1
        if first == 2 << 20:
            c.sendall(plain(HUGE[first:2 * first], '206 Partial', 'Content-Range: bytes %d-%d/%d' % (
                first, 2 * first - 1, len(HUGE)))[:-(1 << 20)])
            return False
        if first == half and not again:
            turns.wait(8 << 20)  # asked for when the first part is with the sink
            c.sendall(plain(b'', '429 Slow'))
            return True
    expect(parts(Parts(script)), 'done', WHOLE)
    assert turns.seen.count(half) == 2, turns.seen


@case
def parts_that_are_none():
    # no ranges at all
    s = Server(sends(plain(HUGE)))
    expect(parts(s), 'done', WHOLE)
    assert len(s.requests) == 1
    # a server that takes one connection at a time
    busy = threading.Lock()

    def one_only(server, c, first, number):
        if not busy.acquire(blocking=False):
            c.sendall(plain(b'', '429 Slow'))
            return True
        try:
            time.sleep(0.1)
            last = min(first + (2 << 20), len(HUGE)) - 1
            asked = re.search(r'-(\d+)', server.requests[number - 1].split('Range: bytes=')[1].split('\r')[0])
            last = int(asked[1]) if asked else len(HUGE) - 1
            answer = plain(HUGE[first:last + 1], '206 Partial', 'Content-Range: bytes %d-%d/%d' % (
                first, last, len(HUGE)))
            c.sendall(answer[:-1])
        finally:
            busy.release()
        c.sendall(answer[-1:])  # whoever asks after it is not refused
        return True
    expect(parts(Parts(one_only)), 'done', WHOLE)
    # other parts than asked for, more than asked for, the whole body in the middle
    def other(server, c, first, number):
        if first:
            c.sendall(plain(HUGE[:100], '206 Partial', 'Content-Range: bytes 0-99/%d' % len(HUGE)))
            return True
    expect(parts(Parts(other)), 'failed 7')
    def more(server, c, first, number):
        if first == 2 << 20:
            c.sendall(head('206 Partial', 'Content-Range: bytes %d-%d/%d' % (
                first, (4 << 20) - 1, len(HUGE))) + HUGE[first:])
            return False
    expect(parts(Parts(more)), 'failed 7')
    def whole(server, c, first, number):
        if first:
            c.sendall(plain(HUGE))
            return False
    expect(parts(Parts(whole)), 'failed 5', 'no parts', '[later]')
    # what fails fails with its own reason
    def gone(server, c, first, number):
        if first:
            c.sendall(plain(b'', '404 x'))
            return True
    expect(parts(Parts(gone)), 'failed 1 404')


# ---- redirects

@case
def redirects_to_elsewhere():
    for code in (301, 302, 303, 307, 308):
        s = Server(sends(plain(b'', '%d x' % code, 'Location: http://other.example:8080/y?z=1')))
        expect(probe(s, '-a', 'Bearer canary')[0], 'redirect %d http://other.example:8080/y?z=1' % code)
    expect(one(sends(plain(b'', '307 x', 'Location: https://127.0.0.1/'))), 'redirect 307 https://127.0.0.1/')
    for bad in ('file:///etc/passwd', 'ftp://a/', 'dict://a/', '', 'http://u:p@a/', 'http://a/#f',
                '//0x7f.1/', 'http://a:22/', 'http://a:99999/', 'http://' + 'a' * 70000 + '/'):
        expect(one(sends(plain(b'', '302 x', 'Location: ' + bad))), 'failed')
    expect(one(sends(plain(b'', '302 x', 'Location: /a', 'Location: /b'))), 'failed 5')
    expect(one(sends(plain(b'', '302 x'))), 'failed 5 302')


@case
def redirects_within():
    def hops(n):
        def handler(server, c, request, number):
            c.sendall(plain(b'', '302 x', 'Location: /hop%d' % number) if number <= n else plain(b'ok'))
        return handler
    s = Server(hops(5))
    expect(probe(s, '-a', 'Bearer canary')[0], 'done 200 2')
    assert all('Bearer canary' in r for r in s.requests)
    expect(one(hops(6)), 'failed 5', 'too many redirects')
    s = Server(sends(plain(b'', '307 x', 'Location: /y')))
    expect(probe(s, '-f', 'secret=1')[0], 'failed 5', 'redirects')
    assert len(s.requests) == 1


# ---- time

@case
def silence():
    def nothing(server, c, request, number):
        time.sleep(20)
    began = time.time()
    expect(one(nothing, *FAST), 'failed 8 0', 'no answer within 1 s')
    expect(one(lambda s, c, r, n: (c.sendall(b'HTTP/1.1 200 OK\r\nContent-Le'), time.sleep(20)), *FAST),
           'failed 8')
    expect(one(lambda s, c, r, n: (c.sendall(head('200 OK', 'Content-Length: 9') + b'abc'), time.sleep(20)),
               *FAST, '-e', '9'), 'failed 8 200', 'not a byte for 1 s')
    assert time.time() - began < 18


@case
def drip():
    def handler(server, c, request, number):
        c.sendall(head('200 OK', 'Content-Length: 100'))
        for _ in range(100):
            c.sendall(b'x')
            time.sleep(0.3)
    began = time.time()
    expect(one(handler, '-t', '60000,10000,2500,20', '-e', '100'), 'failed 8 200', 'fewer than')
    assert time.time() - began < 20

    def headers(server, c, request, number):
        for b in head('200 OK', 'A: ' + 'x' * 200):
            c.sendall(bytes([b]))
            time.sleep(0.05)
    expect(one(headers, *FAST), 'failed 8', 'no answer')


@case
def paused_is_not_silent():
    # The sink stalls longer than the limit; the server is not to blame.
    s = Server(sends(plain(BIG)))
    out = probe(s, '-e', str(len(BIG)), '-p', '100', '-P', '1500', '-t', '60000,1000,1200,20')
    expect(out[0], 'done 200 %d %s' % (len(BIG), fnv(BIG)))


@case
def no_socket():
    out = probe(Server(sends(plain(b'ok'))), '-x', targets=['/a', '/b', '/c'])
    assert out == ['failed 5 0 no socket [later]'] * 3 + ['sockets 0'], out


# ---- TLS

def certificates():
    folder = tempfile.mkdtemp()

    def run(*argv):
        subprocess.check_call(['openssl', *argv], cwd=folder, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)

    def ca(file, name):
        run('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout',
            file + '.key', '-out', file + '.pem', '-subj', '/CN=' + name, '-days', '2')

    def leaf(name, san, days='2'):
        run('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout',
            name + '.key', '-out', name + '.csr', '-subj', '/CN=x')
        with open(os.path.join(folder, 'ext'), 'w') as f:
            f.write('subjectAltName=' + san)
        run('x509', '-req', '-in', name + '.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial',
            '-out', name + '.pem', '-days', days, '-extfile', 'ext')
    ca('ca', 'ca')
    ca('same', 'ca')
    ca('other', 'other')
    leaf('good', 'IP:127.0.0.1')
    leaf('wrong', 'DNS:registry.example')
    leaf('expired', 'IP:127.0.0.1', '-1')
    return folder


CERTS = None


def tls(name, **kw):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if 'maximum' in kw:
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = kw['maximum']
        context.set_ciphers('ALL:@SECLEVEL=0')
    context.load_cert_chain(os.path.join(CERTS, name + '.pem'), os.path.join(CERTS, name + '.key'))
    return context


def ca(name='ca'):
    return '-C', os.path.join(CERTS, name + '.pem')


@case
def tls_good():
    s = Server(sends(plain(BIG)), tls=tls('good'))
    out = probe(s, *ca(), '-e', str(len(BIG)), targets=['/a', '/b', '/c'])
    assert out[:3] == ['done 200 %d %s' % (len(BIG), fnv(BIG))] * 3, out


@case
def tls_many_authorities():
    """The right one stands behind others, among them one of the same name with another key, and junk."""
    def text(name):
        with open(os.path.join(CERTS, name)) as f:
            return f.read()
    junk = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
    key = text('ca.key')
    for order in (('same', 'other', 'ca'), ('ca', 'same'), ('same', 'ca')):
        bundle = os.path.join(CERTS, '-'.join(order) + '.bundle')
        with open(bundle, 'w') as f:
            f.write('# comment\n' + junk + key + ''.join(text(n + '.pem') for n in order) + junk[:40])
        s = Server(sends(plain(b'ok')), tls=tls('good'))
        expect(probe(s, '-C', bundle)[0], 'done 200 2')
    for wrong in ('same', 'other'):
        s = Server(sends(plain(b'ok')), tls=tls('good'))
        expect(probe(s, *ca(wrong))[0], 'failed 5 0', 'certificate')
    with open(os.path.join(CERTS, 'empty.pem'), 'w') as f:
        f.write(junk)
    s = Server(sends(plain(b'ok')), tls=tls('good'))
    expect(probe(s, *ca('empty'))[0], 'failed 5 0', 'certificate')
    # what is listed is trusted, also the server's own certificate
    s = Server(sends(plain(b'ok')), tls=tls('good'))
    expect(probe(s, *ca('good'))[0], 'done 200 2')


@case
def tls_refused():
    for cert, authority in (('wrong', 'ca'), ('expired', 'ca'), ('good', 'other')):
        s = Server(sends(plain(b'ok')), tls=tls(cert))
        expect(probe(s, *ca(authority), '-a', 'Bearer canary')[0], 'failed 5 0', 'certificate')
        assert s.connections == 1 and not s.requests, (cert, s.connections, s.requests)
        s = Server(sends(plain(b'ok')), tls=tls(cert))
        expect(probe(s)[0], 'done 200 2')
    s = Server(sends(plain(b'ok')), tls=tls('good', maximum=ssl.TLSVersion.TLSv1_1))
    expect(probe(s, *ca())[0], 'failed 5 0')


@case
def tls_handshake_troubles():
    # plain HTTP on the TLS port, a handshake that stalls, one that breaks
    s = Server(None, on_accept=lambda s, c: (c.sendall(b'HTTP/1.1 400 Bad\r\n\r\n'), False)[1], tls=True)
    expect(probe(s)[0], 'failed 5 0')
    s = Server(None, on_accept=lambda s, c: (time.sleep(20), False)[1], tls=True)
    expect(probe(s, *FAST)[0], 'failed 8 0', 'no answer')
    s = Server(None, on_accept=lambda s, c: (c.recv(100), False)[1], tls=True)
    expect(probe(s, *ca())[0], 'failed 5 0')
    assert s.connections == 1, s.connections
    s = Server(None, on_accept=lambda s, c: (c.recv(100), False)[1], tls=True)
    expect(probe(s)[0], 'failed 5 0')
    assert s.connections == 1, 'whoever falls back to http must not wait: %d' % s.connections


@case
def tls_truncated():
    # A connection that ends without close_notify must not pass for the end of a body.
    def handler(server, c, request, number):
        c.sendall(head() + b'abc')
        os.close(c.detach())
        return False
    s = Server(handler, tls=tls('good'))
    expect(probe(s, *ca(), '-m')[0], 'failed 5 200', 'no length')
    expect(probe(s, *ca(), '-e', '4')[0], 'failed')
    expect(probe(s, *ca(), '-e', '3')[0], 'done 200 3')


def run_case(name):
    began = time.time()
    try:
        CASES[name]()
        return 'ok   %-34s %5.2f s' % (name, time.time() - began), True
    except Exception as e:
        return 'FAIL %-34s %5.2f s  %s: %s' % (name, time.time() - began, type(e).__name__, str(e)[:600]), False


def main():
    global CERTS
    CERTS = certificates()
    names = sys.argv[2:] or list(CASES)
    good = True
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for text, ok in pool.map(run_case, names):
            print(text)
            sys.stdout.flush()
            good &= ok
    os._exit(0 if good else 1)


if __name__ == '__main__':
    main()

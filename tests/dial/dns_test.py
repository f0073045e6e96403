#!/usr/bin/env python3
"""Dials through name servers that fail in every way they can.

Runs dial_probe in network and mount namespaces of its own, with a resolv.conf, hosts and
nsswitch.conf of its own and hostile name servers on 127.0.0.x. Needs root; answers 77 (skipped)
without.
"""
import concurrent.futures
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

SLACK = 3.0  # seconds a case may take beyond the 12 of the limit
PROBE = os.path.abspath(sys.argv[1])


def name(text):
    out = b''
    for label in text.split('.'):
        out += bytes([len(label)]) + label.encode()
    return out + b'\0'


def record(owner, kind, data):
    return name(owner) + struct.pack('!HHIH', kind, 1, 60, len(data)) + data


def a(owner, *addresses):
    return [record(owner, 1, socket.inet_aton(x)) for x in addresses]


def aaaa(owner, *addresses):
    return [record(owner, 28, socket.inet_pton(socket.AF_INET6, x)) for x in addresses]


def cname(owner, target):
    return [record(owner, 5, name(target))]


CHAIN = cname('chain.test', 'c1.test') + cname('c1.test', 'c2.test') + cname('c2.test', 'a.test')
LOOP = cname('loop.test', 'l1.test') + cname('l1.test', 'loop.test')
A_ONLY = {
    'a.test': a('a.test', '127.0.0.1'),
    'chain.test': CHAIN + a('a.test', '127.0.0.1'),
    'loop.test': LOOP,
    'self.test': cname('self.test', 'self.test'),
    'both.test': a('both.test', '127.0.0.1'),
    'short.corp.test': a('short.corp.test', '127.0.0.1'),
    'meta.test': a('meta.test', '169.254.169.254'),
    'zero.test': a('zero.test', '0.0.0.0'),
    'rebind.test': a('rebind.test', '169.254.169.254', '127.0.0.1'),
    'dropped.test': a('dropped.test', '10.9.9.2', '10.9.9.3'),
    'halfdropped.test': a('halfdropped.test', '10.9.9.2', '10.9.9.3', '127.0.0.1'),
    'private.test': a('private.test', '10.9.9.1'),
    'big.test': a('big.test', '127.0.0.1'),
    'many.test': a('many.test', *['127.1.%d.%d' % (i // 250, i % 250 + 1) for i in range(1000)]),
    'other.test': a('unrelated.test', '127.0.0.1'),
    'bare.test': [b''],
    'hugerdata.test': [name('hugerdata.test') + struct.pack('!HHIH', 1, 1, 60, 65535) + b'\x7f\0\0\1'],
    'pointer.test': [b'\xc0\x0c' + struct.pack('!HHIH', 5, 1, 60, 2) + b'\xc0\x1c'],
}
AAAA_ONLY = {
    'six.test': aaaa('six.test', '::1'),
    'both.test': aaaa('both.test', '::1'),
    'mapped.test': aaaa('mapped.test', '::ffff:169.254.169.254'),
    'nat64.test': aaaa('nat64.test', '64:ff9b::127.0.0.1'),
    'linklocal.test': aaaa('linklocal.test', 'fe80::1'),
}
TRUNCATED = {'big.test', 'many.test', 'tcsilent.test', 'tcdrip.test', 'tcclose.test'}
RCODE = {'servfail.test': 2, 'refused.test': 5, 'notimp.test': 4}


def parse_question(packet):
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode())
        at += packet[at] + 1
    kind = struct.unpack('!H', packet[at + 1:at + 3])[0]
    return '.'.join(labels).lower(), kind, packet[12:at + 5]


def answer(packet, tcp):
    """The reply, or None for silence."""
    host, kind, question = parse_question(packet)
    ident = packet[:2]
    if host.startswith('silent'):
        return None
    if host == 'wrongid.test':
        ident = bytes([ident[0] ^ 255, ident[1]])
    if host == 'garbage.test':
        return os.urandom(3)
    if host == 'noise.test':
        return ident + b'\x81\x80' + os.urandom(200)
    if host in RCODE:
        return ident + struct.pack('!HHHHH', 0x8180 | RCODE[host], 1, 0, 0, 0) + question
    known = host in A_ONLY or host in AAAA_ONLY or host in TRUNCATED or host == 'nodata.test'
    records = (A_ONLY if kind == 1 else AAAA_ONLY if kind == 28 else {}).get(host, [])
    if host == 'other.test':
        question = name('unrelated.test') + question[-4:]
    if not known:
        return ident + struct.pack('!HHHHH', 0x8183, 1, 0, 0, 0) + question
    if host in TRUNCATED and not tcp:
        return ident + struct.pack('!HHHHH', 0x8380, 1, 0, 0, 0) + question
    return ident + struct.pack('!HHHHH', 0x8180, 1, len(records), 0, 0) + question + b''.join(records)


def serve_udp(s):
    while True:
        packet, peer = s.recvfrom(4096)
        reply = answer(packet, False)
        if reply is not None:
            s.sendto(reply, peer)


def recv_exact(c, n):
    data = b''
    while len(data) < n:
        got = c.recv(n - len(data))
        if not got:
            return data
        data += got
    return data


def serve_tcp_one(c):
    try:
        while True:
            head = recv_exact(c, 2)
            if len(head) < 2:
                break
            packet = recv_exact(c, struct.unpack('!H', head)[0])
            host = parse_question(packet)[0]
            if host == 'tcsilent.test':
                time.sleep(30)
            if host == 'tcclose.test':
                break
            if host == 'tcdrip.test':
                c.sendall(b'\xff')
                for _ in range(30):
                    time.sleep(1)
                    c.sendall(b'\xff')
            reply = answer(packet, True)
            if reply is not None:
                c.sendall(struct.pack('!H', len(reply)) + reply)
    except OSError:
        pass
    c.close()


def serve_tcp(s):
    while True:
        c, _ = s.accept()
        threading.Thread(target=serve_tcp_one, args=(c,), daemon=True).start()


def serve_mute(s):
    """Takes packets and connections and says nothing."""
    while True:
        s.recvfrom(4096)


def listen(s):
    while True:
        c, _ = s.accept()
        c.close()


def udp(address):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((address, 53))
    return s


def tcp(address, port, family=socket.AF_INET):
    return socket.create_server((address, port), family=family, backlog=16)


class Net:
    def __init__(self, folder):
        self.folder = folder
        for file, text in (('resolv.conf', ''), ('hosts', '127.0.0.9 filed.test\n'),
                           ('nsswitch.conf', 'hosts: files dns\n')):
            self.write(file, text)
            target = '/etc/' + file
            if not os.path.exists(target):
                open(target, 'a').close()
            subprocess.check_call(['mount', '--bind', os.path.join(folder, file), target])
        for line in ('ip link set lo up', 'ip link add dead0 type veth peer name dead1',
                     'ip addr add 10.9.9.1/24 dev dead0', 'ip link set dead0 up',
                     'ip link set dead1 up',
                     # known to be there, and never answering
                     'ip neigh add 10.9.9.2 lladdr 02:00:00:00:00:02 dev dead0 nud permanent',
                     'ip neigh add 10.9.9.3 lladdr 02:00:00:00:00:03 dev dead0 nud permanent'):
            subprocess.check_call(line.split())
        for target, s in ((serve_udp, udp('127.0.0.53')), (serve_tcp, tcp('127.0.0.53', 53)),
                          (serve_mute, udp('127.0.0.54')), (serve_mute, udp('127.0.0.55')),
                          (listen, tcp('0.0.0.0', 5000)),
                          (listen, tcp('::1', 5000, socket.AF_INET6))):
            threading.Thread(target=target, args=(s,), daemon=True).start()

    def write(self, file, text):
        with open(os.path.join(self.folder, file), 'w') as f:
            f.write(text)


def case(what, host, expect, within=None, port=5000, floor=0, ms=None):
    """expect: every one of these texts must be in the probe's answer."""
    argv = [PROBE, host, str(port), str(floor)] + ([str(ms)] if ms else [])
    began = time.monotonic()
    run = subprocess.run(argv, stdout=subprocess.PIPE, timeout=60, universal_newlines=True)
    took = time.monotonic() - began
    out = run.stdout.strip()
    good = run.returncode == 0 and all(e in out for e in expect) and took <= (within or 12) + SLACK
    print('%s %-34s %5.2f s  %s\n' % ('ok  ' if good else 'FAIL', what, took, out), end='')
    sys.stdout.flush()
    return good


GOOD = 'nameserver 127.0.0.53\n'
# Each group runs in namespaces of its own: resolv.conf, and its cases, all at once.
GROUPS = {
    'good': (GOOD, [
        lambda: case('A', 'a.test', ['ok 0 127.0.0.1:5000'], 1),
        lambda: case('AAAA', 'six.test', ['ok 0 [::1]:5000'], 1),
        lambda: case('both', 'both.test', ['ok 0 '], 1),
        lambda: case('hosts file', 'filed.test', ['ok 0 127.0.0.9:5000'], 1),
        lambda: case('CNAME chain', 'chain.test', ['ok 0 127.0.0.1:5000'], 1),
        lambda: case('CNAME loop', 'loop.test', ['error 5', 'cannot resolve loop.test'], 3),
        lambda: case('CNAME to itself', 'self.test', ['error 5', 'cannot resolve self.test'], 3),
        lambda: case('TC, then TCP', 'big.test', ['ok 0 127.0.0.1:5000'], 2),
        lambda: case('1000 addresses', 'many.test', ['ok 0 127.1.'], 5),
        lambda: case('NXDOMAIN', 'none.test', ['error 5', 'NXDOMAIN'], 1),
        lambda: case('no address', 'nodata.test', ['error 5', 'has no IPv4 or IPv6 address'], 1),
        lambda: case('rcode', 'servfail.test', ['error 5', 'answers with a failure'], 3),
        lambda: case('rcode', 'refused.test', ['error 5', 'answers with a failure'], 3),
        lambda: case('rcode', 'notimp.test', ['error 5', 'answers with a failure'], 3),
        lambda: case('answer for another name', 'other.test', ['error']),
        lambda: case('record without bytes', 'bare.test', ['error']),
        lambda: case('record longer than packet', 'hugerdata.test', ['error']),
        lambda: case('compression pointer onward', 'pointer.test', ['error']),
        lambda: case('3 bytes', 'garbage.test', ['error']),
        lambda: case('noise', 'noise.test', ['error']),
        lambda: case('wrong id', 'wrongid.test', ['error 5', 'no name server answered']),
        lambda: case('silence', 'silent.test', ['error 5', 'no name server answered']),
        lambda: case('silence, 1 s allowed', 'silent.test', ['error 5', 'answered within 1.'], 2, ms=1000),
        lambda: case('TC, TCP silent', 'tcsilent.test', ['error 5', 'no name server answered']),
        lambda: case('TC, TCP drips', 'tcdrip.test', ['error 5', 'no name server answered']),
        lambda: case('TC, TCP closes', 'tcclose.test', ['error']),
        # addresses
        lambda: case('literal', '127.0.0.1', ['ok 0 127.0.0.1:5000'], 1),
        lambda: case('literal v6', '::1', ['ok 0 [::1]:5000'], 1),
        lambda: case('metadata', 'meta.test', ['error 5', '169.254.169.254', 'metadata'], 1),
        lambda: case('metadata literal', '169.254.169.254', ['error 5', 'metadata'], 1),
        lambda: case('mapped metadata', 'mapped.test', ['error 5', 'metadata'], 1),
        lambda: case('link-local', 'linklocal.test', ['error 5', 'link-local'], 1),
        lambda: case('0.0.0.0', 'zero.test', ['error 5', '0.0.0.0'], 1),
        lambda: case('metadata passed over', 'rebind.test', ['ok 0 127.0.0.1:5000'], 2),
        lambda: case('floor private, loopback', 'a.test', ['error 5', 'loopback'], 1, floor=1),
        lambda: case('floor public, loopback', 'a.test', ['error 5', 'loopback'], 1, floor=2),
        lambda: case('floor public, nat64', 'nat64.test', ['error 5', 'loopback'], 1, floor=2),
        lambda: case('floor private, private', 'private.test', ['ok 1 10.9.9.1:5000'], 1, floor=1),
        lambda: case('floor public, private', 'private.test', ['error 5', 'private'], 1, floor=2),
        # connecting
        lambda: case('refused', 'a.test', ['error 5', 'Connection refused', '127.0.0.1:5001'], 1, port=5001),
        lambda: case('dropped', 'dropped.test', ['error 5', 'none of 2 addresses']),
        lambda: case('dropped, then good', 'halfdropped.test', ['ok 0 127.0.0.1:5000'], 2),
        lambda: case('dropped, 1 s allowed', 'dropped.test', ['error 5', 'none of 2 addresses'], 2, ms=1000),
    ]),
    'search': ('search corp.test x.test\n' + GOOD, [
        lambda: case('search list', 'short', ['ok 0 127.0.0.1:5000'], 1),
    ]),
    'first_dead': ('nameserver 127.0.0.54\n' + GOOD, [
        lambda: case('first server dead', 'a.test', ['ok 0 127.0.0.1:5000'], 6),
    ]),
    'three_dead': ('options timeout:30 attempts:5\nsearch a b c d e f\n'
                   'nameserver 127.0.0.54\nnameserver 127.0.0.55\nnameserver 10.9.9.2\n', [
        lambda: case('three dead, long timeouts', 'registry', ['error 5', 'no name server answered']),
    ]),
    'black_hole': ('options use-vc timeout:30\nnameserver 10.9.9.2\n', [
        lambda: case('TCP to a black hole', 'a.test', ['error 5', 'no name server answered']),
    ]),
    'nobody': ('nameserver 127.0.0.99\n', [
        lambda: case('nobody at the port', 'a.test', ['error 5', 'within reach: Connection refused'], 3),
    ]),
    'no_route': ('nameserver 10.200.0.1\n', [
        lambda: case('no route', 'a.test', ['error 5', 'within reach: Network is unreachable'], 3),
        # never asks, even with a server that lies
        lambda: case('localhost', 'localhost', ['ok 0 '], 1),
        lambda: case('under localhost', 'x.localhost', ['ok 0 '], 1),
    ]),
}


def inside(group):
    conf, cases = GROUPS[group]
    with tempfile.TemporaryDirectory() as folder:
        net = Net(folder)
        net.write('resolv.conf', conf)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            return all([f.result() for f in [pool.submit(c) for c in cases]])


def main():
    if os.getuid() != 0:
        print('needs root')
        return 77
    if len(sys.argv) > 2:
        return 0 if inside(sys.argv[2]) else 1
    runs = [subprocess.Popen(['unshare', '-n', '-m', '--propagation', 'private', sys.executable,
                              os.path.abspath(__file__), PROBE, group]) for group in GROUPS]
    return 1 if any([run.wait() for run in runs]) else 0


if __name__ == '__main__':
    sys.exit(main())

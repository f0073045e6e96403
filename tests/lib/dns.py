"""A DNS server for tests: answers by a table, over UDP and TCP.

The table maps a name to a list of ("A", address), ("AAAA", address), ("CNAME", name), or to one
of the words "servfail", "silent", "truncated" (then the list under name + "/tcp"), "other" (an
answer for another name), "many" (a thousand addresses), or to a function that gives one of these.
"""
import contextlib
import socket
import struct
import threading

A, CNAME, AAAA = 1, 5, 28
KINDS = {"A": A, "CNAME": CNAME, "AAAA": AAAA}


def labels(name):
    return b"".join(bytes([len(p)]) + p.encode() for p in name.split(".") if p) + b"\0"


def record(name, kind, value):
    if kind == "CNAME":
        data = labels(value)
    else:
        data = socket.inet_pton(socket.AF_INET if kind == "A" else socket.AF_INET6, value)
    return labels(name) + struct.pack(">HHIH", KINDS[kind], 1, 30, len(data)) + data


def question(query):
    at, parts = 12, []
    while query[at]:
        parts.append(query[at + 1:at + 1 + query[at]].decode("latin-1"))
        at += 1 + query[at]
    return ".".join(parts).lower(), struct.unpack_from(">H", query, at + 1)[0], query[12:at + 5]


class Server:
    def __init__(self, table, address="127.0.0.1", port=53):
        self.table, self.asked = table, []
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((address, port))
        self.tcp = socket.socket()
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.tcp.bind((address, port))
        self.tcp.listen(8)
        for target in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=target, daemon=True).start()

    def stop(self):
        """Shutting down wakes whoever waits, closing does not."""
        for sock in (self.udp, self.tcp):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def serve_udp(self):
        while True:
            try:
                query, peer = self.udp.recvfrom(4096)
            except OSError:
                return
            if not query:
                return
            reply = self.answer(query, "udp")
            if reply:
                self.udp.sendto(reply, peer)

    def serve_tcp(self):
        while True:
            try:
                conn, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self.serve_connection, args=(conn,), daemon=True).start()

    def serve_connection(self, conn):
        """Several queries, as glibc asks for A and AAAA on one connection."""
        with conn:
            while len(size := conn.recv(2, socket.MSG_WAITALL)) == 2:
                query = conn.recv(struct.unpack(">H", size)[0], socket.MSG_WAITALL)
                reply = self.answer(query, "tcp")
                if reply:
                    conn.sendall(struct.pack(">H", len(reply)) + reply)

    def answer(self, query, way):
        name, kind, asked = question(query)
        self.asked.append((name, kind, way))
        entry = self.table.get(name)
        entry = entry() if callable(entry) else entry
        if entry == "truncated" and way == "tcp":
            entry = self.table[name + "/tcp"]
        if entry == "silent":
            return None
        if entry == "servfail":
            return self.reply(query, asked, [], 2)
        if entry is None:
            return self.reply(query, asked, [], 3)
        if entry == "truncated":
            return self.reply(query, asked, [], 0, 0x0200)
        if entry == "other":
            return self.reply(query, asked, [record("other.test", "A", "127.0.0.1")])
        if entry == "many":
            entry = [("A", "10.9.%d.%d" % divmod(i, 250)) for i in range(1000)]
        return self.reply(query, asked, self.chain(name, kind, entry))

    def chain(self, name, kind, entry):
        found = []
        for what, value in entry:
            if what == "CNAME":
                found.append(record(name, what, value))
                if isinstance(self.table.get(value), list) and value != name and len(found) < 9:
                    found += self.chain(value, kind, [
                        e for e in self.table[value] if e[0] != "CNAME"])
            elif KINDS[what] == kind:
                found.append(record(name, what, value))
        return found

    def reply(self, query, asked, records, code=0, flags=0):
        head = query[:2] + struct.pack(">HHHHH", 0x8180 | flags | code, 1, len(records), 0, 0)
        return head + asked + b"".join(records)

"""Tar archives written byte by byte, so that a test can say exactly what a header holds.

Python's own tarfile is too polite: it refuses or repairs what a hostile layer would contain.
Names and link targets are bytes (text is encoded as UTF-8). What does not fit a ustar field goes
into a PAX header, unless the caller asks for GNU forms or raw fields.
"""
import os
import stat

BLOCK = 512
REG, HARD, SYM, CHR, BLK, DIR, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"


def as_bytes(text):
    return text if isinstance(text, bytes) else str(text).encode()


def octal(value, width):
    return b"%0*o\0" % (width - 1, value)


def base256(value, width):
    return (value % (1 << (8 * width)) | 1 << (8 * width - 1)).to_bytes(width, "big")


def pax_record(key, value):
    body = b" " + as_bytes(key) + b"=" + as_bytes(value) + b"\n"
    length = len(body) + 1
    while len(str(length)) + len(body) != length:
        length = len(str(length)) + len(body)
    return str(length).encode() + body


def padded(data):
    return data + bytes(-len(data) % BLOCK)


def header(name, kind=REG, mode=0o644, uid=0, gid=0, size=0, mtime=0, link=b"", major=0,
           minor=0, prefix=b"", magic=b"ustar\x0000", uname=b"", gname=b"", fields=None):
    """One 512 byte header. `fields` maps (offset, width) to raw bytes written over it; the
    checksum is computed last unless fields has the key "checksum"."""
    block = bytearray(BLOCK)

    def put(offset, width, value):
        value = as_bytes(value)[:width]
        block[offset:offset + len(value)] = value

    put(0, 100, name)
    put(100, 8, octal(mode, 8))
    put(108, 8, octal(uid, 8) if 0 <= uid < 8 ** 7 else base256(uid, 8))
    put(116, 8, octal(gid, 8) if 0 <= gid < 8 ** 7 else base256(gid, 8))
    put(124, 12, octal(size, 12) if 0 <= size < 8 ** 11 else base256(size, 12))
    put(136, 12, octal(mtime, 12) if 0 <= mtime < 8 ** 11 else base256(mtime, 12))
    put(156, 1, kind)
    put(157, 100, link)
    put(257, 8, magic)
    put(265, 32, uname)
    put(297, 32, gname)
    if kind in (CHR, BLK):
        put(329, 8, octal(major, 8))
        put(337, 8, octal(minor, 8))
    put(345, 155, prefix)
    for place, value in (fields or {}).items():
        if place != "checksum":
            put(place[0], place[1], value)
    block[148:156] = b" " * 8
    put(148, 8, (fields or {}).get("checksum", b"%06o\0 " % sum(block)))
    return bytes(block)


class Tar:
    """Writes entries to `out` (anything with write), or collects them in memory."""

    def __init__(self, out=None):
        self.parts = [] if out is None else None
        self.out = out

    def raw(self, data):
        if self.parts is not None:
            self.parts.append(bytes(data))
        else:
            self.out.write(data)
        return self

    def pax(self, records, kind=b"x", name=b"PaxHeaders.0/x"):
        body = b"".join(pax_record(k, v) for k, v in records)
        self.raw(header(name, kind, size=len(body)))
        return self.raw(padded(body))

    def gnu_long(self, text, kind=b"L"):
        body = as_bytes(text) + b"\0"
        self.raw(header(b"././@LongLink", kind, size=len(body), magic=b"ustar  \0"))
        return self.raw(padded(body))

    def add(self, name, data=b"", kind=REG, mode=0o644, uid=0, gid=0, mtime=1000000000, link=b"",
            major=0, minor=0, xattrs=None, pax=(), fields=None, size=None, form="pax"):
        """mtime is an integer or text such as "12.000000345". size overrides len(data) in the
        header only. form "gnu" uses L and K blocks and base-256 instead of PAX records."""
        name, link, data = as_bytes(name), as_bytes(link), as_bytes(data)
        records = list(pax)
        seconds = int(str(mtime).split(".")[0])
        length = len(data) if size is None else size
        if form == "pax":
            if len(name) > 100:
                records.append(("path", name))
            if len(link) > 100:
                records.append(("linkpath", link))
            for key, value in (("uid", uid), ("gid", gid)):
                if value >= 8 ** 7:
                    records.append((key, value))
            if "." in str(mtime):
                records.append(("mtime", mtime))
            if length >= 8 ** 11:
                records.append(("size", length))
        else:
            if len(name) > 100:
                self.gnu_long(name, b"L")
            if len(link) > 100:
                self.gnu_long(link, b"K")
        for key, value in (xattrs or {}).items():
            records.append((b"SCHILY.xattr." + as_bytes(key), value))
        if records:
            self.pax(records)
        if form == "pax":
            uid, gid = (i if i < 8 ** 7 else 0 for i in (uid, gid))
        self.raw(header(name, kind, mode, uid, gid, length if length < 8 ** 11 else 0, seconds,
                        link, major, minor, fields=fields))
        return self.raw(padded(data))

    def dir(self, name, mode=0o755, **more):
        return self.add(as_bytes(name).rstrip(b"/") + b"/", kind=DIR, mode=mode, **more)

    def symlink(self, name, target, **more):
        return self.add(name, kind=SYM, mode=0o777, link=target, **more)

    def hardlink(self, name, target, **more):
        return self.add(name, kind=HARD, link=target, **more)

    def fifo(self, name, **more):
        return self.add(name, kind=FIFO, **more)

    def device(self, name, kind=CHR, major=1, minor=3, **more):
        return self.add(name, kind=kind, major=major, minor=minor, **more)

    def whiteout(self, path, **more):
        folder, _, base = as_bytes(path).rpartition(b"/")
        return self.add((folder + b"/" if folder else b"") + b".wh." + base, mode=0, **more)

    def opaque(self, folder, **more):
        return self.add(as_bytes(folder).rstrip(b"/") + b"/.wh..wh..opq", mode=0, **more)

    def sparse(self, name, size, regions, **more):
        """PAX 1.0 sparse file: regions is [(offset, bytes)]."""
        table = b"%d\n" % len(regions)
        for offset, data in regions:
            table += b"%d\n%d\n" % (offset, len(data))
        body = padded(table) + b"".join(data for _, data in regions)
        records = [("GNU.sparse.major", 1), ("GNU.sparse.minor", 0), ("GNU.sparse.name", name),
                   ("GNU.sparse.realsize", size)]
        return self.add(b"GNUSparseFile.0/" + as_bytes(name)[:80], body, pax=records, **more)

    def end(self):
        return self.raw(bytes(2 * BLOCK))

    def bytes(self):
        return b"".join(self.parts)


def add_tree(tar, root, skip=(), only=()):
    """Every node below the directory `root`, names sorted. An overlay upper directory's markers
    become their OCI form: character device 0:0 a whiteout, trusted.overlay.opaque an opaque one.
    `skip` names directories whose content (not the directory) is left out; `only`: just these
    directories and what leads to them."""
    root, seen, led = as_bytes(root), {}, set()

    def walk(folder):
        for entry in sorted(os.scandir(os.path.join(root, folder) if folder else root),
                            key=lambda e: e.name):
            path = os.path.join(folder, entry.name) if folder else entry.name
            add_node(tar, root, path, seen)
            if entry.is_dir(follow_symlinks=False) and path not in skip:
                walk(path)

    for place in only:
        parts = place.split(b"/")
        for depth in range(1, len(parts) + 1):
            path = b"/".join(parts[:depth])
            if path not in led and os.path.isdir(os.path.join(root, path)):
                led.add(path)
                add_node(tar, root, path, seen)
        if place in led:
            walk(place)
    if not only:
        walk(b"")


def add_node(tar, root, path, seen):
    full = os.path.join(root, path)
    st = os.lstat(full)
    meta = dict(mode=stat.S_IMODE(st.st_mode), uid=st.st_uid, gid=st.st_gid,
                mtime="%d.%09d" % divmod(st.st_mtime_ns, 10 ** 9))
    if stat.S_ISCHR(st.st_mode) and st.st_rdev == 0:
        tar.whiteout(path)
        return
    if stat.S_ISDIR(st.st_mode):
        xattrs = read_xattrs(full)
        opaque = xattrs.pop(b"trusted.overlay.opaque", None)
        tar.dir(path, xattrs=drop_overlay(xattrs), **meta)
        if opaque == b"y":
            tar.opaque(path)
        return
    if st.st_nlink > 1:
        first = seen.setdefault((st.st_dev, st.st_ino), path)
        if first is not path:
            tar.hardlink(path, first, **meta)
            return
    if stat.S_ISLNK(st.st_mode):
        del meta["mode"]
        tar.symlink(path, os.readlink(full), **meta)
    elif stat.S_ISREG(st.st_mode):
        with open(full, "rb") as file:
            tar.add(path, file.read(), xattrs=drop_overlay(read_xattrs(full)), **meta)
    elif stat.S_ISFIFO(st.st_mode):
        tar.fifo(path, **meta)
    elif stat.S_ISCHR(st.st_mode) or stat.S_ISBLK(st.st_mode):
        tar.device(path, CHR if stat.S_ISCHR(st.st_mode) else BLK, os.major(st.st_rdev),
                   os.minor(st.st_rdev), **meta)


def read_xattrs(path):
    names = os.listxattr(path, follow_symlinks=False)
    return {os.fsencode(n): os.getxattr(path, n, follow_symlinks=False) for n in names}


def drop_overlay(xattrs):
    return {k: v for k, v in xattrs.items()
            if not k.startswith((b"trusted.overlay.", b"security.selinux"))}


def file_capability(permitted, effective=True, version=2):
    """The value of security.capability: permitted is a bit mask below 2^32."""
    import struct
    magic = (version << 24) | (1 if effective else 0)
    return struct.pack("<IIIII", magic, permitted, 0, 0, 0)

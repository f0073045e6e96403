"""Hostile layers: archives that climb out, lie about their structure, or never end."""
import os
import shutil

from harness import test
from common import Ground
import images
import mkimage
from mkimage import Blob, Image, Layer, layer, sha256
from stores import tree
from tarmake import BLK, CHR, DIR, HARD, REG, SYM, Tar, header, pax_record

CONTENT = 7


class Sentinel:
    """A tree around the store that must never change."""

    def __init__(self, t):
        self.root = t.folder + "/outside"
        shutil.rmtree(self.root, ignore_errors=True)
        os.makedirs(self.root + "/etc")
        with open(self.root + "/etc/shadow", "w") as file:
            file.write("sentinel")
        os.mkfifo(self.root + "/canary")  # opening it would block
        self.before = tree(self.root)
        self.root_before = sorted(os.listdir("/")), os.stat("/etc").st_mtime_ns

    def check(self, t):
        t.eq(tree(self.root), self.before, "outside the store")
        t.eq((sorted(os.listdir("/")), os.stat("/etc").st_mtime_ns), self.root_before, "/")


def entry(*args, **options):
    return Tar().dir("d").add("d/ok", b"ok").add(*args, **options)


def refused_all(t, cases, says=None):
    """cases: label -> Tar or raw bytes; each a layer of its own."""
    ground, outside = Ground(t), Sentinel(t)
    for label, tar in cases.items():
        image = Image([layer(images.base(t.session)), layer(tar)])
        try:
            ground.refused(ground.serve(image), CONTENT, says=says, beside=False)
        except Exception as error:
            raise type(error)("%s: %s" % (label, error)) from error
        outside.check(t)
    ground.good_pull()


def contained_all(t, cases):
    """Accepted; nothing outside changes and every node lies in the layer's own tree."""
    outside = Sentinel(t)
    real = t.real()
    for label, (tar, expected) in cases.items():
        store, image = t.store(), Image([layer(images.base(t.session)), layer(tar)])
        t.pull(store, "-q", real.push(image, "attack/contained"))
        found = tree(store.diff(store.chain(image.id)[1]["id"]))
        for path, facts in expected.items():
            t.ok(path in found, label, "lacks", path, sorted(found))
            for fact, value in facts.items():
                t.eq(found[path].get(fact), value, "%s: %s of %r" % (label, fact, path))
        outside.check(t)


@test
def names_that_climb(t):
    out = "../" * 12 + t.folder.lstrip("/") + "/outside/etc/shadow"
    refused_all(t, {
        "dotdot": entry("../x", b"x"), "inner": entry("a/../../x", b"x"),
        "harmless": entry("a/b/../c", b"x"), "end": entry("d/..", kind=DIR),
        "far": entry(out, b"x"), "hard": Tar().hardlink("h", out),
        "hard2": Tar().hardlink("h", "../outside/etc/shadow"),
        "whiteout": Tar().add(".wh.."), "whiteout2": Tar().add(".wh..."),
        "whiteout3": Tar().add("d/.wh."), "pax": Tar().add("x", b"x", pax=[("path", "../y")]),
        "nul": Tar().add("x", b"x", pax=[("path", b"a\0../b")]),
    })


@test
def links_that_lead_out(t):
    """A symlink's target is resolved inside the root or refused; a hard link's never leaves it."""
    shadow = t.folder + "/outside/etc"
    ground, outside = Ground(t), Sentinel(t)
    tars = [Tar().symlink("d", shadow).add("d/x", b"x"),
            Tar().symlink("d", "../" * 20 + shadow.lstrip("/")).add("d/x", b"x"),
            Tar().symlink("d", "/").add("d/%s/x" % shadow.lstrip("/"), b"x"),
            Tar().symlink("a", "b").symlink("b", shadow).add("a/x", b"x"),
            Tar().symlink("f", shadow + "/shadow").add("f", b"overwritten"),
            Tar().symlink("f", shadow + "/shadow").hardlink("g", "f", mode=0o4777),
            Tar().symlink("l", "/").whiteout("l/etc"),
            Tar().dir("d", mode=0o700).symlink("d", shadow),
            Tar().symlink("d", shadow).dir("d", mode=0o777),
            Tar().symlink("loop", "loop").add("loop/x", b"x"),
            Tar().symlink("proc", "/proc/self/root").add("proc/x", b"x"),
            Tar().symlink("fd", "/proc/self/fd/3").add("fd/x", b"x")]
    for number, tar in enumerate(tars):
        image = Image([layer(images.base(t.session)), layer(tar)])
        store = t.store()
        result = t.pull(store, "-q", ground.serve(image), expect=[0, CONTENT])
        t.ok(result.code == 0 or not store.images(), "case", number)
        outside.check(t)
    ground.good_pull()


@test
def hard_links_to_what_is_not_there(t):
    refused_all(t, {
        "shadow": Tar().hardlink("h", "/etc/shadow"), "absent": Tar().hardlink("h", "nowhere"),
        "lower": Tar().hardlink("h", "etc/passwd"), "self": Tar().hardlink("h", "h"),
        "later": Tar().hardlink("h", "z").add("z", b"z"), "dir": Tar().dir("d").hardlink("h", "d"),
        "data": Tar().add("a", b"a").add("h", b"x" * 512, kind=HARD, link="a"),
        "pax data": Tar().add("a", b"a").add("h", b"", kind=HARD, link="a",
                                             pax=[("size", "512")]).add("hidden", b"h"),
    })


@test
def types_and_sizes(t):
    refused_all(t, {
        "unknown": entry("x", kind=b"Q"), "gnu volume": entry("x", kind=b"V"),
        "multi": entry("x", kind=b"M"), "old sparse": entry("x", kind=b"S"),
        "sized dir": entry("x/", b"x" * 512, kind=DIR), "sized link": entry(
            "x", b"x" * 512, kind=SYM, link="y"), "sized device": entry("x", b"y" * 512, kind=CHR),
        "overlay whiteout": entry("x", kind=CHR, major=0, minor=0),
        "size beyond": entry("x", b"abc", size=4096), "size 2^60": entry("x", size=1 << 60),
        "size negative": Tar().raw(header("x", fields={(124, 12): b"\xff" * 12})),
        "size text": Tar().raw(header("x", fields={(124, 12): b"12x4567\0"})),
        "pax size less": entry("x", b"y" * 600, pax=[("size", "10")]),
        "pax size more": entry("x", b"y" * 10, pax=[("size", "5000")]),
        "checksum": Tar().add("a", b"a").raw(header("x", fields={"checksum": b"000001\0 "})),
        "magic": Tar().raw(b"garbage" * 100),
    })


@test
def pax_headers(t):
    def record(body):
        return Tar().raw(header("p", b"x", size=len(body))).raw(body + bytes(-len(body) % 512)) \
            .add("x", b"x")
    good = pax_record("comment", "y")
    refused_all(t, {
        "length 0": record(b"0 a=b\n"), "short": record(b"5 path=abcdef\n"),
        "long": record(b"900 path=abc\n"), "no equals": record(b"9 pathx\n"),
        "no newline": record(b"10 path=ab"), "text": record(b"xx path=ab\n"),
        "big number": record(b"9999999999999999999999 a=b\n"),
        "empty path": record(pax_record("path", "")), "mtime": record(pax_record("mtime", "x")),
        "no entry": Tar().add("a", b"a").pax([("path", "b")]),
        "uid": record(pax_record("uid", str(1 << 33))), "value": record(
            pax_record("comment", "a" * (1 << 21))), "size": record(pax_record("size", "-5")),
        "future": record(pax_record("mtime", str((1 << 33) + 1))),
        "truncated": good[:5],
    })


@test
def ends_of_archives(t):
    one = Tar().add("a", b"a")
    refused_all(t, {
        "one zero block, then data": Tar().add("a", b"a").raw(bytes(512)).add("b", b"b"),
        "cut in a header": one.bytes()[:300], "cut in a payload": Tar().add(
            "b", b"b" * 5000).bytes()[:2000],
        "duplicate": Tar().add("a", b"1").add("a", b"2"),
        "duplicate dotted": Tar().add("a", b"1").add("./a", b"2"),
        "duplicate link": Tar().add("a", b"1").add("b", b"").symlink("a", "b"),
    })


@test
def limits_of_names(t):
    """255 bytes a component, 4,095 a path, 128 deep: N is fine, N + 1 is not."""
    def deep(depth):
        return "/".join(["d"] * (depth - 1)) + "/f"
    contained_all(t, {
        "component": (Tar().add("c" * 255, b"x"), {b"c" * 255: {"size": 1}}),
        "depth": (Tar().add(deep(128), b"x"), {deep(128).encode(): {"size": 1}}),
    })
    refused_all(t, {"component": Tar().add("c" * 256, b"x"), "depth": Tar().add(deep(129), b"x"),
                    "path": Tar().add(("c" * 249 + "/") * 17 + "x", b"x"),
                    "target": Tar().symlink("l", "x" * 4096)})


@test
def metadata_that_must_not_arrive(t):
    """Setuid stays; overlay's own markers, foreign namespaces and device nodes do not."""
    real, store = t.real(), t.store()
    tar = Tar()
    evil = {"trusted.overlay.redirect": b"/etc", "trusted.overlay.metacopy": b"",
            "trusted.overlay.opaque": b"y", "user.overlay.redirect": b"x", "trusted.x": b"y",
            "security.selinux": b"s", "security.ima": b"i", "user.containers.override_stat": b"0"}
    tar.dir("d", xattrs=evil).add("d/f", b"f", xattrs=evil)
    tar.device("d/sda", BLK, 8, 0).device("d/mem", CHR, 1, 1).add("d/suid", b"s", mode=0o6755)
    image = Image([layer(images.base(t.session)), layer(tar)])
    t.pull(store, real.push(image, "attack/metadata"))
    found = tree(store.diff(store.chain(image.id)[1]["id"]))
    for path in (b"d", b"d/f"):
        t.eq(found[path]["xattrs"], {}, "xattrs")
    t.eq(found[b"d/suid"]["mode"], "0o6755", "setuid file")
    t.ok(b"d/sda" not in found and b"d/mem" not in found, "device nodes", sorted(found))


@test
def the_root_entry_changes_nothing(t):
    real = t.real()
    for name, kind in (("./", DIR), (".", DIR)):
        store, tar = t.store(), Tar()
        tar.add(name, kind=kind, mode=0o4777, uid=1000, xattrs={"user.x": b"1"}).add("f", b"f")
        image = Image([layer(tar)])
        t.pull(store, real.push(image, "attack/root"))
        st = os.stat(store.diff(store.layers()[0]["id"]))
        t.eq((oct(st.st_mode & 0o7777), st.st_uid), ("0o555", 0), "diff")
    refused_all(t, {"link": Tar().symlink(".", "/etc"), "file": Tar().add("./", b"", kind=REG),
                    "fifo": Tar().fifo(".")})


@test
def diffid_mismatch(t):
    ground = Ground(t)
    good = layer(images.base(t.session))
    wrong = Layer(good.blob, sha256(b"other"), "gzip", good.diff_size, good.tar)
    ground.refused(ground.serve(Image([wrong])), CONTENT, says="diff")


@test
def compression_that_lies(t):
    ground, tar = Ground(t), images.base(t.session).end().bytes()
    packed = mkimage.gzip_member(tar)
    cases = {"plain as gzip": (tar, "gzip"), "gzip as plain": (packed, "none"),
             "gzip as zstd": (packed, "zstd"), "zstd as gzip": (mkimage.zstd(tar), "gzip"),
             "cut": (packed[:-20], "gzip"), "crc": (packed[:-8] + b"\0\0\0\0" + packed[-4:],
                                                     "gzip"),
             "junk": (packed + b"junk" * 200, "gzip"), "zeros": (packed + bytes(512), "gzip"),
             "bzip2": (b"BZh91AY&SY" + bytes(100), "gzip"), "xz": (b"\xfd7zXZ\0" + bytes(99),
                                                                   "gzip"),
             "cut zstd": (mkimage.zstd(tar)[:-30], "zstd"),
             "window": (mkimage.zstd(tar * 2, "--ultra", "-22", "--long=31", "--no-check"), "zstd"),
             "dictionary": (b"\x28\xb5\x2f\xfd\x03\x00\x01\x02\x03\x04" + bytes(20), "zstd")}
    for label, (data, form) in cases.items():
        bad = Layer(Blob(data), sha256(tar if label != "window" else tar * 2), form)
        if label == "window" and window_log(data) <= 27:
            continue
        try:
            ground.refused(ground.serve(Image([bad])), CONTENT, beside=False)
        except Exception as error:
            raise type(error)("%s: %s" % (label, error)) from error
    ground.good_pull()


def window_log(frame):
    """From a zstd frame's header; 0 for a single segment."""
    return 0 if frame[4] & 0x20 else 10 + (frame[5] >> 3)


@test
def windows_of_zstd(t):
    """2^27 is decoded, 2^28 is refused: header bytes set by hand."""
    ground, tar = Ground(t), images.base(t.session).end().bytes()

    def frame(log):
        """One raw-block frame: magic, descriptor 0, window byte, blocks."""
        out, at = b"\x28\xb5\x2f\xfd\x00" + bytes([(log - 10) << 3]), 0
        while at < len(tar):
            piece = tar[at:at + (1 << 17)]
            at += len(piece)
            out += (len(piece) << 3 | (at >= len(tar))).to_bytes(3, "little") + piece
        return out

    for log, good in ((27, True), (28, False), (41, False)):
        image = Image([Layer(Blob(frame(log)), sha256(tar), "zstd", len(tar), tar)])
        if good:
            t.pull(t.store(), "-q", ground.serve(image))
        else:
            ground.refused(ground.serve(image), CONTENT, beside=False)
    ground.good_pull()


@test
def bombs(t):
    """1000:1 beyond 256 MiB ends; a sparse file of 8 EiB and ten thousand holes end at once."""
    import zlib
    ground = Ground(t, disk=True)
    packer, parts = zlib.compressobj(9, zlib.DEFLATED, 31), []
    size = 3 << 30
    parts.append(packer.compress(header("bomb", size=size)))
    zeros = bytes(1 << 20)
    for _ in range(size >> 20):
        parts.append(packer.compress(zeros))
    parts.append(packer.compress(bytes(1024)) + packer.flush())
    data = b"".join(parts)
    ratio = size / len(data)
    t.ok(ratio > 1000, "the bomb's ratio is only", ratio)
    ground.refused(ground.serve(Image([Layer(Blob(data), sha256(b""), "gzip", size)])), CONTENT,
                   beside=False, timeout=120)
    holes = Tar().sparse("s", (1 << 63) - 1, [(0, b"x" * 512)])
    ground.refused(ground.serve(Image([layer(holes)])), [6, CONTENT], beside=False)
    regions = Tar().sparse("s", 1 << 40, [(i << 20, b"") for i in range(65537)])
    ground.refused(ground.serve(Image([layer(regions)])), [6, CONTENT])


@test
def a_layer_of_many_owners(t):
    """4,096 distinct owners are recorded, 4,097 refused."""
    def owners(count):
        tar = Tar()
        for i in range(count):
            tar.add("o%d" % i, uid=i)
        return Image([layer(tar)])
    t.pull(t.store(), "-q", t.real().push(owners(4096), "attack/owners"))
    ground = Ground(t)
    ground.refused(ground.serve(owners(4097)), CONTENT, says="owner")


@test
def traps_for_those_who_read_the_image(t):
    """A fifo for /etc/passwd, links into /proc: nothing of ours opens an image's files by name."""
    real = t.real()
    tar = Tar().dir("etc").fifo("etc/passwd").symlink("etc/group", "/proc/self/fd/0")
    tar.symlink("dev", "/").symlink("proc", "/").symlink("sys", "/proc")
    store, image = t.store(), Image([layer(tar)])
    ref = real.push(image, "attack/traps")
    t.pull(store, ref, timeout=30)
    t.bulkhead(store, "inspect", ref, timeout=30)
    t.bulkhead(store, "rmi", ref, timeout=30)
    t.eq(store.strays(), [], "strays")

"""A catalogue of differently made images, by name. make(name, session) builds one."""
import os
import random
import subprocess

from mkimage import Image, Index, layer
from tarmake import BLK, Tar, file_capability

HELLO = r"""
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
int main(int argc, char **argv)
{
	struct stat st;
	if (argc == 2 && !strcmp(argv[1], "hello"))
		return puts("hello from the image") < 0;
	for (int i = 1; i < argc; i++)
		printf("%s %s\n", argv[i], lstat(argv[i], &st) ? "absent" : "present");
	return 0;
}
"""


def hello(session):
    """A static program: `hello` prints a line, other arguments are paths to look for."""
    path = session.work + "/hello"
    if not os.path.exists(path):
        with open(path + ".c", "w") as file:
            file.write(HELLO)
        subprocess.run(["gcc", "-Os", "-s", "-static", "-o", path, path + ".c"], check=True)
    with open(path, "rb") as file:
        return file.read()


def base(session):
    """The layer that makes an image runnable."""
    tar = Tar()
    for name in ("bin", "etc", "dev", "proc", "sys", "tmp", "usr", "usr/share", "var", "opt"):
        tar.dir(name)
    tar.add("bin/hello", hello(session), mode=0o755)
    tar.add("etc/passwd", b"root:x:0:0:root:/:/bin/hello\n")
    tar.add("etc/group", b"root:x:0:\n")
    return tar


def noise(size, seed):
    return random.Random(seed).randbytes(size)


def pool():
    """A megabyte that compresses about as well as program text does."""
    if not POOL:
        rng = random.Random(0)
        words = [rng.randbytes(rng.randint(2, 6)).hex() for _ in range(2000)]
        POOL.append(" ".join(rng.choices(words, k=130000)).encode()[:1 << 20])
    return POOL[0]


POOL = []


def text(size, seed):
    rng, data, out = random.Random(seed), pool(), []
    while size > 0:
        take, start = min(size, 3000), rng.randrange(len(data) - 3000)
        out.append(data[start:start + take])
        size -= take
    return b"".join(out)


def small_files(session, count=3000):
    layers = [layer(base(session))]
    for part in range(2):
        tar, rng = Tar(), random.Random(part)
        for folder in range(count // 100):
            tar.dir("usr/share/p%d-%d" % (part, folder), mtime="1500000000.123456789")
            for i in range(50):
                tar.add("usr/share/p%d-%d/f%d" % (part, folder, i),
                        text(rng.randint(0, 6000), i), mtime=1500000000 + i)
        layers.append(layer(tar))
    return Image(layers, cmd=["/bin/hello", "hello"])


def huge_files(session, size=24 << 20):
    tar = Tar()
    tar.add("opt/noise", noise(size, 1))
    tar.add("opt/zeros", bytes(size))
    return Image([layer(base(session)), layer(tar)], cmd=["/bin/hello", "hello"])


def whiteouts(session):
    lower = base(session)
    for name in ("gone", "emptied", "emptied2", "kept"):
        lower.dir("var/" + name)
        for i in range(3):
            lower.add("var/%s/%d" % (name, i), b"lower")
    lower.add("var/file", b"x").symlink("var/link", "file")
    upper = Tar()
    upper.dir("var").whiteout("var/gone").whiteout("var/file").whiteout("var/link", uid=7)
    upper.dir("var/emptied").opaque("var/emptied").add("var/emptied/new", b"after")
    upper.dir("var/emptied2").add("var/emptied2/new", b"before").opaque("var/emptied2")
    upper.whiteout("var/kept/1").whiteout("never/there").dir("var/gone2")
    top = Tar().dir("var/gone", mode=0o700).add("var/gone/again", b"back").add("var/file", b"y")
    return Image([layer(lower), layer(upper), layer(top)], cmd=["/bin/hello", "hello"])


def links(session):
    tar = base(session)
    tar.dir("a").dir("a/b").add("a/one", b"shared content", uid=1, gid=2)
    tar.hardlink("a/b/two", "a/one", uid=1, gid=2).hardlink("three", "./a/one", uid=3, mode=0o600)
    tar.symlink("a/sym", "one").hardlink("a/hardsym", "a/sym")
    tar.symlink("abs", "/etc/passwd").symlink("dangling", "/nowhere/at/all")
    tar.symlink("up", "../../../../etc").symlink("loop", "loop")
    tar.symlink("dirlink", "a/b").add("dirlink/through", b"through a link of this layer")
    tar.symlink("long", "x/" * 400 + "y").fifo("pipe", mode=0o640, uid=5)
    return Image([layer(tar)], cmd=["/bin/hello", "hello"])


def devices(session):
    tar = base(session)
    tar.dir("nodes").device("nodes/null").device("nodes/disk", BLK, 8, 0).fifo("nodes/fifo")
    tar.hardlink("nodes/null2", "nodes/null").add("nodes/file", b"f")
    return Image([layer(tar)], cmd=["/bin/hello", "hello"])


def xattrs(session):
    tar = base(session)
    cap = file_capability(1 << 13 | 1 << 10)
    tar.add("bin/ping", b"#!/bin/hello\n", mode=0o4755, xattrs={"security.capability": cap})
    tar.add("opt/user", b"u", xattrs={"user.one": b"1", b"user.bin": b"\0\1\xff=\n", "user.e": b""})
    tar.dir("opt/dir", xattrs={"user.dir": b"d"})
    tar.add("opt/dropped", b"d", xattrs={"user.keep": b"k", "trusted.foo": b"t"})
    return Image([layer(tar)], cmd=["/bin/hello", "hello"])


def odd_names(session):
    tar = base(session)
    for name in (b"new\nline", b"esc\x1b[31m", b"\xff\xfe\x80", "\u00fcml\u00e4ut".encode(),
                 b"x" * 255, b" lead and trail ", b"back\\slash", b"._apple", b"quote\"'`$(x)",
                 b"-rf", b"*", b".wh", b"..x", b"...", b"tab\t"):
        tar.add(b"opt/" + name, name)
    tar.add(b"./dot/slash", b"s").add(b"dou//ble", b"d").add(b"/absolute/name", b"a")
    tar.add(b"deep/" + b"d234567890/" * 100 + b"file", b"deep")
    tar.add(b"gnu/" + b"g234567890/" * 20 + b"file", b"gnu", form="gnu")
    tar.dir(b"opt/\xfe dir").add(b"opt/\xfe dir/f", b"in it")
    return Image([layer(tar)], cmd=["/bin/hello", "hello"])


def owners(session):
    tar = base(session)
    for i, owner in enumerate((0, 1000, 65534, 1 << 31, (1 << 32) - 2)):
        tar.add("opt/u%d" % i, b"u", uid=owner, gid=i).add("opt/g%d" % i, b"g", gid=owner)
        tar.dir("opt/d%d" % i, uid=owner, gid=owner)
        tar.symlink("opt/l%d" % i, "u0", uid=owner, gid=owner)
    tar.add("opt/base256", b"b", uid=3000000, gid=1 << 31, form="gnu")
    for mode in (0, 0o111, 0o4755, 0o2755, 0o1777, 0o6711, 0o7777):
        tar.add("opt/m%o" % mode, b"m", mode=mode, uid=1000, gid=1000)
    tar.dir("opt/sticky", mode=0o3777, uid=1000)
    for i, when in enumerate(("0.5", "1.000000001", "1234567890.987654321", 1 << 32)):
        tar.add("opt/t%d" % i, b"t", mtime=when).dir("opt/td%d" % i, mtime=when)
        tar.symlink("opt/tl%d" % i, "t", mtime=when)
    return Image([layer(tar)], cmd=["/bin/hello", "hello"])


def sparse(session):
    tar = base(session)
    tar.sparse("opt/sparse", 1 << 20, [(4096, b"a" * 1000), (900000, b"b" * 512)])
    tar.add("opt/after", b"after the sparse file")
    return Image([layer(tar)], cmd=["/bin/hello", "hello"])


def forms(session):
    """One layer of each compression; an archive without its end, one with junk behind it."""
    layers = [layer(base(session), "none")]
    layers.append(layer(Tar().add("opt/multi", text(300000, 3)), "gzip-multi"))
    layers.append(layer(Tar().add("opt/zstd", text(300000, 4)), "zstd"))
    layers.append(layer(Tar().add("opt/long", text(9 << 20, 5)), "zstd-long"))
    layers.append(layer(Tar().add("opt/noend", b"no end blocks").bytes()))
    layers.append(layer(Tar().add("opt/junk", b"j").end().raw(b"junk behind" * 99).bytes()))
    layers.append(layer(b""))
    return Image(layers, cmd=["/bin/hello", "hello"])


def zstd(session):
    made = small_files(session, 600)
    return Image([layer(l.tar, "zstd") for l in made.layers], cmd=["/bin/hello", "hello"])


def docker(session):
    tar = Tar().add("opt/docker", b"schema 2")
    return Image([layer(base(session)), layer(tar)], kind="docker", cmd=["/bin/hello", "hello"])


def tiny(session):
    return Image([layer(base(session))], cmd=["/bin/hello", "hello"])


def index(session):
    """Three platforms; only amd64 runs here."""
    made = [Image([layer(base(session)), layer(Tar().add("opt/" + arch, arch))], arch=arch,
                  variant=variant, cmd=["/bin/hello", "hello"])
            for arch, variant in (("arm64", "v8"), ("amd64", None), ("riscv64", None))]
    return Index(made)


def docker_list(session):
    made = [Image([layer(base(session)), layer(Tar().add("opt/" + arch, arch))], arch=arch,
                  kind="docker", cmd=["/bin/hello", "hello"]) for arch in ("s390x", "amd64")]
    return Index(made, kind="docker")


def three(session):
    """Three layers, big enough that a pull has moments to be killed in."""
    layers = [layer(base(session))]
    for part in range(3):
        tar = Tar()
        for i in range(150):
            tar.add("opt/p%d/f%d" % (part, i), text(20000, part * 1000 + i))
        layers.append(layer(tar))
    return Image(layers, cmd=["/bin/hello", "hello"])


MAKERS = {f.__name__: f for f in (
    small_files, huge_files, whiteouts, links, devices, xattrs, odd_names, owners, sparse, forms,
    zstd, docker, tiny, index, docker_list, three)}


def make(name, session):
    return MAKERS[name](session)

#!/usr/bin/python3
"""The big image: a Debian system from Debian's packages, changed by its own package tools.

Layers 1 and 2 are what debootstrap unpacks, layer 3 what its dpkg changes when packages go and
come back, layer 4 documentation that gives way (an opaque directory) and a program compiled with the
image's own compiler. As root; needs overlay mounts. Layers can be kept in CACHE, which is used
only if it is a directory of root's with mode 0700.
"""
import argparse
import ctypes
import json
import os
import shutil
import stat
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from mkimage import Blob, HashingFile, Image, Layer, push, recompress  # noqa: E402
from tarmake import Tar, add_tree  # noqa: E402

CACHE = "/var/tmp/bulkhead-cache"
INCLUDE = "python3,gcc,libc6-dev,libboost1.74-dev,python3-django"
OPTIONS = "index=off,metacopy=off,redirect_dir=off,xino=off"
EMPTY = (b"dev", b"proc", b"sys")
SECOND = (b"usr/include", b"usr/lib/gcc", b"usr/lib/python3", b"var/cache/apt/archives")
CHANGE_2 = """
dpkg --purge --force-depends python3-django
rm -rf /usr/lib/python3/dist-packages/sqlparse /usr/include/boost/spirit
dpkg --purge --force-depends tzdata
dpkg --unpack --force-depends /var/cache/apt/archives/tzdata_*.deb
rm -f /var/cache/apt/archives/*.deb
"""
CHANGE_3 = """
rm -rf /usr/share/doc
mkdir /usr/share/doc
echo 'removed' > /usr/share/doc/README
cat > /usr/local/src/hello.c <<'END'
#include <stdio.h>
int main(void)
{
	return puts("hello from a program compiled inside the image") < 0;
}
END
gcc -O2 -o /usr/local/bin/hello /usr/local/src/hello.c
"""


def say(text):
    print(text, file=sys.stderr, flush=True)


def usable_cache():
    try:
        st = os.lstat(CACHE)
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(st.st_mode) and st.st_uid == 0 and stat.S_IMODE(st.st_mode) == 0o700


def mirror():
    """Where this machine's apt gets Debian from, or debootstrap's own default."""
    out = subprocess.run(["apt-get", "indextargets", "--format", "$(SITE) $(ORIGIN) $(RELEASE)"],
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    for line in out.splitlines():
        site, _, rest = line.partition(" ")
        if "Debian" in rest and site.startswith("http") and "security" not in site:
            return [site]
    return []


def release():
    with open("/etc/os-release") as file:
        facts = dict(l.strip().split("=", 1) for l in file if "=" in l)
    return facts.get("VERSION_CODENAME", "bookworm").strip('"')


def bootstrap(work):
    target = work + "/base"
    include = INCLUDE
    if release() != "bookworm":
        include = include.replace("libboost1.74-dev", "libboost-dev")
    argv = ["debootstrap", "--variant=minbase", "--include=" + include, release(), target]
    with open(work + "/debootstrap.log", "w") as log:
        if subprocess.run(argv + mirror(), stdout=log, stderr=log).returncode:
            sys.exit("debootstrap failed:\n" + open(log.name).read()[-2000:])
    return target


def changed(work, name, lowers, script):
    """Runs the script in a chroot on an overlay of the lowers; returns the upper directory."""
    upper, inner, merged = ("%s/%s-%s" % (work, name, part) for part in ("up", "work", "merged"))
    for path in (upper, inner, merged):
        os.mkdir(path)
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", "%s,lowerdir=%s,upperdir=%s,"
                    "workdir=%s" % (OPTIONS, ":".join(lowers), upper, inner), merged], check=True)
    try:
        subprocess.run(["chroot", merged, "/bin/sh", "-e", "-c", script], check=True,
                       stdin=subprocess.DEVNULL, stdout=sys.stderr,
                       env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C",
                            "DEBIAN_FRONTEND": "noninteractive"})
    finally:
        subprocess.run(["umount", merged], check=True)
    return upper


def pack(tree, path, **which):
    file = HashingFile(path)
    tar = Tar(file)
    add_tree(tar, tree, **which)
    tar.end()
    return file.close()


def layers(folder, work):
    """Makes the layers in `folder`, with a list beside them; or reads them from there."""
    listing = folder + "/layers.json"
    if os.path.exists(listing):
        with open(listing) as file:
            return [Layer(Blob(path="%s/%s" % (folder, l["file"]), digest=l["digest"],
                               size=l["size"]), l["diff_id"], "gzip", l["diff_size"])
                    for l in json.load(file)]
    say("unpacking Debian %s with debootstrap (a minute or two)" % release())
    trees = [bootstrap(work)]
    say("changing it with its own tools")
    trees.insert(0, changed(work, "two", trees[:1], CHANGE_2))
    trees.insert(0, changed(work, "three", trees[:2], CHANGE_3))
    made, base = [], trees.pop()
    for i, (tree, which) in enumerate(((base, {"skip": EMPTY + SECOND}), (base, {"only": SECOND}),
                                       (trees[1], {}), (trees[0], {}))):
        made.append(pack(tree, "%s/layer%d.tar.gz" % (folder, i), **which))
        say("layer %d: %d MB compressed, %d MB unpacked" % (
            i + 1, made[-1].blob.size >> 20, made[-1].diff_size >> 20))
    with open(listing, "w") as file:
        json.dump([{"file": "layer%d.tar.gz" % i, "digest": l.blob.digest, "size": l.blob.size,
                    "diff_id": l.diff_id, "diff_size": l.diff_size}
                   for i, l in enumerate(made)], file)
    return made


def build(work, keep=False, form="gzip"):
    """The image. keep: make the cache if there is none."""
    if keep and not os.path.lexists(CACHE):
        os.mkdir(CACHE, 0o700)
    folder = CACHE if usable_cache() else work
    private_mounts()
    made = layers(folder, work)
    if form == "zstd":
        made = [recompress(l, "%s/layer%d.tar.zst" % (work, i)) for i, l in enumerate(made)]
    for name in os.listdir(work):
        if name == "base" or name.startswith(("two-", "three-")):
            shutil.rmtree("%s/%s" % (work, name))
    return Image(made, cmd=["/usr/local/bin/hello"])


def private_mounts():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x20000) or libc.mount(b"none", b"/", None, 0x4000 | 1 << 18, None):
        sys.exit("a mount namespace is needed: run as root")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("work", help="an empty directory on a real file system")
    parser.add_argument("--push", metavar="HOST:PORT/NAME")
    parser.add_argument("--zstd", action="store_true")
    parser.add_argument("--keep", action="store_true", help="keep the layers in " + CACHE)
    options = parser.parse_args()
    image = build(options.work, options.keep, "zstd" if options.zstd else "gzip")
    if options.push:
        host, _, name = options.push.partition("/")
        print(push(host, image, name))
    for layer in image.layers:
        print(layer.diff_id)


if __name__ == "__main__":
    main()

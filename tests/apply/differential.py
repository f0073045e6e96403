#!/usr/bin/env python3
"""The same tars through apply_tool, GNU tar and the tar-split program.

usage: differential.py APPLY_TOOL

The tree must be the one GNU tar makes (type, mode, owner, size, times, links, attributes, content);
the finished tar-split file must be, line for line, what `tar-split disasm` writes, and `tar-split
asm` must rebuild the archive from it to the byte. Needs root, GNU tar and tar-split; exits 77
without them."""
import gzip
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile

TOOL = os.path.abspath(sys.argv[1])
CAP = bytes.fromhex("0100000200200000000000000000000000000000")


def have():
    if os.geteuid() != 0:
        return "root"
    return next((p for p in ("tar", "tar-split") if not shutil.which(p)), None)


def put(path, content=b"", mode=0o644, uid=0, gid=0, mtime=1600000000.25):
    with open(path, "wb") as f:
        f.write(content)
    os.chown(path, uid, gid)
    os.chmod(path, mode)
    os.utime(path, (mtime, mtime))


def make_tree(root):
    """What images have, and some of what they seldom have."""
    for d in ("bin", "etc/deep/er", "usr/share/doc", "empty", "sticky", "setgid"):
        os.makedirs(f"{root}/{d}")
    put(f"{root}/bin/su", b"\x7fELF" * 1000, 0o4755)
    put(f"{root}/bin/ping", b"p" * 513, 0o755)
    os.setxattr(f"{root}/bin/ping", "security.capability", CAP)
    put(f"{root}/bin/block", b"x" * 512)
    put(f"{root}/etc/passwd", b"root:x:0:0\n", 0o600, 1, 2)
    put(f"{root}/etc/none", b"", 0, 70000, 70001)
    put(f"{root}/etc/old", b"1", 0o444, mtime=1)
    put(f"{root}/etc/deep/er/last", b"x" * 100000)
    os.link(f"{root}/etc/passwd", f"{root}/etc/passwd-")
    os.symlink("passwd", f"{root}/etc/link")
    os.lchown(f"{root}/etc/link", 5, 6)
    os.symlink("/etc/passwd", f"{root}/abs")
    os.symlink("no/where", f"{root}/dangling")
    os.link(f"{root}/dangling", f"{root}/dangling2", follow_symlinks=False)
    os.mkfifo(f"{root}/pipe", 0o620)
    put(f"{root}/usr/share/doc/" + "n" * 180, b"long name")
    long_dir = f"{root}/usr/share/" + "/".join(["d" * 60] * 5)
    os.makedirs(long_dir)
    put(long_dir + "/f", b"long path")
    os.symlink("t" * 300, f"{root}/longlink")
    put(f"{root}/usr/share/doc/\u0151 e\u0301 \u00e9".encode(), b"unicode")
    put(f"{root}/usr/share/doc/".encode() + b"\xff\xfe", b"not utf-8")
    put(f"{root}/usr/share/doc/a<b>&\"c\\d\ne", b"json")
    put(f"{root}/usr/share/doc/.wh-not", b"")
    for name, value in (("user.text", b"v"), ("user.binary", b"\0\xff=\n")):
        os.setxattr(f"{root}/etc/passwd", name, value)
    os.setxattr(f"{root}/empty", "user.dir", b"d")
    os.chmod(f"{root}/sticky", 0o1777)
    os.chown(f"{root}/setgid", 3, 4)
    os.chmod(f"{root}/setgid", 0o2755)
    put(f"{root}/setgid/in", b"1", gid=0)
    os.utime(f"{root}/etc", (1500000000, 1500000000))


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def describe(root):
    rows, inodes = {}, {}
    base = os.fsencode(root)
    for d, dirs, files in os.walk(base):
        for name in dirs + files:
            path = os.path.join(d, name)
            s = os.lstat(path)
            rel = os.path.relpath(path, base)
            first = inodes.setdefault(s.st_ino, rel) if not stat.S_ISDIR(s.st_mode) else rel
            extra = None
            if stat.S_ISREG(s.st_mode):
                extra = digest(path)
            elif stat.S_ISLNK(s.st_mode):
                extra = os.readlink(path)
            attrs = {a: os.getxattr(path, a, follow_symlinks=False)
                     for a in os.listxattr(path, follow_symlinks=False)}
            size = s.st_size if not stat.S_ISDIR(s.st_mode) else 0
            rows[rel] = (s.st_mode, s.st_uid, s.st_gid, size, s.st_mtime_ns, s.st_nlink
                         if not stat.S_ISDIR(s.st_mode) else 0, first, extra, attrs)
    return rows


def run(*args, **kw):
    return subprocess.run(args, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kw)


def lines(path):
    with gzip.open(path) as f:
        rows = f.read().splitlines()
    # Older writers add an empty segment at the end.
    while rows and json.loads(rows[-1])["type"] == 2 and not json.loads(rows[-1])["payload"]:
        rows.pop()
    return rows


def compare(name, tar, work, chunk, disasm=True, tree=True):
    mine, theirs = f"{work}/mine", f"{work}/theirs"
    for d in (mine, theirs):
        shutil.rmtree(d, ignore_errors=True)
        os.mkdir(d)
    with open(tar, "rb") as f:
        run(TOOL, "untar", mine, f"{work}/side", str(chunk), stdin=f)
    run(TOOL, "check", mine, f"{work}/side", f"{work}/split.gz")
    if tree:
        run("tar", "-C", theirs, "--same-owner", "-p", "--xattrs", "--xattrs-include=*",
            "--delay-directory-restore", "-xf", tar)
        a, b = describe(mine), describe(theirs)
        for path in sorted(a.keys() | b.keys()):
            if a.get(path) != b.get(path):
                sys.exit(f"{name}: {path!r}\n apply {a.get(path)}\n tar   {b.get(path)}")
    run("tar-split", "asm", "--input", f"{work}/split.gz", "--path", mine,
        "--output", f"{work}/back.tar")
    if digest(tar) != digest(f"{work}/back.tar"):
        sys.exit(f"{name}: tar-split asm gives another archive")
    if disasm:
        run("tar-split", "disasm", "--no-stdout", "--output", f"{work}/theirs.gz", tar)
        a, b = lines(f"{work}/split.gz"), lines(f"{work}/theirs.gz")
        for i, (x, y) in enumerate(zip(a, b)):
            if x != y:
                sys.exit(f"{name}: line {i}\n apply {x[:300]}\n split {y[:300]}")
        if len(a) != len(b):
            sys.exit(f"{name}: {len(a)} lines, tar-split has {len(b)}")
    print(f"ok {name} chunk {chunk}: {len(lines(f'{work}/split.gz'))} lines")


def python_tar(path, tree, fmt):
    with tarfile.open(path, "w", format=fmt) as t:
        t.add(tree, arcname=".", recursive=True,
              filter=lambda i: None if fmt == tarfile.USTAR_FORMAT and len(i.name) > 90
              or i.linkname and len(i.linkname) > 90 else i)


def main():
    missing = have()
    if missing:
        print(f"needs {missing}")
        sys.exit(77)
    # user.* attributes are the point: not every tmpfs has them.
    work = tempfile.mkdtemp(dir="/var/tmp", prefix="apply-diff-")
    try:
        tree = f"{work}/tree"
        os.mkdir(tree)
        make_tree(tree)
        tar = f"{work}/t.tar"
        gnu = ["tar", "-C", tree, "--sort=name", "--numeric-owner"]
        for name, args in (("gnu", ["--format=gnu"]),
                           ("posix", ["--format=posix", "--xattrs", "--xattrs-include=*"]),
                           ("posix without ./", ["--format=posix", "--transform=s,^./,,"])):
            run(*gnu, *args, "-cf", tar, ".")
            for chunk in (1 << 20, 512, 333):
                compare(name, tar, work, chunk)
        for name, fmt in (("python gnu", tarfile.GNU_FORMAT), ("python pax", tarfile.PAX_FORMAT),
                          ("python ustar", tarfile.USTAR_FORMAT)):
            python_tar(tar, tree, fmt)
            compare(name, tar, work, 1 << 20)
        with open(tar, "ab") as f:
            f.write(b"\0" * 3000 + b"junk after the end" * 100)
        compare("junk after the end", tar, work, 4096, tree=False)
        with open(f"{work}/holes", "wb") as f:
            f.write(b"begin")
            f.seek(300000)
            f.write(b"end")
            f.truncate(900001)
        for version in ("1.0", "0.1", "0.0"):
            run("tar", "-C", work, "--format=posix", "--sparse", f"--sparse-version={version}",
                "-cf", tar, "holes")
            # upstream stores sparse files expanded and cannot rebuild them; ours are segments
            compare(f"sparse {version}", tar, work, 700, disasm=False)
    finally:
        shutil.rmtree(work, ignore_errors=True)


main()

#!/usr/bin/env python3
"""Every file system call of untar, check and remove fails once.

usage: faults.py APPLY_TOOL

strace makes the k-th call of a kind fail. The tool must then exit with a reason (6 for a full
disk), not with success, not by a signal. Needs root and strace that may trace; exits 77 without."""
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile

TOOL = os.path.abspath(sys.argv[1])
UNTAR = ("openat2", "mkdirat", "mknodat", "symlinkat", "linkat", "fchown", "fchownat", "fchmod",
         "fchmodat", "utimensat", "fsetxattr", "pwrite64", "ftruncate", "unlinkat",
         "fremovexattr")
CHECK = ("openat2", "lseek", "syncfs")
REMOVE = ("unlinkat", "getdents64")
FULL = {"mkdirat", "mknodat", "symlinkat", "linkat", "fsetxattr", "pwrite64", "ftruncate"}
# Called on the program's own start, too: only files below the work directory are counted.
BELOW = ("openat", "newfstatat")


def make_tar(path):
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as t:
        def add(name, kind=tarfile.REGTYPE, data=b"", mode=0o644, uid=0, link="", pax=None):
            i = tarfile.TarInfo(name)
            i.type, i.size, i.mode, i.uid, i.linkname = kind, len(data), mode, uid, link
            i.pax_headers = pax or {}
            t.addfile(i, io.BytesIO(data))
        add("d", tarfile.DIRTYPE, mode=0o2755, uid=1)
        add("d/f", data=b"content", mode=0o4755, uid=1, pax={"SCHILY.xattr.user.k": "v"})
        add("d/l", tarfile.SYMTYPE, link="f", uid=1)
        add("d/p", tarfile.FIFOTYPE, mode=0o1644, uid=1)
        add("d/h", tarfile.LNKTYPE, link="d/f", mode=0o600, uid=2)
        add("implied/er/f", data=b"x")
        add(".wh.gone")
        add("gone")
        add("d/.wh..wh..opq")
        add("s", data=b"ab", pax={"GNU.sparse.size": "1000", "GNU.sparse.numblocks": "1",
                                  "GNU.sparse.map": "5,2", "GNU.sparse.name": "sparse"})
        add("/", tarfile.DIRTYPE, mode=0o711)


def inject(work, call, error, k, args, stdin=None, below=False):
    cmd = ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}",
           "-e", f"inject={call}:error={error}:when={k}"]
    if below:
        cmd += ["-P", f"{work}/diff", "-P", f"{work}/side", "-P", f"{work}/split"]
    with open(stdin or os.devnull, "rb") as f:
        return subprocess.run(cmd + [TOOL] + args, stdin=f, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)


def calls_of(work, call, args, stdin, below):
    log = f"{work}/calls"
    cmd = ["strace", "-qq", "-o", log, "-e", f"trace={call}"]
    if below:
        cmd += ["-P", f"{work}/diff", "-P", f"{work}/side", "-P", f"{work}/split"]
    with open(stdin or os.devnull, "rb") as f:
        subprocess.run(cmd + [TOOL] + args, stdin=f, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=True)
    with open(log, encoding="utf-8", errors="replace") as f:
        return sum(line.startswith(call + "(") for line in f)


def fresh(work, tar, filled):
    shutil.rmtree(f"{work}/diff", ignore_errors=True)
    os.mkdir(f"{work}/diff")
    if filled:
        with open(tar, "rb") as f:
            subprocess.run([TOOL, "untar", f"{work}/diff", f"{work}/side"], stdin=f, check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def try_all(work, tar, mode, call, below=False):
    args = {"untar": ["untar", f"{work}/diff", f"{work}/side"],
            "check": ["check", f"{work}/diff", f"{work}/side", f"{work}/split"],
            "remove": ["remove", f"{work}/diff"]}[mode]
    stdin = tar if mode == "untar" else None
    fresh(work, tar, mode != "untar")
    n = calls_of(work, call, args, stdin, below)
    if n == 0:
        sys.exit(f"{mode}: no {call} at all: the test has lost its point")
    error = "ENOSPC" if call in FULL and mode == "untar" else "EIO"
    for k in range(1, n + 1):
        fresh(work, tar, mode != "untar")
        r = inject(work, call, error, k, args, stdin, below)
        text = r.stderr.decode(errors="replace")
        if r.returncode <= 0 or r.returncode > 127 or not text.strip():
            sys.exit(f"{mode}: {call} {k} of {n} failed, exit {r.returncode}: {text}")
        if error == "ENOSPC" and r.returncode != 6:
            sys.exit(f"{mode}: {call} {k} with a full disk: exit {r.returncode}: {text}")
    print(f"ok {mode} {call}: {n}")


def main():
    work = tempfile.mkdtemp(dir="/var/tmp", prefix="apply-faults-")
    try:
        tar = f"{work}/t.tar"
        make_tar(tar)
        if os.geteuid() != 0 or not shutil.which("strace") or subprocess.run(
                ["strace", "-qq", "-o", "/dev/null", "true"], stderr=subprocess.DEVNULL,
                check=False).returncode:
            print("needs root, and strace that may trace")
            sys.exit(77)
        for mode, calls in (("untar", UNTAR), ("check", CHECK), ("remove", REMOVE)):
            for call in calls:
                try_all(work, tar, mode, call)
        for call in BELOW:
            try_all(work, tar, "untar", call, below=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)


main()

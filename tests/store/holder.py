"""Holds a classic POSIX lock on a file, as podman does, until its stdin ends: holder.py FILE [sh]."""
import fcntl, os, sys

with open(sys.argv[1], "a+") as f:
    fcntl.lockf(f, fcntl.LOCK_SH if sys.argv[2:] else fcntl.LOCK_EX)
    os.write(1, b"held\n")
    sys.stdin.read()

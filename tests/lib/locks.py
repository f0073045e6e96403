"""When a process held the store's locks, by strace: how long, and what else went on meanwhile."""
import os
import re
import signal
import subprocess
import time

LINE = re.compile(r"^(\d+)(?:<([^>]*)>)? +(\d+\.\d+) (\w+)\((.*)$")
LOCK = re.compile(r"^(\d+)<[^>]*?/?(layers|images|containers)\.lock>")


class Trace:
    """Of processes and all that they start; stop() gives the lines as (pid, comm, time, call,
    rest)."""

    def __init__(self, t, pids, calls, path):
        self.path = path
        self.process = t.start(["strace", "-qq", "-f", "-ttt", "-Y", "-y", "-s", "16", "-e",
                                "trace=" + calls, "-e", "signal=none", "-o", path,
                                "-p", " ".join(map(str, pids))])
        t.busy.remove(self.process)
        deadline = time.monotonic() + 20
        while any("TracerPid:\t0\n" in open("/proc/%d/status" % p).read() for p in pids):
            t.ok(time.monotonic() < deadline and self.process.poll() is None,
                 "strace does not attach")
            time.sleep(0.01)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
        with open(self.path, errors="replace") as file:
            found = [LINE.match(line) for line in whole(file)]
        return [(int(m[1]), m[2] or "", float(m[3]), m[4], m[5]) for m in found if m]


def whole(lines):
    """Calls that another process's line came between are put together again."""
    begun = {}
    for line in lines:
        pid = line.split("<", 1)[0].split(" ", 1)[0]
        if line.endswith("<unfinished ...>\n"):
            begun[pid] = line[:-len("<unfinished ...>\n")].rstrip()
        elif " resumed>" in line and pid in begun:
            yield begun.pop(pid) + line.split(" resumed>", 1)[1]
        else:
            yield line


def holds(lines):
    """[(lock, from, to)] of exclusive holds, in order of their ends."""
    open_of, found = {}, []
    for pid, _, when, call, rest in lines:
        lock = LOCK.match(rest)
        if not lock:
            continue
        key = (pid, lock[1], lock[2])
        if call == "fcntl" and "SETLK" in rest and "F_WRLCK" in rest and rest.endswith("= 0"):
            open_of[key] = when
        elif call == "close" and key in open_of:
            found.append((lock[2], open_of.pop(key), when))
    return found


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))]

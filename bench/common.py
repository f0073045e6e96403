"""What the benchmarks share: a place to work in, measured runs, the peers' command lines, a daemon,
tables and charts."""
import ctypes
import html
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE + "/../tests/lib")
import harness  # noqa: E402
import node  # noqa: E402
import rawh2  # noqa: E402

BIN = os.path.abspath(HERE + "/../build/release/bin")
TICK = os.sysconf("SC_CLK_TCK")


# Measured runs -----------------------------------------------------------------------------

class Sampler:
    """The largest sum of Pss over some processes, in MiB, looked at every 20 ms. pids() names them."""

    def __init__(self, pids):
        self.pids, self.peak, self.stopping = pids, 0, threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        while not self.stopping.wait(0.02):
            self.peak = max(self.peak, sum(node.pss(p) for p in self.pids()) / 1024)

    def stop(self):
        self.stopping.set()
        self.thread.join()
        return self.peak


def measured(argv, env, memory=False, copies=None):
    """Runs argv (or each of copies, all at once) below a process of its own that collects every
    descendant's CPU. wall, cpu in seconds, peak in MiB if asked for, code, err, out."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            harness.LIBC.prctl(harness.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            os.write(writer, json.dumps(collect(copies or [argv], env, memory)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    os.waitpid(child, 0)
    return json.loads(text)


def collect(argvs, env, memory):
    said, out = tempfile.TemporaryFile(), tempfile.TemporaryFile()
    begun = time.monotonic()
    running = {}
    for argv in argvs:
        process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, cwd="/", stdout=out,
                                   stderr=said)
        running[process.pid] = process
    own = os.getpid()
    sampler = Sampler(lambda: list(harness.descendants(own))) if memory else None
    cpu, wall, code = 0.0, 0.0, 0
    while True:
        try:
            pid, status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            break
        cpu += usage.ru_utime + usage.ru_stime
        if pid in running:
            wall = time.monotonic() - begun
            code = code or os.waitstatus_to_exitcode(status)
    said.seek(0)
    out.seek(0)
    return {"wall": wall, "cpu": cpu, "code": code, "peak": sampler.stop() if sampler else 0,
            "err": said.read().decode(errors="replace")[-500:],
            "out": out.read().decode(errors="replace")[-2000:]}


def cpu_of(pids):
    """Seconds that these and the children they have reaped have used."""
    total = 0
    for pid in pids:
        try:
            with open("/proc/%d/stat" % pid) as file:
                total += sum(int(n) for n in file.read().rpartition(")")[2].split()[11:15])
        except (OSError, ValueError):
            pass
    return total / TICK


# Enough for the largest image and a tool's copies of its blobs.
DISK_MIB = 4096


# A place -----------------------------------------------------------------------------------

class Place:
    """A mount namespace with a directory of its own in /var/tmp, a tmpfs (/f) and a fresh disk (/d)
    in it, configuration for all tools. As root."""

    def __init__(self, bin=BIN):
        self.bin, self.loops, self.made = bin, True, 0
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(0x20000) or libc.mount(b"none", b"/", None, 0x4000 | 1 << 18, None):
            sys.exit("a mount namespace is needed: run as root")
        self.work = tempfile.mkdtemp(prefix="bulkhead.", dir="/var/tmp")
        for name in ("/home/.config/containers", "/f", "/d", "/blobs"):
            os.makedirs(self.work + name)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", self.work + "/f"],
                       check=True)
        accept = '{"default": [{"type": "insecureAcceptAnything"}]}'
        for path in ("/policy.json", "/home/.config/containers/policy.json"):
            self.write(path, accept)
        for name, line in (("bulkhead", ""), ("unsynced", 'durability = "none"\n')):
            self.write("/%s.toml" % name, self.settings() + line)
        self.write("/storage.conf", '[storage]\ndriver = "overlay"\ngraphroot = "%s/u"\n'
                   'runroot = "%s/v"\n' % (self.work, self.work))
        self.write("/registries.conf", "")

    def write(self, path, text):
        with open(self.work + path, "w") as file:
            file.write(text)

    def settings(self):
        return 'policy = "%s/policy.json"\nregistries_conf = "%s/registries.conf"\n' % (
            (self.work,) * 2)

    def store(self, place="f"):
        """A fresh one; gone() removes it."""
        if place == "d" and self.loops:
            self.fresh_disk()
        self.made += 1
        store = "%s/%s/%d" % (self.work, place, self.made)
        for part in ("g", "r", "t"):
            os.makedirs("%s/%s" % (store, part), mode=0o700)
        os.sync()
        return store

    def fresh_disk(self):
        """ext4 avoids the inodes of files that were removed minutes ago, and a directory would
        measure that search. The file under the disk is written once and past the page cache
        then: what a file system below this one costs is not the pull's."""
        disk = self.work + "/disk"
        if not os.path.exists(disk):
            block = bytes(1 << 20)
            with open(disk, "wb") as file:
                for _ in range(DISK_MIB):
                    file.write(block)
                os.fsync(file.fileno())
        self.loops = self.mount_disk(disk)
        if not self.loops:
            os.unlink(disk)
            print("no loop devices: \"disk\" is a directory in /var/tmp", file=sys.stderr)

    def mount_disk(self, disk):
        def run(*argv):
            return subprocess.run(argv, capture_output=True, text=True)
        if run("mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=1", disk).returncode:
            return False
        loop = run("losetup", "--find", "--show", "--direct-io=on", disk)
        if loop.returncode:
            return False
        device = loop.stdout.strip()
        mounted = run("mount", "-o", "noinit_itable", device, self.work + "/d").returncode == 0
        # In use, it goes when it is unmounted.
        run("losetup", "--detach", device)
        return mounted

    def gone(self, store):
        self.unmount(store)
        if store.startswith(self.work + "/d/") and self.loops:
            subprocess.run(["umount", self.work + "/d"], check=True)
        else:
            shutil.rmtree(store)

    def unmount(self, below):
        for path in reversed([m for m in harness.mounts() if m.startswith(below + "/")]):
            subprocess.run(["umount", "-l", path])

    def env(self, store):
        return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME": self.work + "/home", "TMPDIR": store + "/t", "LC_ALL": "C.UTF-8",
                "CONTAINERS_STORAGE_CONF": self.work + "/storage.conf",
                "CONTAINERS_REGISTRIES_CONF": self.work + "/registries.conf"}

    def argv(self, tool, store, ref):
        """A pull by that tool. "unsynced": bulkhead with durability "none"."""
        root, run = store + "/g", store + "/r"
        if tool in ("bulkhead", "unsynced"):
            return [self.bin + "/bulkhead", "--root", root, "--runroot", run, "--config",
                    "%s/%s.toml" % (self.work, tool), "pull", "--tls-verify=false", "-q", ref]
        if tool == "podman":
            return ["podman", "--root", root, "--runroot", run, "--storage-driver", "overlay",
                    "--tmpdir", store + "/t", "--events-backend", "none", "pull", "-q",
                    "--tls-verify=false", ref]
        return ["skopeo", "--policy", self.work + "/policy.json", "--tmpdir", store + "/t", "copy",
                "-q", "--src-tls-verify=false", "docker://" + ref,
                "containers-storage:[overlay@%s+%s]%s" % (root, run, ref)]

    def images(self, store):
        with open(store + "/g/overlay-images/images.json") as file:
            return [i["id"] for i in json.load(file)]

    def close(self):
        self.unmount(self.work)
        shutil.rmtree(self.work, ignore_errors=True)


class Daemon:
    """bulkheadd over a store (directories g and r), on sockets of its own."""

    def __init__(self, place, root, runroot, settings=""):
        self.folder = tempfile.mkdtemp(dir=place.work)
        self.socket, self.control = self.folder + "/cri", self.folder + "/control"
        self.bin = place.bin
        config = self.folder + "/bulkhead.toml"
        with open(config, "w") as file:
            file.write('%slisten = "unix://%s"\ncontrol_socket = "unix://%s"\n%s' % (
                place.settings(), self.socket, self.control, settings))
        self.log = open(self.folder + "/log", "wb")
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            [self.bin + "/bulkheadd", "--config", config, "--root", root, "--runroot", runroot],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, cwd="/")

    def connect(self):
        """The first connection that answers."""
        while True:
            try:
                conn = rawh2.Conn(self.socket, timeout=600)
                conn.send(rawh2.window(0, 0x7fffffff - 65535))
                if conn.call("/runtime.v1.RuntimeService/Version", timeout=60).code == 0:
                    return conn
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() - self.begun > 60:
                sys.exit("bulkheadd is not there:\n" + open(self.folder + "/log").read()[-2000:])
            time.sleep(0.0005)

    def argv(self, *args):
        return [self.bin + "/bulkhead", "--socket", self.control, *args]

    def pids(self):
        return [self.process.pid, *harness.offspring(self.process.pid)]

    def pss(self):
        return sum(node.pss(p) for p in self.pids()) / 1024

    def cpu(self):
        return cpu_of(self.pids())

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)


# Results -----------------------------------------------------------------------------------

class Report:
    """A table that grows as the figures come, and a chart of it. columns: names of figures; base:
    the tool that ratios are to."""

    COLOURS = {"bulkhead": "#2b6cb0", "unsynced": "#63b3ed", "podman": "#a0aec0",
               "skopeo": "#cbd5e0", "floor": "#48bb78"}

    def __init__(self, what, columns, base=None, form="%.2f"):
        self.columns, self.base, self.form, self.groups = columns, base, form, []
        self.what = what
        ratio = " %5s" % "ratio" if base else ""
        print("%-26s %-24s" % (what, "") + "".join(" %10s%s" % (c, ratio) for c in columns))

    def add(self, group, rows):
        """rows: name -> figures, None where there is none."""
        self.groups.append((group, rows))
        base = rows.get(self.base)
        for name, values in rows.items():
            line = "%-26s %-24s" % (group, name)
            for i, value in enumerate(values):
                line += " %10s" % ("" if value is None else self.form % value)
                if self.base:
                    line += " %5s" % ("%.2f" % (value / base[i]) if value is not None and base and
                                      base[i] else "")
            print(line.rstrip(), flush=True)

    def svg(self, path):
        """Bars, each group's longest of a column as wide as the column."""
        bar, left, width, gap = 16, 330, 190, 20
        rows = sum(len(r) + 1 for _, r in self.groups)
        size = (left + len(self.columns) * (width + gap), 50 + rows * bar + 12 * len(self.groups))
        out = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" '
               'font-family="sans-serif" font-size="11">' % size,
               '<rect width="100%" height="100%" fill="white"/>']

        def text(x, y, words, more=""):
            out.append('<text x="%d" y="%d"%s>%s</text>' % (x, y, more, html.escape(words)))
        text(8, 18, self.what, ' font-weight="bold"')
        for i, column in enumerate(self.columns):
            text(left + i * (width + gap), 18, column, ' font-weight="bold"')
        y = 30
        for group, figures in self.groups:
            text(8, y + 12, group, ' font-weight="bold"')
            y += bar
            for name, values in figures.items():
                text(20, y + 12, name)
                for i, value in enumerate(values):
                    if value is None:
                        continue
                    most = max(v[i] for v in figures.values() if v[i] is not None) or 1
                    x = left + i * (width + gap)
                    out.append('<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>' % (
                        x, y + 2, max(1, (width - 50) * value / most), bar - 4,
                        self.COLOURS.get(name.split(",")[0], "#718096")))
                    text(x + max(1, (width - 50) * value / most) + 4, y + 12, self.form % value)
                y += bar
            y += 12
        with open(path, "w") as file:
            file.write("\n".join(out + ["</svg>", ""]))

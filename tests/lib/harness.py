"""The runner of the end-to-end suites: tests are functions, run one after another.

Each test gets a Context. After each the runner demands that nothing is left: no process, no
mount, no staging directory. Everything happens in a mount namespace of the runner's own.
"""
import argparse
import contextlib
import ctypes
import fnmatch
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

import real
import registry
from stores import Store

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
LIBC = ctypes.CDLL(None, use_errno=True)
FIRST_IN_LINE = ("chrt", "-f", "50")
CLONE_NEWNS, MS_REC, MS_PRIVATE, PR_SET_CHILD_SUBREAPER = 0x20000, 0x4000, 1 << 18, 36


class Failure(Exception):
    pass


class Skip(Exception):
    pass


class Case:
    def __init__(self, function, peers, long, needs):
        self.function, self.peers, self.long, self.needs = function, peers, long, needs
        module = function.__module__.split(".")[-1].replace("test_", "", 1)
        self.name = "%s.%s" % (module, function.__name__)


CASES = []


def test(function=None, *, peers=False, long=False, needs=()):
    """peers: runs without bulkhead. long: only with --long. needs: programs."""
    def wrap(inner):
        CASES.append(Case(inner, peers, long, needs))
        return inner
    return wrap(function) if function else wrap


class Result:
    def __init__(self, argv, code, out, err, seconds):
        self.argv, self.code, self.out, self.err, self.seconds = argv, code, out, err, seconds

    def __str__(self):
        return "%s\n  exit %s after %.1f s\n  stdout: %s\n  stderr: %s" % (
            " ".join(self.argv), self.code, self.seconds, clip(self.out), clip(self.err))


def clip(text, size=1500):
    text = text.strip()
    return text if len(text) <= size else text[:size // 2] + " [...] " + text[-size // 2:]


# Processes and mounts ----------------------------------------------------------------------

def parents():
    """pid -> (parent, state, comm) of every process."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % pid, errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        comm = text[text.index("(") + 1:text.rindex(")")]
        rest = text[text.rindex(")") + 2:].split()
        found[int(pid)] = (int(rest[1]), rest[0], comm)
    return found


def descendants(root=None):
    """pid -> (parent, state, comm) of everything below root (default: this process)."""
    table, root = parents(), root or os.getpid()
    children = {}
    for pid, (parent, _, _) in table.items():
        children.setdefault(parent, []).append(pid)
    found, queue = {}, list(children.get(root, []))
    while queue:
        pid = queue.pop()
        found[pid] = table[pid]
        queue += children.get(pid, [])
    return found


def children_of(pid):
    """The kernel's list can miss one while another ends: what is read twice is true."""
    before = None
    try:
        while True:
            with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
                found = [int(p) for p in file.read().split()]
            if found == before:
                return found
            before = found
    except OSError:
        return []


def offspring(root):
    """pid -> comm of what lives below root; much cheaper than descendants()."""
    found, queue = {}, [root]
    while queue:
        for child in children_of(queue.pop()):
            try:
                with open("/proc/%d/stat" % child, errors="replace") as file:
                    text = file.read()
            except OSError:
                continue
            if text[text.rindex(")") + 2] not in "ZX":
                found[child] = text[text.index("(") + 1:text.rindex(")")]
            queue.append(child)
    return found


def reap(known):
    """Orphans come to this subreaper; Popen objects that are known keep their status."""
    for pid, (parent, state, _) in parents().items():
        if parent == os.getpid() and state == "Z" and pid not in known:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass


def mounts():
    with open("/proc/self/mountinfo") as file:
        return sorted(line.split()[4] for line in file)


def copy_of(source, target):
    """A file, or a directory in place of what is there."""
    if os.path.isdir(source):
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)


# One test ----------------------------------------------------------------------------------

class Context:
    def __init__(self, session):
        self.session, self.long = session, session.long
        self.folder, self.disk = session.fresh(session.fast), session.fresh(session.slow)
        self.stores, self.cleanups, self.busy = [], [], []

    # assertions

    def ok(self, condition, *what):
        if not condition:
            raise Failure(" ".join(str(w) for w in what))

    def eq(self, got, wanted, what=""):
        if got != wanted:
            raise Failure("%s\n  got    %s\n  wanted %s" % (what, clip(repr(got)),
                                                           clip(repr(wanted))))

    def has(self, text, part, what=""):
        self.ok(part in text, "%s: %r is missing in:\n%s" % (what, part, clip(text)))

    # resources

    def store(self, disk=False):
        base = self.disk if disk else self.folder
        store = Store("%s/s%d" % (base, len(self.stores)))
        self.stores.append(store)
        return store

    def scripted(self, **options):
        server = registry.Scripted(**options)
        self.cleanups.append(server.stop)
        return server

    def real(self, **options):
        if not options:
            return self.session.real()
        server = real.Real(self.folder + "/registry", **options)
        self.cleanups.append(server.stop)
        return server

    def authority(self):
        return real.Authority(self.folder + "/ca")

    def image(self, name):
        return self.session.image(name)

    def write(self, name, text):
        path = "%s/%s" % (self.folder, name)
        with open(path, "w") as file:
            file.write(text if isinstance(text, str) else json.dumps(text))
        return path

    def config(self, policy=None, **settings):
        """A configuration file; policy: the content of its policy.json."""
        return self.session.write_config(self.folder, policy, settings)

    def etc(self):
        """/etc may be written from now on; the test's end forgets it. What is mounted in it, the
        resolver's files for one, looks as it did."""
        base = self.session.fresh(self.session.fast)
        for part in ("upper", "work", "kept"):
            os.mkdir("%s/%s" % (base, part))
        kept = {path: "%s/kept/%d" % (base, i) for i, path in enumerate(mounts())
                if path.startswith("/etc/")}
        for path, copy in kept.items():
            copy_of(path, copy)
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", "lowerdir=/etc,upperdir=%s/upper,"
                        "workdir=%s/work" % (base, base), "/etc"], check=True)
        self.cleanups.append(lambda: subprocess.run(["umount", "-l", "/etc"], check=True))
        for path, copy in kept.items():
            copy_of(copy, path)

    @contextlib.contextmanager
    def first_in_line(self):
        """For what is timed: this process does not wait for others of the machine; those that it
        starts do, but for `wrap=FIRST_IN_LINE`."""
        def all_threads(policy, priority):
            for thread in os.listdir("/proc/self/task"):
                os.sched_setscheduler(int(thread), policy, os.sched_param(priority))
        all_threads(os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, 50)
        try:
            yield
        finally:
            all_threads(os.SCHED_OTHER, 0)

    # programs

    def start(self, argv, env=None, **options):
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        environ = dict(self.session.env, **(env or {}))
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, env=environ, cwd="/",
                                   **options)
        self.busy.append(process)
        return process

    def finish(self, process, timeout=120):
        begun = time.monotonic()
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise Failure("still running after %d s: %s\n  stderr: %s" % (
                timeout, " ".join(process.args), clip((err or b"").decode(errors="replace"))))
        finally:
            if process in self.busy:
                self.busy.remove(process)
        return Result(process.args, process.returncode, (out or b"").decode(errors="replace"),
                      (err or b"").decode(errors="replace"), time.monotonic() - begun)

    def run(self, argv, expect=0, timeout=120, env=None):
        begun = time.monotonic()
        result = self.finish(self.start(argv, env), timeout)
        result.seconds = time.monotonic() - begun
        expected = expect if isinstance(expect, (list, tuple)) else [expect]
        if expect is not None and result.code not in expected:
            raise Failure("exit %s, wanted %s\n%s" % (result.code, expect, result))
        return result

    def bulkhead_argv(self, store, *args, config=None):
        return [self.session.bin + "/bulkhead", "--root", store.root, "--runroot", store.runroot,
                "--config", config or self.session.config, *args]

    def bulkhead(self, store, *args, config=None, **options):
        return self.run(self.bulkhead_argv(store, *args, config=config), **options)

    def pull(self, store, *args, **options):
        """A plain HTTP pull by bulkhead."""
        return self.bulkhead(store, "pull", "--tls-verify=false", *args, **options)

    def podman_argv(self, store, *args):
        return ["podman", "--root", store.root, "--runroot", store.runroot, "--storage-driver",
                "overlay", "--tmpdir", store.tmp, "--events-backend", "file",
                "--cgroup-manager", "cgroupfs", *args]

    def podman(self, store, *args, **options):
        options.setdefault("env", {})["TMPDIR"] = store.tmp
        return self.run(self.podman_argv(store, *args), **options)

    def podman_pull(self, store, ref, **options):
        return self.podman(store, "pull", "-q", "--tls-verify=false", ref, **options)

    def podman_run(self, store, image, *args, expect=0, options=()):
        """Plainly first; then without cgroups, in a mount namespace with cgroup2 alone."""
        first = self.podman(store, "run", "--rm", "--network", "none", *options, image, *args,
                            expect=None)
        if first.code == expect or first.code not in (125, 126, 127):
            self.ok(first.code == expect, first)
            return first
        limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]
        private = ["unshare", "-m", "--propagation", "private", "sh", "-c",
                   "umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup && "
                   'exec "$@"', "sh"]
        argv = self.podman_argv(store, "run", "--rm", "--network", "none", "--cgroups=disabled",
                                *limits, *options, image, *args)
        return self.run(private + argv, expect=expect, env={"TMPDIR": store.tmp})

    def storage_name(self, store, name):
        return "containers-storage:[overlay@%s+%s]%s" % (store.root, store.runroot, name)

    def skopeo(self, store, *args, **options):
        return self.run(["skopeo", "--policy", self.session.policy, "--tmpdir", store.tmp,
                         *args], **options)

    def buildah(self, store, *args, **options):
        return self.run(["buildah", "--root", store.root, "--runroot", store.runroot,
                         "--storage-driver", "overlay", *args], **options)

    # the end

    def close(self):
        """Returns what was left behind."""
        left = []
        for process in self.busy:
            left.append("the test left %s running" % " ".join(process.args)[:100])
            process.kill()
            process.communicate()
        for cleanup in self.cleanups:
            try:
                cleanup()
            except Exception:
                left.append("a cleanup failed: " + traceback.format_exc())
        left += self.session.leftovers()
        for store in self.stores:
            left += ["staging left: %s/bulkhead/%s" % (store.root, s) for s in store.staging()]
        self.session.unmount()
        for path in (self.folder, self.disk):
            shutil.rmtree(path, ignore_errors=True)
        return left


class Session:
    def __init__(self, options):
        self.long, self.bin = options.long, os.path.abspath(options.bin)
        self.private_mounts()
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        os.umask(0o022)
        self.work = tempfile.mkdtemp(prefix="bulkhead.", dir="/var/tmp")
        self.fast, self.slow, self.made = self.work + "/f", self.work + "/d", 0
        for path in (self.fast, self.slow, self.work + "/home", self.work + "/etc"):
            os.mkdir(path, 0o755)
        os.chmod(self.work, 0o755)
        self.mount_tmpfs()
        self.env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                    "HOME": self.work + "/home", "TMPDIR": self.slow, "LC_ALL": "C.UTF-8",
                    "CONTAINERS_STORAGE_CONF": self.work + "/etc/storage.conf",
                    "CONTAINERS_REGISTRIES_CONF": self.work + "/etc/registries.conf"}
        self.write_peers()
        self.hide_registries()
        self.config = self.write_config(self.work + "/etc", None, {})
        self.policy = self.work + "/etc/policy.json"
        self.base_mounts = mounts()
        self.servers, self.images = [], {}

    def private_mounts(self):
        if LIBC.unshare(CLONE_NEWNS) or LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
            raise SystemExit("a mount namespace is needed: run as root")

    def hide_registries(self):
        """The machine's own registries.conf and aliases count for nobody here."""
        for path in ("/etc/containers/registries.conf",
                     "/var/cache/containers/short-name-aliases.conf"):
            if os.path.exists(path):
                subprocess.run(["mount", "--bind", self.work + "/etc/registries.conf", path],
                               check=True)
        if os.path.isdir("/etc/containers/registries.conf.d"):
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/etc/containers/registries.conf.d"],
                           check=True)

    def mount_tmpfs(self):
        with open("/proc/meminfo") as file:
            free = next(int(l.split()[1]) for l in file if l.startswith("MemAvailable"))
        self.on_tmpfs = free > 6 << 20
        if self.on_tmpfs:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4g,mode=755", "tmpfs", self.fast],
                           check=True)

    def write_peers(self):
        """Files for podman, skopeo and buildah, so that the machine's own do not matter."""
        with open(self.work + "/etc/storage.conf", "w") as file:
            file.write('[storage]\ndriver = "overlay"\ngraphroot = "%s/unused"\n'
                       'runroot = "%s/unused-run"\n' % (self.work, self.work))
        with open(self.work + "/etc/registries.conf", "w") as file:
            file.write("unqualified-search-registries = []\n")

    def write_config(self, folder, policy, settings):
        name = "%s/policy.json" % folder
        with open(name, "w") as file:
            json.dump({"default": [{"type": "insecureAcceptAnything"}]} if policy is None
                      else policy, file)
        # Never the machine's own files.
        registries = "%s/registries.conf" % folder
        if "registries_conf" not in settings:
            open(registries, "a").close()
        settings = dict({"policy": name, "registries_conf": registries,
                         "short_name_aliases": folder + "/aliases.conf"}, **settings)
        path = "%s/bulkhead.toml" % folder
        with open(path, "w") as file:
            for key, value in settings.items():
                if value is not None:
                    file.write("%s = %s\n" % (key, json.dumps(value)))
        return path

    def fresh(self, base):
        """Short names: podman takes no run root longer than 50 characters."""
        self.made += 1
        path = "%s/%d" % (base, self.made)
        os.mkdir(path, 0o755)
        return path

    def real(self):
        if not self.servers:
            self.servers.append(real.Real(self.work + "/registry"))
        return self.servers[0]

    def image(self, name):
        import images
        if name not in self.images:
            self.images[name] = images.make(name, self)
        return self.images[name]

    def known(self):
        return {s.process.pid for s in self.servers if hasattr(s, "process")}

    def leftovers(self):
        """Waits a little for processes that are on their way out."""
        deadline = time.monotonic() + 30
        while True:
            reap(self.known())
            left = {p: v for p, v in descendants().items() if v[2].startswith("bulkhead")}
            if not left or time.monotonic() > deadline:
                break
            time.sleep(0.02)
        found = ["process left: %d %s (%s)" % (p, v[2], v[1]) for p, v in left.items()]
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        own = [m for m in mounts() if m not in self.base_mounts]
        found += ["mount left: " + m for m in own if "/overlay" not in m and "/merged" not in m]
        return found

    def unmount(self):
        for path in reversed([m for m in mounts() if m not in self.base_mounts]):
            subprocess.run(["umount", "-l", path], stderr=subprocess.DEVNULL)

    def close(self, keep):
        for server in self.servers:
            server.stop()
        self.unmount()
        if self.on_tmpfs:
            subprocess.run(["umount", "-l", self.fast])
        if not keep:
            shutil.rmtree(self.work, ignore_errors=True)


def run_case(session, case):
    """None if it passed, else what went wrong."""
    context = Context(session)
    problem = None
    try:
        case.function(context)
    except Skip:
        context.close()
        raise
    except Failure as error:
        frames = traceback.extract_tb(error.__traceback__)
        place = [f for f in frames if "/lib/" not in f.filename][-1:]
        problem = "%s%s" % ("line %d: " % place[0].lineno if place else "", error)
    except Exception:
        problem = traceback.format_exc()
    left = context.close()
    if left:
        problem = (problem + "\n" if problem else "") + "\n".join(left[:10])
    return problem


def load(folders):
    for folder in folders:
        sys.path.insert(0, folder)
        for name in sorted(os.listdir(folder)):
            if name.startswith("test_") and name.endswith(".py"):
                importlib.import_module(name[:-3])


def main(*folders):
    parser = argparse.ArgumentParser()
    parser.add_argument("--long", action="store_true", help="also the long forms")
    parser.add_argument("--only", metavar="PATTERN", help="names that match, as in *kill*")
    parser.add_argument("--peers", action="store_true", help="only what needs no bulkhead")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--keep", action="store_true", help="keep the work directory")
    parser.add_argument("--bin", default=os.environ.get("BULKHEAD_BIN", TOP + "/build/release/bin"))
    options = parser.parse_args()
    load(folders)
    chosen = [c for c in CASES if (not options.only or fnmatch.fnmatch(c.name, options.only))
              and (not options.peers or c.peers)]
    if options.list:
        print("\n".join(c.name for c in chosen))
        return 0
    session, counts = Session(options), {"passed": 0, "failed": 0, "skipped": 0}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        for case in chosen:
            verdict(session, case, options, counts)
    finally:
        session.close(options.keep)
    print("%d passed, %d failed, %d skipped" % tuple(counts.values()))
    return 1 if counts["failed"] else 0


def verdict(session, case, options, counts):
    begun = time.monotonic()
    try:
        if case.long and not options.long:
            raise Skip("only with --long")
        for program in case.needs:
            if not shutil.which(program):
                raise Skip("no %s here" % program)
        problem = run_case(session, case)
    except Skip as reason:
        counts["skipped"] += 1
        print("skip %s: %s" % (case.name, reason), flush=True)
        return
    counts["failed" if problem else "passed"] += 1
    told = "%s %s (%.1f s)\n" % ("not ok" if problem else "ok", case.name,
                                time.monotonic() - begun)
    if problem:
        told += "    " + problem.replace("\n", "\n    ") + "\n"
    sys.stdout.write(told)  # in one piece: other suites run beside this one
    sys.stdout.flush()

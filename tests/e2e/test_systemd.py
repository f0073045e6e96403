"""The units below a systemd of the test's own: pid 1 of namespaces, with no other unit."""
import os
import re
import signal
import subprocess
import time

from harness import Failure, Skip, test
from test_config import units

SYSTEMD = "/lib/systemd/systemd"
STUBS = ("sysinit.target", "basic.target", "sockets.target", "network-online.target",
         "multi-user.target", "shutdown.target", "umount.target")
BOOT = """
set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
{cgroups}
export container=other SYSTEMD_UNIT_PATH={folder}
exec {systemd} --system --unit=multi-user.target --log-target=console --show-status=no
"""
UNIFIED = "mount -t cgroup2 cgroup2 /sys/fs/cgroup"
HYBRID = """mount -t tmpfs tmpfs /sys/fs/cgroup
mkdir /sys/fs/cgroup/systemd /sys/fs/cgroup/unified
mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified"""


class Machine:
    def __init__(self, t, store):
        self.t, self.folder, self.log = t, units(t), t.folder + "/log"
        hybrid = os.path.isdir("/sys/fs/cgroup/unified")
        roots = (["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"] if hybrid
                 else ["/sys/fs/cgroup"])
        self.groups = ["%s/bulkhead-test-%d" % (r, os.getpid()) for r in roots]
        for name in STUBS:
            with open("%s/%s" % (self.folder, name), "w") as file:
                file.write("[Unit]\nDescription=stub\nDefaultDependencies=no\n")
        with open(t.folder + "/m.toml", "w") as file:
            file.write('policy = "%s"\n' % t.session.policy)
        os.mkdir(self.folder + "/bulkhead.service.d")
        # The store and the programs of the test lie below /var/tmp.
        with open(self.folder + "/bulkhead.service.d/test.conf", "w") as file:
            file.write("[Service]\nPrivateTmp=no\nExecStart=\nExecStart=%s/bulkheadd --config %s "
                       "--root %s --runroot %s\nStandardOutput=append:%s\n"
                       "StandardError=append:%s\nWatchdogSec=6\n" % (
                           t.session.bin, t.folder + "/m.toml", store.root, store.runroot,
                           self.log, self.log))
        try:
            for group in self.groups:
                os.mkdir(group)
        except OSError as error:
            raise Skip("no cgroup of our own: %s" % error)
        t.cleanups.append(self.stop)
        script = BOOT.format(folder=self.folder, systemd=SYSTEMD,
                             cgroups=HYBRID if hybrid else UNIFIED)
        join = "".join("echo $$ > %s/cgroup.procs; " % g for g in self.groups)
        with open(t.folder + "/boot", "w") as out:
            self.process = t.start(
                ["sh", "-c", join + 'exec unshare -m -p -i -u -C --fork --kill-child '
                 'sh -c "$0"', script], stdout=out, stderr=out)
        t.busy.remove(self.process)
        self.pid = self.wait(self.child, "pid 1")
        self.wait(lambda: self.ctl("is-system-running").out.strip() in ("running", "degraded"),
                  "systemd is up")

    def child(self):
        try:
            with open("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)) as file:
                pid = int(file.read().split()[0])
            return pid if os.readlink("/proc/%d/exe" % pid).endswith("systemd") else None
        except (OSError, IndexError):
            return None

    def wait(self, what, text, seconds=20):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            value = what()
            if value:
                return value
            time.sleep(0.1)
        with open(self.t.folder + "/boot") as file:
            raise Failure("%s: not within %d s\n%s\n%s" % (text, seconds, file.read()[-1500:],
                                                           self.logs()[-1500:]))

    def run(self, *argv, expect=0):
        return self.t.run(["nsenter", "-t", str(self.pid), "-a", "timeout", "-k", "1", "20", *argv],
                          expect=expect, timeout=60)

    def ctl(self, *args):
        return self.run("systemctl", *args, expect=None)

    def show(self, key):
        return self.ctl("show", "-p", key, "--value", "bulkhead.service").out.strip()

    def logs(self):
        return open(self.log).read() if os.path.exists(self.log) else ""

    def logged(self, text):
        self.wait(lambda: text in self.logs(), "log: " + text)

    def images(self):
        return self.run(self.t.session.bin + "/bulkhead", "images", "-q").out

    def stop(self):
        if getattr(self, "pid", None):
            os.kill(self.pid, signal.SIGKILL)
        if hasattr(self, "process"):
            self.process.wait()
        deadline = time.monotonic() + 10
        for top in self.groups:
            for group in [p for p, _, _ in os.walk(top, topdown=False)]:
                while time.monotonic() < deadline:
                    try:
                        os.rmdir(group)
                        break
                    except FileNotFoundError:
                        break
                    except OSError:
                        time.sleep(0.05)


@test(long=True, needs=("unshare", "nsenter", "systemctl"))
def units_below_a_real_systemd(t):
    """Every directive of the unit is in force while images of the awkward kinds are pulled."""
    store = t.store(disk=True)
    os.makedirs(store.root, 0o700, exist_ok=True)
    os.makedirs(store.runroot, 0o700, exist_ok=True)
    m = Machine(t, store)
    # The socket starts the service.
    t.ok(m.ctl("start", "bulkhead.socket", "bulkhead-control.socket").code == 0, m.logs())
    t.eq(m.show("ActiveState"), "inactive", "before")
    t.eq(m.images(), "", "an empty store")
    m.logged("passed by the service manager")
    t.eq(m.show("ActiveState"), "active", "socket activation")
    status = m.run("cat", "/proc/%s/status" % m.show("MainPID")).out
    t.has(status, "NoNewPrivs:\t1", "the unit's directives are in force")
    t.ok(int(re.search(r"Seccomp_filters:\s+(\d+)", status).group(1)) > 1, status)
    real, wanted = t.real(), []
    for name in ("tiny", "xattrs", "whiteouts", "links", "owners", "devices"):
        image = t.image(name)
        real.push(image, "systemd/" + name)
        got = m.run(t.session.bin + "/bulkhead", "pull", "-q", "--tls-verify=false",
                    real.ref("systemd/" + name)).out.strip()
        t.eq(got, image.id, name)
        wanted.append(image.id)
    have = sorted(m.images().split())
    t.eq(len(have), len(wanted), have)
    theirs = t.podman(store, "images", "-q", "--no-trunc").out.split()
    t.eq(sorted(i.split(":")[-1] for i in theirs), sorted(wanted), "podman")

    # Reload: all or nothing.
    for text, said in (('log_level = "debug"\n', "reload: log_level is now"),
                       ("nonsense\n", "reload: refused, nothing has changed")):
        with open(t.folder + "/m.toml", "a") as file:
            file.write(text)
        t.eq(m.ctl("reload", "bulkhead.service").code, 0, "reload")
        m.logged(said)
        t.eq(m.show("ActiveState"), "active", said)
    with open(t.folder + "/m.toml", "w") as file:
        file.write('policy = "%s"\n' % t.session.policy)

    # A frontend that hangs: no keep-alive, systemd starts the service anew.
    pids = m.run("pgrep", "-x", "bulkhead-fronte").out.split()
    m.run("kill", "-STOP", *pids)
    m.wait(lambda: m.show("NRestarts") == "1" and m.show("ActiveState") == "active",
           "the watchdog", 40)
    t.eq(sorted(m.images().split()), have, "served again, by the same socket")
    m.run("kill", "-KILL", m.show("MainPID"))
    m.wait(lambda: m.show("NRestarts") == "2" and m.show("ActiveState") == "active", "restart")
    t.eq(sorted(m.images().split()), have, "and again")
    t.eq(m.ctl("stop", "bulkhead.socket", "bulkhead-control.socket", "bulkhead.service").code, 0,
         "stop")
    t.eq((m.show("Result"), m.show("ExecMainStatus")), ("success", "0"), "an orderly end")
    t.ok(not re.search("(?i)assert|sanitizer", m.logs()), m.logs())

"""bulkheadd and its service manager: notifications, watchdog, sockets passed in, reload, the end."""
import json
import os
import signal
import socket
import stat
import sys
import time

from harness import FIRST_IN_LINE, mounts, test
from daemon import Daemon
from test_cri_pull import until

ACTIVATE = ("systemd-socket-activate",)

# Becomes the command after binding what it is told: TYPE=PATH...; names: LISTEN_FDNAMES.
PASS = """
import os, socket, sys
names, pairs, argv = sys.argv[1], sys.argv[2].split(","), sys.argv[3:]
for number, pair in enumerate(pairs):
    kind, path = pair.split("=")
    sock = socket.socket(socket.AF_UNIX, getattr(socket, kind.strip("!")))
    sock.bind("\\0" + path if path.startswith("@") else path)
    if not kind.endswith("!"):
        sock.listen()
    os.dup2(sock.fileno(), 50 + number)
for number in range(len(pairs)):
    os.dup2(50 + number, 3 + number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(pairs)))
if names:
    os.environ["LISTEN_FDNAMES"] = names
os.execvp(argv[0], argv)
"""


def passing(names, *pairs):
    return [sys.executable, "-c", PASS, names, ",".join(pairs)]


def serves(daemon):
    """Both sockets answer."""
    daemon.t.ok(daemon.answers(), "Version on the CRI socket")
    daemon.t.eq(daemon.command("images", "-q").out, "", "images over the control socket")


@test
def ready_and_stopping(t):
    before = mounts()
    daemon = Daemon(t)
    serves(daemon)
    for path in (daemon.socket, daemon.control, daemon.metrics):
        got = os.lstat(path)
        t.eq((stat.S_ISSOCK(got.st_mode), stat.S_IMODE(got.st_mode), got.st_uid), (True, 0o600, 0),
             path)
    log = daemon.logs()
    daemon.process.terminate()
    daemon.next("STOPPING=1")
    t.eq(daemon.process.wait(20), 0, "exit code")
    daemon.gone()
    t.eq(mounts(), before, "mounts")
    t.has(log, "ready: graph root " + daemon.store.root)


@test
def socket_directory_is_made(t):
    daemon = Daemon(t, start=False)
    folder = daemon.folder + "/run"
    daemon.extra = ["--listen", "unix://%s/cri" % folder]
    daemon.socket = folder + "/cri"
    daemon.begin = True
    daemon.run()
    t.eq(stat.S_IMODE(os.stat(folder).st_mode), 0o700, "its mode")
    t.ok(daemon.answers(), "it serves")
    daemon.stop()
    t.eq(os.listdir(folder), [], "left")


@test
def socket_directory_of_others(t):
    daemon = Daemon(t, start=False)
    for change in (lambda p: os.chmod(p, 0o777), lambda p: os.chown(p, 1, 1)):
        folder = "%s/%d" % (daemon.folder, len(os.listdir(daemon.folder)))
        os.mkdir(folder, 0o755)
        change(folder)
        daemon.extra = ["--listen", "unix://%s/cri" % folder]
        daemon.run(wait=False)
        daemon.refused(3, "others can write " + folder)


@test
def an_abstract_notify_socket(t):
    """It belongs to the network namespace that the daemon leaves."""
    daemon = Daemon(t, abstract=True, watchdog=0.3)
    daemon.next("WATCHDOG=1")
    daemon.stop()
    daemon.next("STOPPING=1", 1)


@test
def watchdog(t):
    """Keep-alives come as long as both rooms answer."""
    daemon = Daemon(t, watchdog=0.4)
    for _ in range(4):
        daemon.next("WATCHDOG=1")
    for name in ("frontend", "store"):
        pid = daemon.room(name)
        missing = "has not answered the self-check"
        before = daemon.logs().count(missing)
        os.kill(pid, signal.SIGSTOP)
        until(t, "the log to tell of the " + name, lambda: daemon.logs().count(missing) > before)
        daemon.drain()  # of checks that were answered before
        daemon.silent(1.2, "WATCHDOG=1")
        os.kill(pid, signal.SIGCONT)
        daemon.next("WATCHDOG=1")
        t.has(daemon.logs(), "answers again", name)
    daemon.stop()


@test
def watchdog_of_another_process(t):
    daemon = Daemon(t, watchdog=0.2, env={"WATCHDOG_PID": "1"})
    daemon.silent(1, "WATCHDOG=1")
    daemon.stop()


@test
def restarts_are_told(t):
    daemon = Daemon(t, watchdog=0.4)
    inode = os.stat(daemon.socket).st_ino
    for name in ("frontend", "store", "frontend", "store"):
        pid = daemon.room(name)
        os.kill(pid, signal.SIGKILL)
        until(t, name, lambda: pid not in daemon.rooms(name) and daemon.answers())
        t.ok(daemon.room(name) != pid, "another process")
    t.eq(os.stat(daemon.socket).st_ino, inode, "the socket stays")
    serves(daemon)
    daemon.drain()
    daemon.next("WATCHDOG=1")
    t.has(daemon.logs(), "the frontend ended (signal 9), it is started again in 100 ms")
    t.has(daemon.logs(), "the store worker ended (signal 9), it is started again in 100 ms")
    t.has(daemon.logs(), "in 200 ms", "the second time")
    daemon.stop()
    daemon.gone()


@test
def reload(t):
    daemon = Daemon(t, log_level="info")
    began = time.clock_gettime(time.CLOCK_MONOTONIC)
    message = daemon.reload()
    usec = int(message["MONOTONIC_USEC"])
    t.ok(began * 1e6 <= usec <= time.clock_gettime(time.CLOCK_MONOTONIC) * 1e6, "time", usec)
    t.has(daemon.logs(), "reload: done, 0 changes")
    daemon.configure(max_parallel_pulls=3, pinned_images=["example.com/a*"], uid_base=1900000000)
    daemon.reload()
    log = daemon.logs()
    t.has(log, "reload: max_parallel_pulls is now 3, was 6")
    t.has(log, 'reload: pinned_images is now ["example.com/a*"], was []')
    t.has(log, "reload: uid_base stays 1879113728: 1900000000 needs a restart")
    t.has(log, "reload: done, 3 changes")
    daemon.stop()


@test
def reload_refused(t):
    """Half a configuration is none: what held before still holds."""
    daemon = Daemon(t, pinned_images=["example.com/kept:1"])
    good = open(daemon.config).read()
    folder = os.path.splitext(daemon.config)[0] + ".conf.d"
    os.mkdir(folder, 0o700)
    broken = [(daemon.config, good + "max_parallel_pulls = [\n"),
              (daemon.config, good + "no_such_key = 1\n"),
              (daemon.config, good.replace("policy.json", "absent.json")),
              (folder + "/50.toml", 'authfile = "/absent"\nmax_parallel_pulls = 2\n')]
    for count, (path, text) in enumerate(broken, 1):
        with open(path, "w") as file:
            file.write(text)
        daemon.reload()
        t.eq(daemon.logs().count("reload: refused, nothing has changed: "), count, path)
        with open(daemon.config, "w") as file:
            file.write(good)
    t.ok("is now" not in daemon.logs(), "no value has changed")
    os.unlink(folder + "/50.toml")
    daemon.reload()
    t.has(daemon.logs(), "reload: done, 0 changes")
    serves(daemon)
    daemon.stop()


@test
def reload_of_the_policy(t):
    """A file with new content holds from then on, also where its name stays."""
    daemon = Daemon(t)
    server, image = t.scripted(), t.image("three")
    ref = server.add(image, "daemon/policy")
    pull = ("pull", "--tls-verify=false", "-q", ref)
    daemon.command(*pull)
    with open(daemon.folder + "/policy.json", "w") as file:
        json.dump({"default": [{"type": "reject"}]}, file)
    daemon.reload()
    t.has(daemon.logs(), "policy.json has new content")
    daemon.command(*pull, expect=3)
    os.unlink(daemon.folder + "/policy.json")
    daemon.reload()
    t.has(daemon.logs(), "reload: refused, nothing has changed: no signature policy")
    daemon.command(*pull, expect=3)
    daemon.stop()


def hung(pid):
    """Stops it; false if it has ended, or does before the signal arrives."""
    try:
        os.kill(pid, signal.SIGSTOP)
        while True:
            with open("/proc/%d/stat" % pid) as file:
                state = file.read().rpartition(")")[2].split()[0]
            if state in "TZX":
                return state == "T"
    except (ProcessLookupError, FileNotFoundError):
        return False


@test
def reload_stalls_nobody(t):
    """A reader that hangs takes its own time: clients are served, the manager hears of us."""
    daemon = Daemon(t, watchdog=0.4)
    deadline = time.monotonic() + 10
    while not (found := [p for p in daemon.rooms("conf") if hung(p)]):
        t.ok(time.monotonic() < deadline, "no reader could be stopped")
        daemon.hup()  # they come and go within milliseconds
    daemon.drain()
    before = len(daemon.seen)
    for _ in range(3):
        daemon.next("WATCHDOG=1")
        t.ok(daemon.answers(), "Version")
    t.ok(not any("READY" in m for m in daemon.seen[before:]), "a reload that is not over")
    for pid in found:
        os.kill(pid, signal.SIGCONT)
    daemon.next("READY=1")
    daemon.stop()
    daemon.gone()


@test
def many_signals(t):
    daemon = Daemon(t)
    for _ in range(50):
        daemon.hup()
        time.sleep(0.002)
    daemon.next("READY=1")
    serves(daemon)
    daemon.hup()
    daemon.stop()
    daemon.gone()


@test
def stop_during_the_start(t):
    for wait in (0, 0.005, 0.01, 0.015, 0.02, 0.03):
        daemon = Daemon(t, start=False)
        daemon.run(wait=False)
        time.sleep(wait)
        daemon.process.send_signal(signal.SIGTERM)
        code = daemon.process.wait(20)
        # Before main() has come as far as that, the kernel ends it.
        t.ok(code in (0, -signal.SIGTERM), "exit code", code, daemon.logs())
        daemon.gone()


@test
def stop_while_a_room_is_away(t):
    """Also a dead store's staging goes."""
    for name in ("frontend", "store"):
        daemon = Daemon(t)
        daemon.kill_room(name)
        daemon.next("STATUS=the %s ended (signal 9), it is started again" % (
            "store worker" if name == "store" else name))
        daemon.stop()
        daemon.gone()


@test
def a_stuck_frontend_is_cut_off(t):
    daemon = Daemon(t)
    os.kill(daemon.room("frontend"), signal.SIGSTOP)
    daemon.process.terminate()
    daemon.next("STOPPING=1")
    time.sleep(0.3)
    t.eq(daemon.process.poll(), None, "it waits for calls in flight")
    began = time.monotonic()
    daemon.process.terminate()
    t.eq(daemon.process.wait(20), 0, "exit code")
    t.ok(time.monotonic() - began < 3, "the second signal: at once")
    daemon.gone()


@test
def a_second_daemon(t):
    daemon = Daemon(t)
    same_root = Daemon(t, start=False, store=daemon.store)
    same_root.run(wait=False)
    same_root.refused(2, "another bulkheadd serves the graph root " + daemon.store.root)
    t.ok(not os.path.exists(same_root.socket), "no socket of it is left")
    same_socket = Daemon(t, start=False)
    for option, path in (("--listen", daemon.socket), ("--control", daemon.control)):
        same_socket.extra = [option, "unix://" + path]
        same_socket.run(wait=False)
        same_socket.refused(2, "another process listens on %s already" % path)
    serves(daemon)
    daemon.stop()
    daemon.gone()


@test
def a_stale_socket(t):
    """Left by a daemon that was killed: replaced. A file that is no socket: never."""
    daemon = Daemon(t)
    daemon.process.kill()
    daemon.process.wait()
    t.ok(os.path.exists(daemon.socket), "the file is still there")
    until(t, "the store to end", lambda: not daemon.store.staging())
    daemon.run()
    serves(daemon)
    daemon.stop()
    daemon.gone()
    with open(daemon.control, "w") as file:
        file.write("precious")
    daemon.run(wait=False)
    daemon.refused(64, daemon.control + " exists and is no socket")
    t.eq(open(daemon.control).read(), "precious", "it is kept")
    t.ok(not os.path.exists(daemon.socket), "the other socket is taken back")


@test
def a_socket_that_was_shut_down(t):
    """A frontend that was taken over can shut the listening socket down for everybody: the next
    one gets a new one. Here a tool does it with a copy, as the frontend holds one."""
    daemon = Daemon(t)
    pid = daemon.process.pid
    pidfd = os.pidfd_open(pid)
    number = None
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            target = os.readlink("/proc/%d/fd/%s" % (pid, fd))
        except FileNotFoundError:
            continue  # a file of /proc that it has just read
        if target.startswith("socket:") and socket_path(target) == daemon.socket:
            number = int(fd)
    t.ok(number is not None, "the supervisor's socket is not in /proc/net/unix")
    copy = socket.socket(fileno=pidfd_getfd(pidfd, number))
    os.close(pidfd)
    copy.shutdown(socket.SHUT_RDWR)
    copy.close()
    t.ok(not daemon.answers(), "shut down")
    daemon.kill_room("frontend")
    until(t, "the frontend", daemon.answers)
    t.has(daemon.logs(), "takes no connections any more: it is made anew")
    daemon.stop()
    daemon.gone()


def socket_path(target):
    inode = target[8:-1]
    with open("/proc/net/unix") as file:
        for line in file:
            fields = line.split()
            if len(fields) > 7 and fields[6] == inode:
                return fields[7]
    return None


def pidfd_getfd(pidfd, number):
    from harness import LIBC
    fd = LIBC.syscall(438, pidfd, number, 0)
    if fd < 0:
        raise OSError("pidfd_getfd")
    return fd


@test(needs=ACTIVATE)
def activated_cri(t):
    for names in (True, False):
        daemon = Daemon(t, activate=("cri",), names=names)
        serves(daemon)
        t.has(daemon.logs(), "cri socket: %s (passed by the service manager)" % daemon.socket)
        daemon.stop()
        t.ok(os.path.exists(daemon.socket), "a socket of the manager's stays")
        t.ok(not os.path.exists(daemon.control), "our own goes")
        os.unlink(daemon.socket)
        daemon.gone()


@test(needs=ACTIVATE)
def activated_control(t):
    daemon = Daemon(t, activate=("control",))
    serves(daemon)
    pid = daemon.room("frontend")
    os.kill(pid, signal.SIGKILL)
    until(t, "another frontend", lambda: pid not in daemon.rooms("frontend") and daemon.answers())
    serves(daemon)
    daemon.stop()
    os.unlink(daemon.control)
    daemon.gone()


@test
def passed_sockets(t):
    """All three; in any order."""
    daemon = Daemon(t, start=False)
    daemon.wrap = passing("metrics:control:cri", "SOCK_STREAM=" + daemon.metrics,
                          "SOCK_SEQPACKET=" + daemon.control, "SOCK_STREAM=" + daemon.socket)
    daemon.run()
    serves(daemon)
    t.ok(daemon.metrics_text(), "metrics")
    t.eq(daemon.logs().count("passed by the service manager"), 3)
    daemon.stop()
    for path in (daemon.socket, daemon.control, daemon.metrics):
        os.unlink(path)


@test
def passed_sockets_that_cannot_be(t):
    daemon = Daemon(t, start=False)
    path = daemon.folder + "/passed"
    for names, pairs, reason in (
            ("cri", ["SOCK_SEQPACKET=" + path], "is no stream socket"),
            ("control", ["SOCK_STREAM=" + path], "is no ListenSequentialPacket= socket"),
            ("cri", ["SOCK_STREAM!=" + path], "does not listen"),
            ("cri", ["SOCK_STREAM=@abstract" + path], "has no path"),
            ("http", ["SOCK_STREAM=" + path], "is cri, control or metrics"),
            ("cri:cri", ["SOCK_STREAM=" + path, "SOCK_STREAM=" + path + "2"], "two sockets"),
            ("", ["SOCK_STREAM=" + path, "SOCK_STREAM=" + path + "2"], "two sockets"),
            ("a:b:c:d", ["SOCK_STREAM=%s%d" % (path, i) for i in range(4)], "at most 3")):
        daemon.wrap = passing(names, *pairs)
        daemon.run(wait=False)
        daemon.refused(64, reason)
        for name in os.listdir(daemon.folder):
            if name.startswith("passed"):
                os.unlink(daemon.folder + "/" + name)
        os.unlink(daemon.log)


@test
def json_lines(t):
    daemon = Daemon(t, log_format="json", log_level="debug")
    serves(daemon)
    daemon.kill_room("store")
    daemon.next("STATUS=the store worker ended (signal 9), it is started again")
    daemon.stop()
    for line in daemon.logs().splitlines():
        got = json.loads(line)
        t.ok(set(got) - {"request"} == {"time", "level", "room", "msg"}, line)
        t.ok(got["level"] in ("error", "warning", "info", "debug"), line)
        time.strptime(got["time"][:19] + got["time"][23:], "%Y-%m-%dT%H:%M:%SZ")


@test
def journal_lines(t):
    """With stderr as JOURNAL_STREAM says, each line begins with its priority."""
    daemon = Daemon(t, start=False)
    open(daemon.log, "w").close()
    got = os.stat(daemon.log)
    daemon.environ["JOURNAL_STREAM"] = "%d:%d" % (got.st_dev, got.st_ino)
    daemon.run()
    daemon.stop()
    lines = daemon.logs().splitlines()
    t.ok(lines and all(l[0] == "<" and l[1] in "3467" and l[2] == ">" for l in lines), lines)
    t.ok("<6>supervisor: stopping" in lines, "no time, no level of its own", lines)


@test(needs=("chrt",))
def quick_start(t):
    """Ready within 50 ms of the start on an empty store, with the machine to itself: at a real-time
    priority, and the best of several. Idle, all rooms together take little."""
    times = []
    for _ in range(8):
        daemon = Daemon(t, wrap=FIRST_IN_LINE)
        times.append(daemon.ready_ms)
        pss = daemon.pss()
        daemon.stop()
        if min(times) < 50:
            break
    t.ok(min(times) < 50, "ready after", times)
    t.ok(pss < 20 * 1024, "KiB of Pss, idle", pss)

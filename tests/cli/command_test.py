"""The bulkhead command as a process: start of the service, confinement, signals, exit codes."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

COMMAND, SERVICE = sys.argv[1:3]
with open(COMMAND, "rb") as f:
    SANITIZED = b"__asan_init" in f.read()


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.dir)
        os.chmod(self.dir, 0o755)
        shutil.copy(COMMAND, self.dir + "/bulkhead")
        shutil.copy(SERVICE, self.dir + "/bulkheadd")

    def run_it(self, *args, **more):
        return subprocess.run([self.dir + "/bulkhead", *args], capture_output=True, text=True,
                              timeout=30, **more)

    def start(self, *args):
        p = subprocess.Popen([self.dir + "/bulkhead", *args], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
        seen = ""
        while "hanging" not in seen:
            line = p.stderr.readline()
            self.assertTrue(line, seen)
            seen += line
        return p, seen

    def test_result(self):
        r = self.run_it("pull", "-q", "good", "fine")
        self.assertEqual((r.returncode, r.stdout), (0, ("0" * 64 + "\n") * 2))
        self.assertIn("swept\n", r.stderr)

    def test_surroundings(self):
        os.mkdir(self.dir + "/work")
        r = self.run_it("--root", "store", "--runroot=/run/x", "--config", "c.toml", "pull", "-q",
                        "--authfile", "auth.json", "--cert-dir", "certs", "--log-level", "debug",
                        "good", cwd=self.dir + "/work", env={"SECRET": "x", "PATH": "/bin"})
        work = os.path.realpath(self.dir + "/work")
        self.assertIn(f"args --embedded --root {work}/store --runroot /run/x --config {work}/c.toml"
                      f" --authfile {work}/auth.json --cert-dir {work}/certs --log-level debug\n",
                      r.stderr)
        if SANITIZED:
            return
        self.assertIn("env 0 fds 0 1 2 3 cwd / leader 1 blocked 0\n", r.stderr)

    def test_resolve(self):
        for name, means in (("busybox", "one/busybox\ntwo/busybox\n"),
                            ("docker://a/b", "one/a/b\ntwo/a/b\n"),
                            ("0" * 64, "one/%s\ntwo/%s\n" % ("0" * 64, "0" * 64))):
            r = self.run_it("resolve", name)
            self.assertEqual((r.returncode, r.stdout), (0, means))
        r = self.run_it("resolve", "Bad")
        self.assertEqual((r.returncode, r.stdout), (64, ""))
        self.assertNotIn("args", r.stderr)  # nobody has to be asked

    def test_no_daemon(self):
        path = self.dir + "/control.sock"
        r = self.run_it("--socket", path, "images")
        self.assertEqual((r.returncode, r.stdout), (125, ""))
        self.assertIn(f"no daemon listens on {path}", r.stderr)
        self.assertNotIn("args", r.stderr)  # nor is a service of its own started
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.bind(path)
            s.listen()
            r = self.run_it("--socket", "unix://" + path, "images")
            self.assertEqual(r.returncode, 64)
            self.assertIn("is no control socket", r.stderr)
        r = self.run_it("--socket", "/" + "s" * 108, "images")
        self.assertEqual(r.returncode, 64)
        self.assertIn("at most 107", r.stderr)

    def test_daemon(self):
        path = self.dir + "/control.sock"
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.bind(path)
            s.listen()
            p = subprocess.Popen([self.dir + "/bulkhead", "--socket", path, "images"],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            c, _ = s.accept()
            hello, request = c.recv(65536), c.recv(65536)
            self.assertNotEqual(hello, request)
            c.close()
            out, err = p.communicate(timeout=30)
        self.assertEqual((p.returncode, out), (125, ""))
        self.assertIn("the daemon ended the conversation", err)
        self.assertNotIn("args", err)

    def test_exit_codes(self):
        for word, code, says in (("missing", 1, "bulkhead: there is no such image\n"),
                                 ("refuse", 3, "bulkheadd: no policy\n"),
                                 ("die", 125, "bulkhead: the service was killed by signal 9\n"),
                                 ("leave", 125, "bulkhead: the service ended before it answered\n"),
                                 ("room", 1, "")):
            with self.subTest(word):
                r = self.run_it("pull", "-q", word)
                self.assertEqual(r.returncode, code, r.stderr)
                self.assertIn(says, r.stderr)
                self.assertEqual(r.stdout, "")

    def test_usage(self):
        for args in (["pull"], ["pull", "Bad"], ["ps", "--root", "/x"], ["nothing"]):
            r = self.run_it(*args)
            self.assertEqual((r.returncode, r.stdout), (64, ""))
            self.assertNotIn("args", r.stderr)  # nothing was started
            self.assertEqual(r.stderr.count("\n"), 1)

    def test_without_service(self):
        os.unlink(self.dir + "/bulkheadd")
        r = self.run_it("images")
        self.assertEqual(r.returncode, 125)
        self.assertIn("install bulkhead whole", r.stderr)
        self.assertEqual(self.run_it("version").returncode, 0)
        self.assertEqual(self.run_it("--help").returncode, 0)

    def test_service_that_does_not_run(self):
        with open(self.dir + "/bulkheadd", "w") as f:
            f.write("no program")
        r = self.run_it("images")
        self.assertEqual(r.returncode, 125)
        self.assertIn("Exec format error", r.stderr)

    def test_interrupt(self):
        for sig, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)):
            with self.subTest(sig):
                p, _ = self.start("pull", "-q", "hang", "good")
                p.send_signal(sig)
                out, err = p.communicate(timeout=30)
                self.assertEqual((p.returncode, out), (code, ""))
                # Told, answered, closed, and waited for.
                self.assertEqual(err, "cancelled\nswept\n")

    def test_confined(self):
        p, _ = self.start("pull", "-q", "--creds", "user:hunter2", "hang")
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:  # the service speaks before the command is confined
            with open(f"/proc/{p.pid}/status") as f:
                status = dict(line.split(":\t", 1) for line in f)
            if status["NoNewPrivs" if SANITIZED else "Seccomp"].strip() != "0":
                break
            time.sleep(0.01)
        with open(f"/proc/{p.pid}/cmdline") as f:
            line = f.read()
        p.send_signal(signal.SIGINT)
        p.communicate(timeout=30)
        self.assertNotIn("hunter2", line)
        self.assertEqual(status["NoNewPrivs"].strip(), "1")
        for which in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            self.assertEqual(int(status[which], 16), 0)
        if os.getuid() == 0:
            self.assertEqual(status["Uid"].split(), ["65534"] * 4)
            self.assertEqual(status["Gid"].split(), ["65534"] * 4)
            self.assertEqual(status["Groups"].strip(), "")
            self.assertEqual(int(status["CapBnd"], 16), 0)
        if not SANITIZED:
            self.assertEqual(status["Seccomp"].strip(), "2")

    def test_output_lost(self):
        with open("/dev/full", "w") as full:
            r = subprocess.run([self.dir + "/bulkhead", "pull", "-q", "good"], stdout=full,
                               stderr=subprocess.PIPE, text=True, timeout=30)
        self.assertEqual(r.returncode, 6)
        self.assertIn("bulkhead: writing the result: No space left", r.stderr)

    def test_terminal(self):
        """Bars on a terminal, and their colours nowhere else."""
        import pty
        pid, fd = pty.fork()
        if pid == 0:
            os.environ["TERM"] = "xterm"
            os.execv(self.dir + "/bulkhead", ["bulkhead", "pull", "good"])
        text = b""
        while True:
            try:
                part = os.read(fd, 4096)
            except OSError:
                break
            if not part:
                break
            text += part
        os.close(fd)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        self.assertIn(b"good: asking the registry", text)
        self.assertIn(b"\x1b[1A\x1b[J", text)
        self.assertNotIn("\x1b", self.run_it("pull", "good").stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])

"""Debian's docker-registry, and a certificate authority."""
import os
import re
import shutil
import ssl
import subprocess
import time

import mkimage
from registry import all_answered, basic


def bcrypt(password):
    """htpasswd's form. The crypt module is deprecated but in Debian 12; Apache's program else."""
    try:
        import warnings
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import crypt
        return crypt.crypt(password, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16))
    except (ImportError, ValueError):
        out = subprocess.run(["htpasswd", "-nbB", "u", password], check=True,
                             stdout=subprocess.PIPE, text=True).stdout
        return out.strip().split(":", 1)[1]


class Real:
    """Debian's docker-registry on a free loopback port; everything below `folder`. caches: the
    registry of which it is a pull-through cache."""

    def __init__(self, folder, user=None, password=None, address="127.0.0.1", caches=None):
        self.folder, self.address, self.tls, self.login = folder, address, "", ""
        if caches:
            self.login = "proxy:\n  remoteurl: http://%s\n" % caches.host
        os.makedirs(folder, exist_ok=True)
        self.auth = basic(user, password) if user else None
        self.log = os.path.join(folder, "log")
        if user:
            with open(self.folder + "/htpasswd", "w") as file:
                file.write("%s:%s\n" % (user, bcrypt(password)))
            self.login = "auth:\n  htpasswd:\n    realm: test\n    path: %s/htpasswd\n" % folder
        self.begin()

    def begin(self):
        """The kernel chooses a port, and the log tells it when the server listens there."""
        addr = "[%s]:0" if ":" in self.address else "%s:0"
        config = ("version: 0.1\nlog:\n  level: info\n  formatter: text\nstorage:\n"
                  "  filesystem:\n    rootdirectory: %s/data\n  delete:\n    enabled: true\n"
                  "http:\n  addr: '%s'\n%s%s" % (self.folder, addr % self.address, self.tls,
                                                self.login))
        with open(self.folder + "/config.yml", "w") as file:
            file.write(config)
        program = shutil.which("docker-registry") or "/usr/bin/docker-registry"
        with open(self.log, "ab") as log:
            before = log.tell()
            self.process = subprocess.Popen(
                [program, "serve", self.folder + "/config.yml"], stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, cwd="/", env={
                    "PATH": os.environ["PATH"], "HOME": self.folder, "OTEL_TRACES_EXPORTER": "none"})
        deadline = time.monotonic() + 60
        while not (found := re.search(r'msg="listening on (\S+:(\d+))[", ]', self.text(before))):
            if time.monotonic() > deadline or self.process.poll() is not None:
                self.stop()
                raise RuntimeError("docker-registry did not start:\n" + self.text(before)[-2000:])
            time.sleep(0.02)
        self.host, self.port = found[1], int(found[2])

    def text(self, mark=0):
        with open(self.log, "rb") as file:
            file.seek(mark)
            return file.read().decode(errors="replace")

    def speak_tls(self, certificate, key, clients=()):
        """From now on, with what it has; clients: CAs, of which it tells its clients."""
        self.tls = "  tls:\n    certificate: %s\n    key: %s\n" % (certificate, key)
        if clients:
            self.tls += "    clientcas: [%s]\n" % ", ".join(clients)
        self.again()

    def take_tokens(self, realm, issuer, bundle):
        """From now on only with tokens of that issuer, signed below that certificate."""
        self.login = ("auth:\n  token:\n    realm: %s\n    service: test registry\n    issuer: %s\n"
                      "    rootcertbundle: %s\n" % (realm, issuer, bundle))
        self.again()

    def again(self):
        self.stop()
        self.begin()

    def push(self, image, name, tag="latest"):
        return mkimage.push(self.host, image, name, tag, self.auth)

    def ref(self, name, tag="latest"):
        return "%s/%s:%s" % (self.host, name, tag)

    def mark(self):
        """A place in the log; since(mark) is what was written of requests after it."""
        all_answered([self.port])
        return os.path.getsize(self.log)

    def since(self, mark):
        all_answered([self.port])
        return self.text(mark)

    def lose(self, name, digest):
        """It has that blob no more."""
        os.unlink("%s/data/docker/registry/v2/repositories/%s/_layers/sha256/%s/link" % (
            self.folder, name, digest.split(":")[1]))

    def served_since(self, mark, kept=False):
        """What was asked for, by whom: (what, status, agent) of each GET. kept: somebody keeps
        connections to it."""
        return [(what, int(status), agent) for what, status, agent in re.findall(
            r'"GET /v2/\S+/((?:manifests|blobs)/[^ ?]+)\S* HTTP/1.1" (\d+) \d+ "[^"]*" "([^"]*)"',
            self.text(mark) if kept else self.since(mark))]

    def blobs_since(self, mark, kind=set):
        """The digests of those that were downloaded."""
        return kind(re.findall(r'"GET /v2/\S+/blobs/(sha256:[0-9a-f]{64})', self.since(mark)))

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Authority:
    """A certificate authority made with openssl, and certificates for loopback servers."""

    def __init__(self, folder, name="test authority"):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                 "-nodes", "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj",
                 "/CN=" + name)

    def run(self, *args):
        subprocess.run(["openssl", *args], cwd=self.folder, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def made(self, label, names, days=2, signer=("-CA", "ca.crt", "-CAkey", "ca.key"), more="",
             key=("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"), sign=()):
        """LABEL.key and LABEL.crt; more: lines of extensions."""
        with open("%s/%s.ext" % (self.folder, label), "w") as file:
            file.write("%s%s\n" % ("subjectAltName=%s\n" % ",".join(names) if names else "", more))
        self.run("req", "-newkey", *key, "-nodes", "-keyout", label + ".key", "-out",
                 label + ".csr", "-subj", "/CN=" + label)
        serial = ["-set_serial", str(int.from_bytes(os.urandom(8), "big") >> 1)]
        self.run("x509", "-req", "-in", label + ".csr", *signer, *serial, "-out", label + ".crt",
                 "-days", str(days), "-extfile", label + ".ext", *sign)
        return "%s/%s" % (self.folder, label)

    def context(self, label, names=("DNS:localhost", "IP:127.0.0.1"), signed=True, **more):
        if not signed:
            more["signer"] = ("-signkey", label + ".key")
        return self.presents(self.made(label, names, **more))

    def presents(self, base, chain=()):
        """A server's context for BASE.crt and BASE.key, with the texts of a chain."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("DEFAULT:@SECLEVEL=0")  # what it presents is the client's to judge
        path = base + ".crt"
        if chain:
            with open(base + ".chain", "w") as file:
                file.write("".join(open(name).read() for name in (path, *chain)))
            path = base + ".chain"
        context.load_cert_chain(path, base + ".key")
        return context

    def client(self, label, **options):
        """Files of a client certificate and its key."""
        self.context(label, **options)
        return ["%s/%s.%s" % (self.folder, label, end) for end in ("crt", "key")]

    def below(self, label, names, depth=1, authority=True):
        """A certificate `depth` others below the CA; they are authorities or pretend to be."""
        signer, chain, ca = ["-CA", "ca.crt", "-CAkey", "ca.key"], [], ""
        if authority:
            ca = "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign"
        for i in range(depth):
            base = self.made("%s-%d" % (label, i), (), signer=signer, more=ca)
            signer, chain = ["-CA", base + ".crt", "-CAkey", base + ".key"], [base + ".crt", *chain]
        return self.presents(self.made(label, names, signer=signer), chain)

    @property
    def ca(self):
        return self.folder + "/ca.crt"

    def cert_dir(self):
        """A directory as --cert-dir wants it."""
        path = self.folder + "/certs.d"
        os.makedirs(path, exist_ok=True)
        shutil.copy(self.ca, path + "/ca.crt")
        return path

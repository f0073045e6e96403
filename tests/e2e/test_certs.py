"""containers-certs.d(5), rule by rule, with skopeo beside as the judge of what the rules mean;
which certificates leave for whom; which TLS is spoken at all."""
import os
import shutil
import ssl

from harness import test
import real
import registry

CONTAINERS, DOCKER = "/etc/containers/certs.d", "/etc/docker/certs.d"


class Ground:
    """Two authorities, files of a client, a server that wants one and one that does not."""

    def __init__(self, t):
        self.t, self.image = t, t.image("tiny")
        t.etc()
        self.ours = real.Authority(t.folder + "/ours")
        self.theirs = real.Authority(t.folder + "/theirs", "another")
        self.client, self.stranger = self.ours.client("client"), self.theirs.client("stranger")
        self.open = t.scripted(tls=self.ours.context("open"))
        self.open.add(self.image, "certs/x")
        self.closed = t.real(user=None)
        self.closed.push(self.image, "certs/x")
        self.closed.speak_tls(*self.ours.client("closed"), [self.ours.ca])

    def asking(self, label, mode):
        """A server that sees whoever shows a certificate."""
        context = self.ours.context(label)
        context.verify_mode = mode
        context.load_verify_locations(self.ours.ca)
        server = self.t.scripted(tls=context)
        server.add(self.image, "certs/x")
        return server

    def lay(self, files):
        """{path: source file, or "" for a link that leads nowhere, or None for a directory}"""
        for place in (CONTAINERS, DOCKER):
            shutil.rmtree(place, ignore_errors=True)
        for path, source in files.items():
            os.makedirs(os.path.dirname(path) if source is not None else path, exist_ok=True)
            if source:
                shutil.copy(source, path)
            elif source == "":
                os.symlink("/nowhere/at/all", path)

    def ask(self, server, *args, expect=0):
        return self.t.bulkhead(self.t.store(), "inspect", "--remote", "--tls-verify=true", *args,
                               server.host + "/certs/x:latest", expect=expect)

    def skopeo_reads(self, server):
        return self.t.skopeo(self.t.store(), "inspect", "--raw", "docker://%s/certs/x:latest" %
                             server.host, expect=None).code == 0


def rules(g):
    """(rule, server, files, whether the registry is read)"""
    here, there = CONTAINERS + "/" + g.open.host, DOCKER + "/" + g.open.host
    shut = CONTAINERS + "/" + g.closed.host
    ours, theirs = g.ours.ca, g.theirs.ca
    pair = {shut + "/client.cert": g.client[0], shut + "/client.key": g.client[1]}
    other = {shut + "/a.cert": g.stranger[0], shut + "/a.key": g.stranger[1]}
    return [
        ("nothing: the system's CAs alone", g.open, {}, False),
        ("*.crt is a CA", g.open, {here + "/any.crt": ours}, True),
        ("several CAs", g.open, {here + "/a.crt": theirs, here + "/b.crt": ours}, True),
        ("another's CA", g.open, {here + "/a.crt": theirs}, False),
        ("docker's directory", g.open, {there + "/ca.crt": ours}, True),
        ("of two directories the first alone", g.open,
         {here: None, there + "/ca.crt": ours}, False),
        ("the port is part of the name", g.open, {CONTAINERS + "/127.0.0.1/ca.crt": ours}, False),
        ("*.pem is nothing", g.open, {here + "/ca.pem": ours}, False),
        ("certs.d itself holds none", g.open, {CONTAINERS + "/ca.crt": ours}, False),
        ("a link that leads nowhere", g.open, {here + "/a.crt": "", here + "/b.crt": ours}, True),
        ("a client certificate is demanded", g.closed, {shut + "/ca.crt": ours}, False),
        ("*.cert and *.key of one name", g.closed, {shut + "/ca.crt": ours, **pair}, True),
        ("the pair that the server's CA has signed", g.closed,
         {shut + "/ca.crt": ours, **other, **pair}, True),
        ("a pair of another CA only", g.closed, {shut + "/ca.crt": ours, **other}, False),
        ("a certificate without its key", g.open,
         {here + "/ca.crt": ours, here + "/c.cert": g.client[0]}, False),
        ("a key without its certificate", g.open,
         {here + "/ca.crt": ours, here + "/c.key": g.client[1]}, False),
        ("the key of another certificate", g.closed,
         {shut + "/ca.crt": ours, shut + "/client.cert": g.client[0],
          shut + "/client.key": g.stranger[1]}, False),
    ]


@test
def the_rules_of_the_manual(t):
    g = Ground(t)
    for rule, server, files, readable in rules(g):
        g.lay(files)
        got = g.ask(server, expect=None)
        t.eq(got.code == 0, readable, rule + "\n" + str(got))
        t.eq(g.skopeo_reads(server), readable, "skopeo on: " + rule)


@test
def what_is_wrong_is_said(t):
    g = Ground(t)
    here, ca = CONTAINERS + "/" + g.open.host, g.ours.ca
    shut = CONTAINERS + "/" + g.closed.host

    def says(server, files, code, *parts):
        g.lay(files)
        got = g.ask(server, expect=code)
        for part in parts:
            t.has(got.err, part, "the reason")
        t.ok("(credentials" not in got.err, "a login has nothing to do with it:", got.err)
        t.eq(len(got.err.strip().splitlines()), 1, "lines of:\n" + got.err)

    says(g.open, {here + "/c.cert": g.client[0]}, 64, here + "/c.key is missing", ".crt")
    says(g.open, {here + "/c.key": g.client[1]}, 64, here + "/c.cert is missing")
    says(g.closed, {shut + "/ca.crt": ca}, 4, "asked for a client certificate",
         "no client certificate was found for %s: NAME.cert and NAME.key belong in its" % g.closed.host)
    says(g.closed, {shut + "/ca.crt": ca, shut + "/c.cert": g.stranger[0],
                    shut + "/c.key": g.stranger[1]}, 4, shut + "/c.cert")
    says(g.closed, {shut + "/ca.crt": ca, shut + "/c.cert": g.client[0],
                    shut + "/c.key": g.stranger[1]}, 64, shut + "/c.key", "is not that of")
    says(g.closed, {shut + "/ca.crt": ca, shut + "/c.cert": g.client[0], shut + "/c.key": ca},
         64, shut + "/c.key", "no private key")
    g.lay({here + "/ca.crt": ca})
    for path, part in ((here, "chmod go-w"), (here + "/ca.crt", "chmod go-w")):
        os.chmod(path, 0o777)
        t.has(g.ask(g.open, expect=64).err, part, "others could write " + path)
        os.chmod(path, 0o755)
    os.chown(here + "/ca.crt", 1000, 0)
    t.has(g.ask(g.open, expect=64).err, "belongs to user 1000", "the owner")


@test
def an_encrypted_key_is_refused(t):
    g = Ground(t)
    shut, locked = CONTAINERS + "/" + g.closed.host, t.folder + "/locked.key"
    t.run(["openssl", "pkey", "-in", g.client[1], "-aes128", "-passout", "pass:x", "-out", locked])
    g.lay({shut + "/ca.crt": g.ours.ca, shut + "/c.cert": g.client[0], shut + "/c.key": locked})
    t.has(g.ask(g.closed, expect=64).err, "the key is encrypted", "the reason")


@test
def cert_dir_takes_their_place(t):
    """As podman's, and with directories of hosts, which alone have client certificates."""
    g, own = Ground(t), t.folder + "/own"
    g.lay({CONTAINERS + "/" + g.open.host + "/ca.crt": g.ours.ca})
    os.mkdir(own)
    g.ask(g.open, "--cert-dir", own, expect=5)
    shutil.copy(g.ours.ca, own + "/ca.pem")
    g.ask(g.open, "--cert-dir", own)
    for folder, code in ((own, 4), (own + "/" + g.closed.host, 0)):
        os.makedirs(folder, exist_ok=True)
        shutil.copy(g.client[0], folder + "/c.cert")
        shutil.copy(g.client[1], folder + "/c.key")
        g.ask(g.closed, "--cert-dir", own, expect=code)


@test
def a_client_certificate_goes_to_its_own_host(t):
    """A redirect's target asks for one as well, and gets none; nor does it in another pull."""
    g, seen = Ground(t), []
    own, target = g.asking("own", ssl.CERT_REQUIRED), g.asking("target", ssl.CERT_OPTIONAL)
    target.on("/v2/", lambda s, r, answer: seen.append(r.conn.getpeercert()) or answer)
    own.on("/blobs/", registry.redirect(lambda path: target.url + path))
    here = CONTAINERS + "/" + own.host
    g.lay({here + "/ca.crt": g.ours.ca, here + "/c.cert": g.client[0],
           here + "/c.key": g.client[1], CONTAINERS + "/" + target.host + "/ca.crt": g.ours.ca})
    t.bulkhead(t.store(), "pull", "--tls-verify=true", own.host + "/certs/x:latest")
    t.ok(seen, "the target was not asked")
    g.ask(target)
    t.eq([c for c in seen if c], [], "certificates that a stranger saw")


@test
def tls_1_2_at_least(t):
    g = Ground(t)
    for version, code in ((ssl.TLSVersion.TLSv1_1, 5), (ssl.TLSVersion.TLSv1_2, 0)):
        context = g.ours.context("old%d" % code)
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = version
        server = t.scripted(tls=context)
        server.add(g.image, "certs/x")
        g.lay({CONTAINERS + "/" + server.host + "/ca.crt": g.ours.ca})
        got = g.ask(server, expect=code)
        if code:
            t.has(got.err, "less than TLS 1.2", "the reason")
            t.eq(server.requests, [], "requests over old TLS")

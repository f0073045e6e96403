"""Registries in the shapes in which nodes meet them: Debian's docker-registry with logins, tokens
and TLS, nginx before it, other addresses, long names, many tags, many pulls."""
import base64
import os
import threading

from harness import test
from daemon import Daemon
from cri import ended
from test_cri import plain
from test_cri_pull import until
import fronts
import mkimage
import real
import registry
from tarmake import Tar

USER, PASSWORD = "robot$ci", "a:b c%41\u00e9"


def secured(t, **options):
    """A registry with TLS of its own authority; the configuration that knows it."""
    authority = t.authority()
    base = authority.made("server", ["IP:127.0.0.1", "IP:::1", "DNS:localhost"])
    server = t.real(**options)
    return authority, base, server


@test
def logins_over_tls(t):
    """htpasswd, an own CA, a password of odd characters; each thing missing is told apart."""
    authority, base, server = secured(t, user=USER, password=PASSWORD)
    ref = server.push(plain("shapes-login"), "shapes/login")
    server.speak_tls(base + ".crt", base + ".key")
    ref = server.ref("shapes/login")
    known = t.config(cert_dir=authority.cert_dir(), insecure_registries=[])
    strict = ["--tls-verify=true"]
    store = t.store()
    refused = t.bulkhead(store, "pull", *strict, "--creds", USER + ":" + PASSWORD, ref, expect=5)
    t.has(refused.err, "certificate", "why")
    t.has(t.bulkhead(store, "pull", *strict, ref, config=known, expect=4).err, server.host, "where")
    wrong = t.bulkhead(store, "pull", *strict, "--creds", USER + ":no", ref, config=known, expect=4)
    t.ok(PASSWORD not in wrong.err + refused.err, "a password in a message")
    t.bulkhead(store, "pull", *strict, "-q", "--creds", USER + ":" + PASSWORD, ref, config=known)
    t.eq(store.images()[0]["names"], [ref], "the name")


@test
def client_certificates(t):
    """A registry that speaks only to clients of its authority."""
    authority, base, server = secured(t, user=None)
    image = plain("shapes-client")
    server.push(image, "shapes/client")
    server.speak_tls(base + ".crt", base + ".key", [authority.ca])
    ref, place = server.ref("shapes/client"), "%s/certs/%s" % (t.folder, server.host)
    config = t.config(cert_dir=t.folder + "/certs", insecure_registries=[])
    os.makedirs(place)
    t.write("certs/%s/ca.crt" % server.host, open(authority.ca).read())
    shut = t.bulkhead(t.store(), "pull", "--tls-verify=true", ref, config=config, expect=4)
    t.has(shut.err, "client certificate", "why")
    for source, name in zip(authority.client("client"), ("client.cert", "client.key")):
        t.write("certs/%s/%s" % (server.host, name), open(source).read())
    done = t.bulkhead(t.store(), "pull", "--tls-verify=true", "-q", ref, config=config)
    t.eq(done.out.strip(), image.id, "the image")


@test
def tokens(t):
    """docker-registry checks signatures and scopes of tokens; nobody gets what is not public."""
    authority, _, server = secured(t, user=None)
    open_image, shut = plain("shapes-open"), plain("shapes-shut")
    server.push(open_image, "shapes/open")
    server.push(shut, "shapes/shut")
    issuer = fronts.TokenServer(authority, USER, PASSWORD, public=("shapes/open",))
    t.cleanups.append(issuer.stop)
    server.take_tokens(issuer.realm, issuer.issuer, issuer.bundle)
    node_ = Daemon(t)
    client = node_.client()
    t.eq(client.pull(server.ref("shapes/open")), open_image.id, "without a login")
    t.eq({a for _, _, a in issuer.asked}, {None}, "what the token server was shown")
    for auth in ({}, {"username": USER, "password": "wrong"}):
        try:
            client.pull(server.ref("shapes/shut"), **auth)
            t.ok(False, "pulled with", auth)
        except Exception as error:
            t.eq(getattr(error, "code", error), "UNAUTHENTICATED", "with %s" % auth)
            t.ok(PASSWORD not in str(error), "the password in a message")
    issuer.asked.clear()
    t.eq(client.pull(server.ref("shapes/shut"), username=USER, password=PASSWORD), shut.id, "")
    t.eq({a for _, _, a in issuer.asked}, {issuer.login}, "what the token server was shown")
    t.eq({s for s, _, _ in issuer.asked}, {"repository:shapes/shut:pull"}, "scopes")
    t.ok(len(issuer.asked) == 1, "one token a pull:", issuer.asked)
    with open(server.log) as file:
        t.ok(PASSWORD not in file.read(), "the registry's log has the password")
    node_.stop()


PROXY = """client_max_body_size 0;
location /v2/ { proxy_pass http://REGISTRY; proxy_set_header Host $http_host; }
"""
CACHE = """location /v2/ { proxy_pass http://REGISTRY; proxy_set_header Host $http_host;
proxy_cache blobs; proxy_cache_valid 200 1h; proxy_cache_lock on; }
"""
# Blobs are elsewhere, behind a URL that is signed by its query, as object stores have it.
STORE = """location ~ ^/v2/.*/blobs/sha256:(..)(.*)$ {
return 307 https://SERVER3/data/$1/$1$2/data?signature=a%2Bb;
}
location /v2/ { proxy_pass http://REGISTRY; proxy_set_header Host $http_host; }
"""
# An object store refuses a request that brings another login than its query.
OBJECTS = """location /data/ { if ($http_authorization) { return 400; }
if ($arg_signature != "a%2Bb") { return 403; }
alias DATA/docker/registry/v2/blobs/sha256/; }
"""
PREFIX = """location /v2/team/registry/ { proxy_pass http://REGISTRY/v2/; proxy_set_header Host $http_host; }
location = /v2/ { proxy_pass http://REGISTRY/v2/; }
"""


@test(needs=["nginx"])
def behind_nginx(t):
    """As mirror, as cache, before a store of blobs, with a path prefix; over TLS, with a login."""
    authority, base, server = secured(t, user=USER, password=PASSWORD)
    image = t.image("three")
    server.push(image, "shapes/three")
    nginx = fronts.Nginx(t.folder + "/nginx", base, [
        text.replace("REGISTRY", server.host).replace("DATA", server.folder + "/data")
        for text in (PROXY, CACHE, STORE, OBJECTS, PREFIX)])
    t.cleanups.append(nginx.stop)
    config = t.config(cert_dir=authority.cert_dir(), insecure_registries=[])

    def pull(place, name="shapes/three"):
        store = t.store()
        done = t.bulkhead(store, "pull", "--tls-verify=true", "-q", "--creds",
                          USER + ":" + PASSWORD, "%s/%s" % (place, name), config=config)
        t.eq(done.out.strip(), image.id, place)
        t.eq(store.images()[0]["names"], ["%s/%s:latest" % (place, name)], "the name")

    blobs = {b.digest for b in image.blobs()}
    pull(nginx.hosts[0])
    pull(nginx.hosts[1])
    mark = server.mark()
    pull(nginx.hosts[1])
    t.eq(server.blobs_since(mark), set(), "what the cache asked the registry for")
    pull(nginx.hosts[2])
    t.eq(server.blobs_since(mark), set(), "what the store's front asked the registry for")
    served = [l for l in nginx.lines() if "GET /data/" in l]
    t.eq(len([l for l in served if '" 200 ' in l]), len(blobs), "blobs from the store: %s" % served)
    pull(nginx.hosts[4], "team/registry/shapes/three")


@test(needs=["nginx"])
def nginx_as_mirror(t):
    """A dead mirror, one that lacks the image, one behind nginx with a cache, with a login of its
    own; the registry itself is nowhere. The name recorded is the one that was asked for."""
    authority, base, server = secured(t, user=USER, password=PASSWORD)
    image = t.image("three")
    server.push(image, "shapes/three")
    nginx = fronts.Nginx(t.folder + "/nginx", base, [CACHE.replace("REGISTRY", server.host)])
    t.cleanups.append(nginx.stop)
    places = ["127.0.0.1:%d/shapes" % registry.closed_port(t), nginx.hosts[0] + "/nothing",
              nginx.hosts[0] + "/shapes"]
    conf = '[[registry]]\nprefix = "example.test/mirrored"\nlocation = "example.test/mirrored"\n'
    conf += "".join('[[registry.mirror]]\nlocation = "%s"\n' % place for place in places)
    secret = base64.b64encode(("%s:%s" % (USER, PASSWORD)).encode()).decode()
    config = t.config(cert_dir=authority.cert_dir(), insecure_registries=[],
                      registries_conf=t.write("registries.conf", conf), authfile=t.write(
                          "auth.json", {"auths": {nginx.hosts[0]: {"auth": secret}}}))
    for turn in range(2):
        store, mark = t.store(), server.mark()
        done = t.bulkhead(store, "pull", "-q", "example.test/mirrored/three", config=config)
        t.eq(done.out.strip(), image.id, "the image")
        t.eq(store.images()[0]["names"], ["example.test/mirrored/three:latest"], "the name")
        t.eq(server.blobs_since(mark), {b.digest for b in image.blobs()} if not turn else set(),
             "blobs that the cache asked for")
    t.ok(any("/shapes/three/" in l and "?ns=example.test " in l for l in nginx.lines()),
         "the mirror was not told for whom:", nginx.lines()[:3])


@test
def over_ipv6(t):
    """::1 with TLS and a port; an address and names in a network of their own: test_dns.py."""
    authority, base, server = secured(t, address="::1")
    image = plain("shapes-six")
    server.push(image, "shapes/six")
    server.speak_tls(base + ".crt", base + ".key")
    ref = server.ref("shapes/six")
    config = t.config(cert_dir=authority.cert_dir(), insecure_registries=[])
    store = t.store()
    done = t.bulkhead(store, "pull", "--tls-verify=true", "-q", ref, config=config)
    t.eq((done.out.strip(), store.images()[0]["names"]), (image.id, [ref]), "image and name")


@test
def long_names(t):
    """A hundred components; 255 characters with the host, which is what podman takes as well."""
    server, store = t.real(), t.store()
    image = plain("shapes-long")
    longest = "b" * (255 - len(server.host) - 1)
    for name in ("/".join("a" * 100), longest, "c__d.e-f/" + "g/" * 50 + "h"):
        ref = server.push(image, name, "t" * 128)
        t.pull(store, "-q", ref)
        t.ok(ref in store.images()[0]["names"], "no name", ref, store.images()[0]["names"])
    listed = t.podman(store, "images", "--format", "{{.Repository}}").out.split()
    t.eq(len(listed), 3, "names podman sees")


@test
def two_thousand_tags(t):
    """Nothing lists them; a pull costs what it costs with one tag."""
    server, store = t.real(), t.store()
    image = plain("shapes-tags")
    server.push(image, "shapes/tags", "v0")
    place = server.folder + "/data/docker/registry/v2/repositories/shapes/tags/_manifests/tags/"
    for i in range(1, 2000):
        os.makedirs("%sv%d/current" % (place, i))
        with open("%sv%d/current/link" % (place, i), "w") as file:
            file.write(image.manifest.digest)
    mark = server.mark()
    for tag in ("v1999", "v1000"):
        t.pull(store, "-q", server.ref("shapes/tags", tag))
    t.eq(sorted(store.images()[0]["names"]), [server.ref("shapes/tags", tag) for tag in (
        "v1000", "v1999")], "names")
    t.ok("/tags/list" not in server.since(mark), "the tags were listed")


@test(needs=["taskset"])
def a_hundred_pulls_at_once(t):
    """Of different images, on two cores: all of them arrive, and memory stays bounded."""
    server, daemon = t.real(), Daemon(t, wrap=["taskset", "-c", "0-1"])
    refs = {}
    for i in range(100):
        image = mkimage.Image([mkimage.layer(Tar().add("base", b"the same")), mkimage.layer(
            Tar().add("own", os.urandom(20000)))], cmd=["/%d" % i])
        refs[server.push(image, "shapes/many%d" % i)] = image.id
    client, peak, over = daemon.client(), [0], threading.Event()

    def watch():
        while not over.wait(0.2):
            peak[0] = max(peak[0], daemon.pss())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    jobs = [(ref, client.begin_pull(ref, timeout=300)) for ref in refs]
    bad = [(ref, found) for ref, job in jobs if (found := ended(job)) != ("OK", refs[ref])]
    over.set()
    watcher.join()
    t.eq(bad, [], "pulls")
    t.eq({i["id"] for i in daemon.store.images()}, set(refs.values()), "images")
    t.ok(0 < peak[0] < 400 << 10, "all rooms together took", peak[0], "KiB")
    t.eq(daemon.store.strays(), [], "strays")
    daemon.nothing_left()
    daemon.stop()


# Mirrors -------------------------------------------------------------------------------------


def another(t, name, **options):
    server = real.Real("%s/%s" % (t.folder, name), **options)
    t.cleanups.append(server.stop)
    return server


class Mirrored:
    """The session's registry with another one before it. pull() tells what each of them answered to
    bulkhead: {what: status}."""

    def __init__(self, t, mirror, kept=False):
        self.t, self.upstream, self.mirror, self.kept = t, t.real(), mirror, kept
        self.config = t.config(registries_conf=t.write(
            "registries.conf", '[[registry]]\nlocation = "%s"\n[[registry.mirror]]\n'
            'location = "%s"\n' % (self.upstream.host, mirror.host)))

    def pull(self, image, ref):
        servers = self.mirror, self.upstream
        marks, store = [os.path.getsize(s.log) for s in servers], self.t.store()
        self.t.bulkhead(store, "pull", "-q", ref, config=self.config)
        self.t.eq([i["id"] for i in store.images()], [image.id], "the image")
        return [{what: status for what, status, agent in s.served_since(
            m, self.kept and s == self.upstream) if "bulkhead" in agent}
            for s, m in zip(servers, marks)]


@test
def what_a_real_mirror_lacks(t):
    """The image, one blob, everything: the registry itself gives just that."""
    place = Mirrored(t, another(t, "mirror"))
    image, name = plain("shapes-mirror"), "shapes/mirror"
    ref = place.upstream.push(image, name)
    blobs = {"blobs/" + b.digest for b in image.blobs()} - {"blobs/" + image.manifest.digest}
    lost = image.layers[0].blob.digest
    had, gave = place.pull(image, ref)
    t.eq(had, {"manifests/latest": 404}, "asked of a mirror that lacks it")
    t.eq(gave, dict.fromkeys(blobs | {"manifests/latest"}, 200), "had from the registry")
    place.mirror.push(image, name)
    had, gave = place.pull(image, ref)
    t.eq((set(had.values()), gave), ({200}, {}), "a mirror that has all")
    place.mirror.lose(name, lost)
    had, gave = place.pull(image, ref)
    t.eq({w: s for w, s in had.items() if s != 200}, {"blobs/" + lost: 404}, "what it lacks")
    t.eq(set(had), blobs | {"manifests/latest"}, "asked of the mirror")
    t.eq(gave, {"blobs/" + lost: 200}, "had from the registry")
    place.mirror.stop()
    had, gave = place.pull(image, ref)
    t.eq((had, set(gave)), ({}, blobs | {"manifests/latest"}), "a mirror that is gone")


@test
def a_pull_through_cache(t):
    """It fetches by itself what it lacks; without it the registry is asked."""
    upstream = t.real()
    image = plain("shapes-cache")
    ref = upstream.push(image, "shapes/cache")
    place = Mirrored(t, another(t, "cache", caches=upstream), kept=True)
    mark, blobs = os.path.getsize(upstream.log), {b.digest for b in image.blobs()}

    def asked():
        """Of the registry, by the cache."""
        return {w.split("/")[1] for w, _, agent in upstream.served_since(mark, True)
                if "bulkhead" not in agent}

    for what in ("an empty cache", "a full one"):
        had, gave = place.pull(image, ref)
        t.eq((set(had.values()), gave), ({200}, {}), what)
        until(t, "the cache's requests", lambda: asked() >= blobs - {image.manifest.digest})
    place.mirror.stop()
    had, gave = place.pull(image, ref)
    t.eq((had, set(gave.values())), ({}, {200}), "without the cache")

"""containers-registries.conf(5) end to end: which registry is asked for what, and what is
recorded. The rules one by one: tests/frontend/test_registries.c."""
import hashlib
import json
import os

import cri
import registry
from daemon import Daemon
from harness import Failure, test

TABLE = '[[registry]]\nprefix = "%s"\nlocation = "%s"\n'


def registries(t, text, dropins=None):
    """The settings for registries.conf and drop-ins of that content."""
    path = t.write("registries.conf", text)
    os.makedirs(path + ".d", exist_ok=True)
    for name, content in (dropins or {}).items():
        t.write("registries.conf.d/" + name, content)
    return {"registries_conf": path}


@test
def another_place_the_same_name(t):
    """The location is asked, the name is recorded; podman finds and resolves it alike."""
    server, image = t.scripted(), t.image("tiny")
    server.add(image, "mirrored/tiny", "v1")
    conf = registries(t, TABLE % ("example.test/team", server.host + "/mirrored"))
    store = t.store()
    t.bulkhead(store, "pull", "-q", "example.test/team/tiny:v1", config=t.config(**conf))
    t.eq(store.images()[0]["names"], ["example.test/team/tiny:v1"], "recorded")
    t.ok(all("/v2/mirrored/tiny/" in r.path for r in server.requests if r.path != "/v2/"),
         [r.path for r in server.requests])
    # Its own word for the same file: that place, and the name recorded.
    server.clear()
    other = t.store()
    t.podman(other, "pull", "-q", "--tls-verify=false", "example.test/team/tiny:v1",
             env={"CONTAINERS_REGISTRIES_CONF": conf["registries_conf"]})
    t.ok(server.asked("^/v2/mirrored/tiny/manifests/v1"), "podman asked elsewhere")
    t.eq([i["names"] for i in other.images()], [i["names"] for i in store.images()], "names")


@test
def drop_ins_in_their_order(t):
    server, image = t.scripted(), t.image("tiny")
    server.add(image, "right/tiny")
    conf = registries(t, TABLE % ("example.test", server.host + "/wrong"), {
        "20-b.conf": TABLE % ("example.test", server.host + "/right"),
        "10-a.conf": TABLE % ("example.test", server.host + "/middle"),
        "30-c.toml": TABLE % ("example.test", server.host + "/never"),
        "40-d.conf": TABLE % ("other.test", server.host + "/other")})
    t.bulkhead(t.store(), "pull", "-q", "example.test/tiny", config=t.config(**conf))
    t.eq(server.asked("/(wrong|middle|never|other)/"), [], "other places")


@test
def blocked_and_broken(t):
    store = t.store()
    conf = registries(t, TABLE % ("example.test", "example.test") + "blocked = true\n")
    result = t.bulkhead(store, "pull", "example.test/tiny:1", config=t.config(**conf), expect=3)
    t.has(result.err, 'example.test/tiny:1 is blocked: %s has a [[registry]] with prefix '
          '"example.test" and blocked = true' % conf["registries_conf"])
    # kubelet is told the same, and nothing of signatures: with UNKNOWN it shows the text as it is
    code, text = refused(Daemon(t, **conf).client(), "example.test/tiny:1")
    t.eq((code, text.partition(":1 is")[0]), ("UNKNOWN", "example.test/tiny"), text)
    for text, why in (("[[registry]]\n", "neither prefix nor location"), ("[[", "no TOML")):
        conf = registries(t, text)
        result = t.bulkhead(store, "pull", "example.test/tiny:1", config=t.config(**conf),
                            expect=64)
        t.has(result.err, conf["registries_conf"] + ":1: ")
        t.has(result.err, why)
    missing = t.config(registries_conf=t.folder + "/none.conf")
    result = t.bulkhead(store, "pull", "example.test/tiny:1", config=missing, expect=64)
    t.has(result.err, "none.conf: no such file")


@test
def a_place_gets_its_own_credentials(t):
    """From files those of its host; what came with the request for another host stays away."""
    server, image = t.scripted(), t.image("tiny")
    server.add(image, "m/tiny")
    wanted = registry.basic("mirror", "mirror-secret")
    server.on("/v2/", lambda s, r, a: a if r.header("Authorization") == wanted else
              registry.Answer(401, headers=[("WWW-Authenticate", 'Basic realm="m"')]))
    conf = registries(t, TABLE % ("example.test", server.host + "/m"))
    auth = t.write("auth.json", {"auths": {
        "example.test": {"auth": registry.basic("up", "upstream-secret")[6:]},
        server.host: {"auth": wanted[6:]}}})
    config = t.config(authfile=auth, **conf)
    t.bulkhead(t.store(), "pull", "-q", "example.test/tiny", config=config)
    t.bulkhead(t.store(), "pull", "-q", "--creds", "up:upstream-secret", "example.test/tiny",
               config=config)
    with server.lock:
        sent = {r.header("Authorization") for r in server.requests}
    t.eq(sent, {None, wanted}, "what the mirror saw")


@test
def reload_takes_all_or_nothing(t):
    one, two, image = t.scripted(), t.scripted(), t.image("tiny")
    for server in (one, two):
        server.add(image, "x/tiny")
    conf = registries(t, TABLE % ("example.test", one.host + "/x"))
    daemon = Daemon(t, **conf)
    pull = ("pull", "-q", "example.test/tiny")
    daemon.command(*pull)
    t.ok(one.requests and not two.requests, "the first place")
    for broken in ("[[registry]]\n", "x"):
        registries(t, TABLE % ("example.test", two.host + "/x"), {"9.conf": broken})
        daemon.reload()
        t.has(daemon.logs(), "reload: refused, nothing has changed: " + conf["registries_conf"] +
              ".d/9.conf:1: ")
        one.clear()
        daemon.command(*pull)
        t.ok(one.requests and not two.requests, "still the first place")
    registries(t, TABLE % ("example.test", two.host + "/x"), {"9.conf": ""})
    daemon.reload()
    t.has(daemon.logs(), "reload: registries.conf or its drop-ins say something else")
    one.clear()
    daemon.command(*pull)
    t.ok(two.requests and not one.requests, "the second place")
    daemon.kill_room("frontend")
    daemon.wait_ready()
    two.clear()
    daemon.command(*pull)
    t.ok(two.requests and not one.requests, "a new frontend knows it, too")


@test
def insecure_use_is_told(t):
    """Who lists registries as insecure finds each use in the log, with what allowed it."""
    server, image = t.scripted(), t.image("tiny")
    server.add(image, "x/tiny")
    conf = registries(t, TABLE % ("example.test", server.host + "/x"))
    daemon = Daemon(t, plain_http_registries=["127.0.0.0/8"], **conf)
    daemon.command("pull", "-q", "example.test/tiny")
    t.has(daemon.logs(), "http://%s is asked for example.test/tiny:latest by plain HTTP (always: "
          "127.0.0.0/8)" % server.host)
    for key in ("insecure_registries", "plain_http_registries", "unverified_tls_registries"):
        config = t.config(**{key: ["10.0.0.0/8", "a.test:5000"]}, **conf)
        out = t.run([t.session.bin + "/bulkheadd", "config", "--config", config, "--validate"])
        t.has(out.err, key + ": who answers in place of these registries is not noticed")


# Short names ---------------------------------------------------------------------------------


def refused(client, image, **auth):
    """(code, text) of a pull that must fail."""
    try:
        raise Failure("pulled " + client.pull(image, **auth))
    except cri.Refused as error:
        return error.code, error.text


@test
def short_names_are_resolved(t):
    """By the command of its own and by a daemon; an image's ID means that image."""
    server, image = t.scripted(), t.image("tiny")
    conf = registries(t, 'unqualified-search-registries = ["a.test", "docker.io"]\n'
                      '[aliases]\nknown = "q.test/known"\n')
    daemon = Daemon(t, **conf)
    daemon.command("pull", "-q", "--tls-verify=false", server.add(image, "x/tiny"))
    for argv in (daemon.argv("resolve"),
                 t.bulkhead_argv(t.store(), "resolve", config=t.config(**conf))):
        for name, means in (("x", "a.test/x:latest\ndocker.io/library/x:latest\n"),
                            ("n/x:1", "a.test/n/x:1\ndocker.io/n/x:1\n"),
                            ("known:2", "q.test/known:2\n"),
                            ("r.test/x", "r.test/x:latest\n")):
            t.eq(t.run([*argv, name]).out, means, name)
    for digits in (image.id, image.id[:12], image.id[:3]):
        t.eq(daemon.command("resolve", digits).out, image.id + "\n", "an ID")
    registries(t, 'unqualified-search-registries = ["a.test", "docker.io"]\n'
               'short-name-mode = "enforcing"\n')
    daemon.reload()
    wanted = ('x may be any of a.test/x:latest, docker.io/library/x:latest, and short-name-mode '
              'is "enforcing": write the whole name, or add a line such as "x" = "a.test/x" to '
              '[aliases] in ' + conf["registries_conf"])
    for command in (("resolve", "x"), ("pull", "-q", "x")):
        result = daemon.command(*command, expect=64)
        t.eq((result.out, result.err), ("", "bulkhead: %s\n" % wanted), command)
    with daemon.client() as client:
        t.eq(refused(client, "x"), ("INVALID_ARGUMENT", wanted), "the same by the CRI")


@test
def short_names_are_pulled(t):
    """An alias, then the registries in their order; the image is found by its short name."""
    empty, full, image = t.scripted(), t.scripted(), t.image("tiny")
    full.add(image, "tiny", "1")
    full.add(t.image("docker"), "team/known", "1")
    conf = registries(t, 'unqualified-search-registries = ["%s", "%s"]\n' % (empty.host, full.host)
                      + '[aliases]\nknown = "%s/team/known"\n' % full.host)
    daemon = Daemon(t, **conf)
    with daemon.client() as client:
        t.eq(client.pull("tiny:1"), image.id, "had from the second")
        t.ok(empty.asked("^/v2/tiny/manifests/1"), "the first was not asked")
        t.eq(client.pull("known:1"), t.image("docker").id, "by the alias")
        t.eq(client.status("tiny:1").id, image.id, "status by the short name")
        t.eq(client.status("known:1").id, t.image("docker").id, "status by the alias")
    names = sorted(n for i in daemon.store.images() for n in i["names"])
    t.eq(names, sorted([full.host + "/tiny:1", full.host + "/team/known:1"]), "recorded")
    # Nothing is asked for what is there by one of the names.
    before = len(empty.requests), len(full.requests)
    daemon.command("pull", "--policy", "missing", "tiny:1")
    t.eq((len(empty.requests), len(full.requests)), before, "requests for a present image")
    # podman, by the same files.
    store = t.store()
    for name in ("tiny:1", "known:1"):
        t.podman(store, "pull", "-q", "--tls-verify=false", name,
                 env={"CONTAINERS_REGISTRIES_CONF": conf["registries_conf"]})
    t.eq(sorted(n for i in store.images() for n in i["names"]), names, "podman's names")
    result = daemon.command("pull", "absent", expect=1)
    for host in (empty.host, full.host):
        t.has(result.err, host + "/absent:latest: ", "each is named with its reason")


@test
def written_aliases_come_first(t):
    """podman writes the file when it has asked a person; it is read, and never written."""
    server, image = t.scripted(), t.image("tiny")
    server.add(image, "team/tiny")
    path = t.write("aliases.conf", '[aliases]\n  "tiny" = "%s/team/tiny"\n' % server.host)
    conf = dict(registries(t, 'unqualified-search-registries = ["a.test", "b.test"]\n'
                           'short-name-mode = "enforcing"\n[aliases]\ntiny = "c.test/tiny"\n'),
                short_name_aliases=path)
    t.bulkhead(t.store(), "pull", "-q", "tiny", config=t.config(**conf))
    with open(path) as file:
        t.eq(file.read(), '[aliases]\n  "tiny" = "%s/team/tiny"\n' % server.host, "its content")
    os.unlink(path)
    result = t.bulkhead(t.store(), "resolve", "tiny", config=t.config(**conf))
    t.eq(result.out, "c.test/tiny:latest\n", "without the file")


@test
def credentials_stay_with_their_registry(t):
    """kubelet looks the credentials of a short name up as docker.io's: no other registry that the
    name may mean sees them. The command demands the whole name."""
    one, two, image = t.scripted(), t.scripted(), t.image("tiny")
    two.add(image, "tiny")
    for server in (one, two):
        server.on("/v2/", lambda s, r, a: registry.Answer(
            401, headers=[("WWW-Authenticate", 'Basic realm="m"')]))
    conf = registries(t, 'unqualified-search-registries = ["%s", "%s"]\n' % (one.host, two.host))
    daemon = Daemon(t, **conf)
    with daemon.client() as client:
        code, text = refused(client, "tiny", username="up", password="hub-secret")
        t.eq(code, "UNAUTHENTICATED", text)
    result = daemon.command("pull", "--creds", "up:hub-secret", "tiny", expect=64)
    t.has(result.err, "write the whole name, so that the credentials go to its registry only")
    for server in (one, two):
        t.ok(server.requests, "not asked")
        t.ok(not server.saw(registry.basic("up", "hub-secret")[6:]), "it saw the secret")


def names_of(store):
    return sorted(n for i in store.images() for n in i["names"])


@test
def what_is_here_by_its_short_name(t):
    """The manual's rule line by line: what looks takes the first, what changes something refuses what
    could be another; podman, by the same file, takes the same first."""
    server, real = t.scripted(), t.real()
    conf = registries(t, 'unqualified-search-registries = ["a.test", "b.test"]\n'
                      '[aliases]\napp = "q.test/team/app"\n')
    images = {n: t.image(n) for n in ("tiny", "docker", "three")}
    daemon = Daemon(t, **conf)
    store, env = daemon.store, {"CONTAINERS_REGISTRIES_CONF": conf["registries_conf"]}
    for n in images:
        daemon.command("pull", "-q", "--tls-verify=false", server.add(images[n], "x/" + n))

    def named(**names):
        """Each image has these names alone."""
        for n, image in images.items():
            daemon.command("tag", image.id, "keep.test/%s:1" % n, *names.get(n, ()))
            others = [x for i in store.images() if i["id"] == image.id for x in i["names"]
                      if x not in (*names.get(n, ()), "keep.test/%s:1" % n)]
            if others:
                daemon.command("untag", image.id, *others)

    def means(name, which):
        got = json.loads(daemon.command("inspect", name).out)
        t.eq((got[0] if isinstance(got, list) else got)["Id"][-64:], images[which].id, name)
        t.eq(t.podman(store, "inspect", "--format", "{{.Id}}", name, env=env).out.strip(),
             images[which].id, "podman's " + name)

    # its alias, localhost/, the registries in their order, docker.io, the first digits of an ID
    order = ("q.test/team/app:1", "localhost/app:1", "a.test/app:1", "b.test/app:1",
             "docker.io/library/app:1")
    for first, then in zip(order, order[1:]):
        named(tiny=[first], three=[then])
        means("app:1", "tiny")
        for argv in (("rmi", "app:1"), ("rmi", "-f", "app:1"), ("untag", "app:1"),
                     ("tag", "app:1", "n.test/n:1")):
            before = names_of(store)
            result = daemon.command(*argv, expect=64)
            t.has(result.err, "app:1 may be %s or %s, both in the store: write the whole name" % (
                first, then), argv)
            t.eq(names_of(store), before, "names after a refusal")
    # one alone is clear, by each command; a removal takes the name that was meant
    for name in order:
        named(tiny=[name])
        means("app:1", "tiny")
        daemon.command("tag", "app:1", "n.test/n:1")
        t.ok("n.test/n:1" in names_of(store), "tagged by", name)
        daemon.command("untag", "app:1", "app:1")
        t.ok(name not in names_of(store), "untagged", name)
        named(tiny=[name])
        t.has(daemon.command("rmi", "app:1").out, name, "what was removed")
        t.ok(name not in names_of(store), "removed", name)
        daemon.command("rmi", "app:1", expect=1)
    # several names of one image: clear for all but what takes a name away
    named(tiny=order[2:4])
    daemon.command("tag", "app:1", "n.test/m:1")
    for argv in (("rmi", "app:1"), ("untag", "app:1", "app:1")):
        t.has(daemon.command(*argv, expect=64).err, "a.test/app:1 or b.test/app:1", argv)
    # whole names and IDs mean themselves alone
    named(tiny=["a.test/app:1"], three=["localhost/%s:latest" % images["tiny"].id[:12]])
    daemon.command("inspect", "c.test/app:1", expect=1)
    means(images["tiny"].id[:12], "three")
    means(images["tiny"].id, "tiny")
    # and by a command without a daemon
    daemon.stop()
    t.bulkhead(store, "rmi", "app:1", config=t.config(**conf))
    t.ok("a.test/app:1" not in names_of(store), "removed without a daemon")


@test
def can_pull_by_a_short_name(t):
    """The alias and the search list, as pull has them."""
    server, empty, image = t.scripted(), t.scripted(), t.image("tiny")
    server.add(image, "team/tiny")
    server.add(image, "tiny")
    config = t.config(**registries(
        t, 'unqualified-search-registries = ["%s", "%s"]\n[aliases]\nknown = "%s/team/tiny"\n' % (
            empty.host, server.host, server.host)))
    for name in ("known", "tiny"):
        t.bulkhead(t.store(), "can-pull", name, config=config)
    t.ok(empty.asked("^/v2/tiny/manifests/"), "the first was not asked")
    t.bulkhead(t.store(), "can-pull", "absent", config=config, expect=1)


# explain -------------------------------------------------------------------------------------


@test
def explain_tells_what_decides(t):
    """Everything about a name: from a daemon and by a command of its own; nobody is asked."""
    server, image = t.scripted(), t.image("tiny")
    server.add(image, "m/tiny", "1")
    conf = registries(t, 'unqualified-search-registries = ["q.test"]\n'
                      '[aliases]\nknown = "example.test/tiny"\n'
                      + TABLE % ("example.test", "127.0.0.1:1/gone") +
                      '[[registry.mirror]]\nlocation = "%s/m"\n' % server.host +
                      TABLE % ("no.test", "no.test") + "blocked = true\n")
    auth = t.write("auth.json", {"auths": {
        server.host + "/m": {"auth": registry.basic("me", "the-secret")[6:]}}})
    policy = {"default": [{"type": "reject"}], "transports": {"docker": {
        "example.test": [{"type": "insecureAcceptAnything"}]}}}
    more = dict(conf, authfile=auth, plain_http_registries=["plain.test"])
    daemon = Daemon(t, policy=policy, **more)
    for argv, config in ((daemon.argv(), daemon.config), (t.bulkhead_argv(
            t.store(), config=t.config(policy, **more)), t.folder + "/bulkhead.toml")):
        got = json.loads(t.run([*argv, "explain", "--format", "json", "known:1"]).out)
        rules = os.path.dirname(config) + "/policy.json"
        t.eq(got, {
            "name": "known:1", "meaning": "an alias of " + conf["registries_conf"],
            "platform": "linux/amd64", "images": [{
                "image": "example.test/tiny:1", "registry table":
                conf["registries_conf"] + ': [[registry]] "example.test"',
                "policy": rules + ': transports.docker."example.test": insecureAcceptAnything',
                "places": [
                    {"url": "https://%s/v2/m/tiny" % server.host, "kind": "mirror",
                     "asked for": server.host + "/m/tiny:1", "tls": "the certificate is not "
                     "checked, and plain HTTP will do (always: 127.0.0.0/8)",
                     "credentials": 'entry "%s/m" of %s' % (server.host, auth),
                     "certificates": "the system's", "proxy": "none"},
                    {"url": "https://127.0.0.1:1/v2/gone/tiny", "kind": "location",
                     "asked for": "127.0.0.1:1/gone/tiny:1", "tls": "the certificate is not "
                     "checked, and plain HTTP will do (always: 127.0.0.0/8)",
                     "credentials": "none in " + auth, "certificates": "the system's", "proxy": "none"}]}]},
             "explanation")
    t.eq(server.requests, [], "nobody is asked")
    out = daemon.command("explain", "--platform", "linux/arm64/v8", "plain.test/x").out
    for line in ("name: plain.test/x", "meaning: itself: it names its registry",
                 "platform: linux/arm64/v8", "plain.test/x:latest",
                 "  registry table: none: it is where its name says",
                 "  policy: %s/policy.json: \"default\": reject" % daemon.folder,
                 "  1. http://plain.test/v2/x",
                 "     tls: none: plain HTTP (plain_http_registries: plain.test)"):
        t.ok(line in out.splitlines(), line, "is missing in:\n" + out)
    t.has(daemon.command("explain", "no.test/x").out, "  refused: no.test/x:latest is blocked")
    for secret in ("the-secret", registry.basic("me", "the-secret")[6:]):
        t.ok(secret not in out + daemon.logs(), "a secret was told")


@test
def explain_tells_helpers_and_proxies(t):
    """Which helper is asked for which host, by which file and key; the auth file of a namespace; who
    stands on the way, by whose word. No helper is run, no secret is told."""
    helpers, own = t.folder + "/helpers", t.folder + "/own"
    for folder in (helpers, own):
        os.mkdir(folder)
    ran = t.folder + "/ran"
    with open(helpers + "/docker-credential-x", "w") as file:
        file.write("#!/bin/sh\ntouch %s; exit 1\n" % ran)
    os.chmod(file.name, 0o755)
    auth = t.write("auth.json", {
        "auths": {"a.test/team": {"auth": registry.basic("me", "canary-entry")[6:]}},
        "credHelpers": {"https://h.test": "x"}, "credsStore": "store"})
    conf = registries(t, 'credential-helpers = ["first", "containers-auth.json"]\n')
    more = dict(conf, authfile=auth, credential_helper_dir=helpers, namespaced_auth_dir=own,
                registry_proxies=[
                    "a.test=http://px.test:3128", "d.test=direct"], no_proxy=["e.test", "10.0.0.0/8"])

    def places(name, *args, env=None, **settings):
        got = t.bulkhead(t.store(), "explain", "--format", "json", *args, name, env=env,
                         config=t.config(**dict(more, **settings)))
        t.ok("canary" not in got.out + got.err, "a secret was told:", got)
        return json.loads(got.out)["images"][0]["places"][0]

    listed = 'docker-credential-first, asked for "%s" (credential-helpers of registries.conf), then '
    for name, credentials in (
            ("a.test/team/app", 'entry "a.test/team" of ' + auth),
            ("h.test/app", 'docker-credential-x, asked for "https://h.test" (credHelpers of %s)' % auth),
            ("o.test/app", 'docker-credential-store, asked for "o.test" (credsStore of %s)' % auth),
            ("docker.io/app", 'docker-credential-store, asked for "https://index.docker.io/v1/" '
             "(credsStore of %s)" % auth)):
        t.eq(places(name)["credentials"], listed % name.split("/")[0] + credentials, name)
    t.eq(places("h.test/app", credential_helper_dir="")["credentials"].count(
        ', but none is run: credential_helper_dir is ""'), 2, "no helper is run")
    out = t.bulkhead(t.store(), "explain", "a.test/team/app:1", config=t.config(**more)).out
    t.has(out, "  auth file of a namespace: %s/namespace-%s.json\n" % (
        own, hashlib.sha256(b"a.test/team/app").hexdigest()), "of a namespace")
    # proxies of the configuration, and of the environment
    env = {"https_proxy": "http://me:canary@ep.test:8080", "HTTP_PROXY": "http://hp.test",
           "NO_PROXY": ".n.test,192.168.0.0/16"}
    by_environment = ("http://***@ep.test:8080 (HTTPS_PROXY of the environment); by plain HTTP: "
                      "http://hp.test:80 (HTTP_PROXY of the environment)")
    for name, setting, proxy in (
            ("a.test/x", "http://all.test:1", "http://px.test:3128 (registry_proxies: "
             "a.test=http://px.test:3128)"),
            ("d.test/x", "http://all.test:1", "none (registry_proxies: d.test=direct)"),
            ("o.test/x", "http://all.test:1", "http://all.test:1 (proxy)"),
            ("sub.e.test/x", "http://all.test:1", "none (no_proxy: e.test)"),
            ("10.1.2.3/x", "http://all.test:1", "none (no_proxy: 10.0.0.0/8)"),
            ("127.0.0.1:5/x", "http://all.test:1", "none (a loopback address)"),
            ("o.test/x", "", "none"),
            ("o.test/x", "environment", by_environment),
            ("192.168.7.7/x", "environment", "none (NO_PROXY of the environment: 192.168.0.0/16)"),
            ("a.n.test/x", "environment", "none (NO_PROXY of the environment: .n.test)"),
            ("e.test/x", "environment", by_environment)):
        t.eq(places(name, proxy=setting, env=env)["proxy"], proxy, "%s with %s" % (name, setting))
    t.ok(not os.path.exists(ran), "a helper was run")


@test
def explain_reaches_each_place(t):
    server, image = t.scripted(), t.image("tiny")
    server.add(image, "m/tiny", "1")
    conf = registries(t, TABLE % ("example.test", server.host + "/none") +
                      '[[registry.mirror]]\nlocation = "%s/m"\n' % server.host +
                      '[[registry.mirror]]\nlocation = "127.0.0.1:1/gone"\n')
    daemon = Daemon(t, policy={"default": [{"type": "reject"}]}, **conf)
    out = json.loads(daemon.command("explain", "--reach", "--format", "json",
                                    "example.test/tiny:1").out)
    first, second, third = (p["reach"] for p in out["images"][0]["places"])
    t.eq(first, "yes: it has the manifest", "the mirror")
    t.has(second, "no: ", "nobody")
    t.has(second, "127.0.0.1:1", "nobody")
    t.has(third, "no: ", "not there")
    t.eq(server.blobs_asked() & {l.blob.digest for l in image.layers}, set(), "layers")
    daemon.nothing_left()
    t.eq(daemon.store.images(), [], "images")

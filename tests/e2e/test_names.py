"""containers-registries.conf(5) end to end: which registry is asked for what, and what is
recorded. The rules one by one: tests/frontend/test_registries.c."""
import os

import registry
from daemon import Daemon
from harness import test

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

"""A reader of configuration that its file has taken over (tests/attack/liars/conf.c)."""
import os

from harness import Failure, test
from test_liars import Liars
import registry

USAGE, INTERNAL = 64, 125
TOO_MUCH = "says more than a file can"


def refused(t, liars, config, lie, code, says):
    """The command ends with one line, in time, and nothing is left."""
    store = t.store()
    liars.put("conf", lie)
    t.session.bin = liars.bin
    try:
        result = t.bulkhead(store, "images", config=config, expect=code, timeout=60)
    finally:
        t.session.bin = liars.honest
    t.has(result.err, says, lie)
    t.eq((result.out, len(result.err.splitlines())), ("", 1), lie)
    t.ok(not os.path.exists(store.root) or not os.listdir(store.root), "%s: nothing was made" % lie)
    t.eq(t.session.leftovers(), [], lie)
    return result.seconds


def rows(t, config, *table):
    liars, wrong = Liars(t), []
    for lie, code, says in table:
        try:
            refused(t, liars, config, lie, code, says)
        except Failure as failure:
            wrong.append("%s: %s" % (lie, failure))
    if wrong:
        raise Failure("\n".join(wrong))
    liars.restore("conf")
    t.session.bin = liars.bin
    t.bulkhead(t.store(), "images", config=config)  # honest programs again
    t.session.bin = liars.honest


@test
def reader(t):
    rows(t, t.config(),
         ("unknown-key", USAGE, "rot: the value"),
         ("relative-root", USAGE, 'root: the value "x" cannot be used'),
         ("no-uid", USAGE, 'uid_base: the value "0" cannot be used'),
         ("huge-layer", USAGE, "max_layer_bytes: the value"),
         ("long-socket", USAGE, "listen: the value"),
         ("lines", USAGE, "insecure_registries: the value"),
         ("rows", INTERNAL, TOO_MUCH),
         ("items", USAGE, "takes more bytes than there is room for"),
         ("secrets", INTERNAL, "a credential"),
         ("one-secret", INTERNAL, "a credential"),
         ("logs", INTERNAL, TOO_MUCH),
         ("another-room", INTERNAL, "ended early"),
         ("half", INTERNAL, "ended early"),
         ("crash", INTERNAL, "ended early"))


@test
def reader_of_credentials(t):
    """The auth file's reader may send secrets, no more than its file could hold."""
    auth = t.write("auth.json", {"auths": {}})
    os.chmod(auth, 0o600)
    rows(t, t.config(authfile=auth),
         ("auth-secrets", INTERNAL, TOO_MUCH),
         ("auth-small-secrets", INTERNAL, TOO_MUCH))


@test
def reader_of_a_helpers_answer(t):
    """Its lies end the pull that it reads for, and nothing else: one secret, no more, no rows."""
    liars, server = Liars(t), t.scripted()
    ref = server.add(t.image("tiny"), "conf/app")
    server.on("^/v2/", registry.need_basic("u", "right"))
    helpers = t.folder + "/helpers"
    os.mkdir(helpers)
    with open(helpers + "/docker-credential-x", "w") as file:
        file.write("""#!/bin/sh\necho '{"ServerURL":"","Username":"u","Secret":"right"}'\n""")
    os.chmod(helpers + "/docker-credential-x", 0o755)
    config = t.config(credential_helper_dir=helpers, authfile=t.write("auth.json", {
        "credHelpers": {server.host: "x"}}))

    def pull(expect):
        t.session.bin = liars.bin
        try:
            return t.pull(t.store(), ref, config=config, expect=expect, timeout=60)
        finally:
            t.session.bin = liars.honest
    for lie in ("answer-secrets", "answer-none", "answer-row", "answer-room", "answer-crash"):
        liars.put("conf", lie)
        t.has(pull(INTERNAL).err, "docker-credential-x for " + server.host, lie)
        t.ok(not server.saw(registry.basic("u", "of the liar")), lie)
        t.eq(t.session.leftovers(), [], lie)
    liars.restore("conf")
    pull(0)


@test
def readers_of_other_files(t):
    """What bulkhead.toml alone decides is nothing that another file's reader can say."""
    auth = t.write("auth.json", {"auths": {}})
    os.chmod(auth, 0o600)
    liars = Liars(t)
    storage = t.write("storage.conf", '[storage]\ndriver = "overlay"\n')
    main = t.config(authfile=auth, storage_conf=storage)
    for lie in ("auth-rows", "storage-rows"):
        liars.put("conf", lie)
        out = t.run([liars.bin + "/bulkheadd", "config", "--config", main, "--effective"]).out
        t.ok("elsewhere" not in out, lie, out)
    t.eq(t.session.leftovers(), [], "left behind")


@test
def reader_of_the_policy(t):
    """A verdict room that tries a policy says one thing about it, and nothing else."""
    liars, main = Liars(t), t.config()
    for lie, says in (("reads-crash", "ended early"), ("reads-settings", "ended early"),
                      ("reads-secrets", "ended early"), ("reads-logs", TOO_MUCH)):
        liars.put("verdict", lie)
        result = t.run([liars.bin + "/bulkheadd", "config", "--config", main, "--validate"],
                       expect=INTERNAL, timeout=60)
        t.has(result.err, "policy.json", lie)
        t.has(result.err, says, lie)
        t.eq((result.out, len(result.err.splitlines())), ("", 1), lie)
    t.eq(t.session.leftovers(), [], "left behind")


@test(long=True)
def reader_without_end(t):
    """Fifteen seconds a file, whatever it says meanwhile."""
    liars = Liars(t)
    liars.put("verdict", "reads-nothing")
    result = t.run([liars.bin + "/bulkheadd", "config", "--config", t.config(), "--validate"],
                   expect=INTERNAL, timeout=60)
    t.has(result.err, "policy.json has not come to an end within 15 seconds", "the policy")
    liars.restore("verdict")
    for lie in ("silence", "drip"):
        seconds = refused(t, liars, t.config(), lie, INTERNAL,
                          "has not come to an end within 15 seconds")
        t.ok(10 < seconds < 25, "%s: %.1f s" % (lie, seconds))

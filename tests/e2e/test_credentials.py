"""Credentials from files and helpers: containers-auth.json(5) rule by rule, with skopeo beside as the
judge; what a helper sees and may do; files of single pulls; whose secret leaves for whom."""
import base64
import hashlib
import json
import os
import time

from harness import test
from node import Node
import registry

GOOD, BAD = "alice:canary-good", "alice:canary-bad"


def auth(text):
    return {"auth": base64.b64encode(text.encode()).decode()}


class Ground:
    """A registry that takes alice alone; places for auth files, by the names of their variables."""

    def __init__(self, t):
        self.t, self.image = t, t.image("tiny")
        self.server = t.scripted()
        self.ref = self.server.add(self.image, "team/app")
        self.server.on("^/v2/", registry.need_basic(*GOOD.split(":")))
        self.helpers = t.folder + "/helpers"
        os.mkdir(self.helpers)
        self.base, self.made = t.folder + "/places", 0
        os.mkdir(self.base)
        self.config = t.config(credential_helper_dir=self.helpers)

    def helper(self, name, script):
        path = "%s/docker-credential-%s" % (self.helpers, name)
        with open(path, "w") as file:
            file.write("#!/bin/sh\n" + script)
        os.chmod(path, 0o755)
        return path

    def answers(self, name, secret, user=None):
        """A helper that knows one secret."""
        user, secret = (user, secret) if user else secret.split(":")
        return self.helper(name, "cat >/dev/null; echo '%s'\n" % json.dumps(
            {"ServerURL": "any", "Username": user, "Secret": secret}))

    def environment(self, files):
        """files: {place: content}; the environment in which they are found."""
        self.made += 1
        base = "%s/%d" % (self.base, self.made)
        env = {"HOME": base + "/home", "XDG_RUNTIME_DIR": base + "/run"}
        at = {"runtime": "/run/containers/auth.json", "named": "/named.json",
              "config": "/home/.config/containers/auth.json", "docker": "/home/.docker/config.json",
              "dockercfg": "/home/.dockercfg", "xdg": "/xdg/containers/auth.json",
              "dockerdir": "/docker/config.json"}
        for place, content in files.items():
            path = base + at[place]
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as file:
                json.dump(content, file)
        env.update({k: base + v for k, place, v in (
            ("REGISTRY_AUTH_FILE", "named", "/named.json"), ("XDG_CONFIG_HOME", "xdg", "/xdg"),
            ("DOCKER_CONFIG", "dockerdir", "/docker")) if place in files})
        return env

    def ask(self, files=None, expect=None, config=None, env=None):
        return self.t.bulkhead(self.t.store(), "inspect", "--remote", self.ref,
                               config=config or self.config, expect=expect,
                               env=env or self.environment(files))

    def with_helper(self, name, expect=None, **more):
        return self.ask({"runtime": {"credHelpers": {self.server.host: name}}}, expect, **more)

    def skopeo_reads(self, files):
        env = dict(self.environment(files), PATH=self.helpers + ":" + self.t.session.env["PATH"])
        return self.t.skopeo(self.t.store(), "inspect", "--raw", "--tls-verify=false",
                             "docker://" + self.ref, expect=None, env=env).code == 0


def rules(g):
    """(rule, files, whether the registry lets us in)"""
    host = g.server.host
    good, bad, other = {host: auth(GOOD)}, {host: auth(BAD)}, {"other.example": auth(BAD)}
    one = [("the file of " + place, {place: {"auths": good}}, True)
           for place in ("runtime", "config", "docker", "xdg", "dockerdir", "named")]
    return one + [
        ("no file at all", {}, False),
        ("the file before auth.json", {"dockercfg": good}, True),
        ("the first that has an entry", {"runtime": {"auths": bad}, "docker": {"auths": good}}, False),
        ("one that has none is passed over",
         {"runtime": {"auths": other}, "config": {}, "docker": {"auths": good}}, True),
        ("their order", {"config": {"auths": good}, "docker": {"auths": bad}, "dockercfg": bad}, True),
        ("one that is named is the only one",
         {"named": {"auths": other}, "runtime": {"auths": good}}, False),
        ("path", {"runtime": {"auths": {host + "/team": auth(GOOD)}}}, True),
        ("the longest path", {"runtime": {"auths": {
            host: auth(BAD), host + "/team/app": auth(GOOD), host + "/team": auth(BAD)}}}, True),
        ("paths end at slashes", {"runtime": {"auths": {host + "/tea": auth(GOOD)}}}, False),
        ("another repository's", {"runtime": {"auths": {host + "/team/app/x": auth(GOOD)}}}, False),
        ("the port counts", {"runtime": {"auths": {"127.0.0.1": auth(GOOD)}}}, False),
        ("docker's keys are URLs", {"docker": {"auths": {"http://%s/v2/" % host: auth(GOOD)}}}, True),
        ("an empty entry is none", {"runtime": {"auths": {host: {}}}, "docker": {"auths": good}}, True),
        ("a helper", {"runtime": {"credHelpers": {host: "good"}}}, True),
        ("a helper comes before auths",
         {"runtime": {"credHelpers": {host: "bad"}, "auths": good}}, False),
        ("another registry's helper",
         {"runtime": {"credHelpers": {"other.example": "bad"}, "auths": good}}, True),
        ("a helper that knows nobody there: the next file",
         {"runtime": {"credHelpers": {host: "none"}}, "docker": {"auths": good}}, True),
    ]


def helpers(g):
    g.answers("good", GOOD)
    g.answers("bad", BAD)
    g.helper("none", "echo credentials not found in native keychain; exit 1\n")


@test
def the_rules_of_the_manual(t):
    g = Ground(t)
    helpers(g)
    for rule, files, readable in rules(g):
        got = g.ask(files)
        t.eq(got.code, 0 if readable else 4, rule + "\n" + str(got))
        t.eq(g.skopeo_reads(files), readable, "skopeo on: " + rule)


@test
def what_docker_alone_knows(t):
    """credsStore, the helper for everything that the file has no entry for; containers' tools pass it
    over."""
    g = Ground(t)
    helpers(g)
    host = g.server.host
    for what, content, readable in (
            ("alone", {"credsStore": "good"}, True),
            ("an empty entry", {"credsStore": "good", "auths": {host: {}}}, True),
            ("an entry", {"credsStore": "bad", "auths": {host: auth(GOOD)}}, True),
            ("the registry's own helper", {"credsStore": "bad", "credHelpers": {host: "good"}}, True),
            ("a wrong one", {"credsStore": "bad"}, False)):
        t.eq(g.ask({"docker": content}).code, 0 if readable else 4, what)


@test
def helpers_of_registries_conf(t):
    g = Ground(t)
    helpers(g)
    files = {"runtime": {"auths": {g.server.host: auth(GOOD)}}}
    for order, readable in ((["bad"], False), (["good"], True), (["none"], False),
                            (["none", "containers-auth.json"], True),
                            (["containers-auth.json", "bad"], True),
                            (["bad", "containers-auth.json"], False)):
        conf = t.write("registries.conf", "credential-helpers = %s\n" % json.dumps(order))
        config = t.config(credential_helper_dir=g.helpers, registries_conf=conf)
        t.eq(g.ask(files, config=config).code, 0 if readable else 4, order)


@test
def what_a_helper_sees(t):
    """Nobody's user, PATH, HOME and what is named of ours, no process but its own, no file of root's,
    nothing that it could write but a /tmp of its own; the registry's name to read."""
    g, seen = Ground(t), []
    secret = t.folder + "/secret"
    with open(secret, "w") as file:
        file.write("canary-file")
    os.chmod(secret, 0o600)
    g.helper("probe", r"""
server=$(cat)
say() { printf '%%s' "$*" | base64 -w0; }
touch /tmp/x && tmp=writes
procs=$(ls /proc | grep -c '^[0-9]')
for f in %s /etc/shadow /run /var/lib /root /home; do [ -r $f ] && found="$found $f"; done
for f in /usr /etc /dev /proc / %s; do touch $f/x 2>/dev/null && wrote="$wrote $f"; done
say_it="$(env | grep -v -e ^_= -e ^PWD= -e ^OLDPWD= -e ^SHLVL= | sort | tr '\n' ' ')"
printf '{"ServerURL":"","Username":"u","Secret":"%%s"}' \
  "$(say "$server|$(id -u)|$(id -g)|$tmp|$procs|$found|$wrote|$say_it")"
""" % (secret, g.helpers))
    g.server.clear()
    g.server.on("^/v2/", lambda s, r, answer: seen.append(r.header("Authorization")) or
                registry.Answer(401, [("WWW-Authenticate", 'Basic realm="x"')]))
    t.session.env.update(CANARY="1", OTHER="2")
    t.cleanups.append(lambda: [t.session.env.pop(k) for k in ("CANARY", "OTHER")])
    node = Node(t, **{"credential_helper_dir": g.helpers, "credential_helper_env": ["CANARY", "NONE"],
                      "authfile": t.write("a.json", {"credHelpers": {g.server.host: "probe"}})})
    node.command("pull", g.ref, expect=4)
    told = base64.b64decode(next(a for a in seen if a).split()[1]).decode().partition(":")[2]
    server, uid, gid, tmp, procs, found, wrote, env = base64.b64decode(told).decode().split("|")
    t.eq(server, g.server.host, "what it read")
    t.ok(uid == gid and 1879113728 <= int(uid) < 1879113728 + 4096, "its user", uid, gid)
    t.eq((tmp, found, wrote), ("writes", "", ""), "what it could do")
    t.ok(int(procs) <= 6, "processes it saw:", procs)
    names = [v.split("=")[0] for v in env.split()]
    t.eq(sorted(names), ["CANARY", "HOME", "PATH"], "its environment: " + env)


@test
def what_a_helper_may_not_do(t):
    """Tried by one that is a program of the test's: exit 0 if nothing works that should not."""
    g = Ground(t)
    source, program = t.write("probe.c", PROBE), g.helpers + "/docker-credential-probe"
    t.run(["cc", "-o", program, source])
    got = g.with_helper("probe")
    t.eq(got.code, 4, "the registry knows nobody of that name: " + str(got))
    t.has(got.err, "refused the credentials", "it answered, so nothing worked")


PROBE = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOT(what) do { if ((what) >= 0) { printf("%s worked", #what); return 1; } } while (0)

int
main(void)
{
	struct rlimit core;

	NOT(unshare(CLONE_NEWUSER));
	NOT(unshare(CLONE_NEWNS));
	NOT(syscall(SYS_clone, CLONE_NEWUSER | 17, 0, 0, 0, 0));
	NOT(syscall(SYS_clone3, 0, 0));
	NOT(mount("x", "/tmp", "tmpfs", 0, 0));
	NOT(umount("/tmp"));
	NOT(chroot("/tmp"));
	NOT(ptrace(PTRACE_TRACEME, 0, 0, 0));
	NOT(socket(AF_ALG, SOCK_SEQPACKET, 0));
	NOT(socket(AF_PACKET, SOCK_RAW, 0));
	NOT(setuid(0));
	NOT(mknod("/tmp/sda", S_IFBLK | 0600, 0x800));
	NOT(open("/dev/kmsg", O_RDONLY));
	NOT(open("/proc/sys/kernel/core_pattern", O_WRONLY));
	NOT(open("/usr/x", O_CREAT | O_WRONLY, 0600));
	NOT(syscall(SYS_keyctl, 0, -3, 1));
	NOT(syscall(SYS_bpf, 0, 0, 0));
	NOT(fcntl(3, F_GETFD));
	NOT(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? -1 : 0);
	NOT(getrlimit(RLIMIT_CORE, &core) < 0 || core.rlim_max ? 0 : -1);
	puts("{\"ServerURL\":\"\",\"Username\":\"u\",\"Secret\":\"x\"}");
	return 0;
}
"""


@test
def a_helper_that_fails(t):
    g = Ground(t)

    def says(code, name, *parts):
        got = g.with_helper(name, code)
        for part in ("docker-credential-" + name,) + parts:
            t.has(got.err, part, "the reason")
        t.ok("canary" not in got.err, "its answer is in the error:", got.err)
        t.eq(len(got.err.strip().splitlines()), 1, "lines of:\n" + got.err)

    g.helper("cries", "echo 'no key\033[2J found'; echo more; exit 3\n")
    says(4, "cries", "it failed: no key?[2J found")
    g.helper("tells", """echo '{"Secret":"canary"}'; exit 1\n""")
    says(4, "tells", "does not say why")
    g.helper("garbage", "echo canary-garbage\n")
    says(4, "garbage", "not the JSON object")
    g.helper("twice", """echo '{"Username":"u","Username":"canary","Secret":"x"}'\n""")
    says(4, "twice", "not the JSON object")
    g.helper("colon", """echo '{"Username":"u:canary","Secret":"x"}'\n""")
    says(4, "colon", "colon")
    g.helper("half", """echo '{"Username":"canary"}'\n""")
    says(4, "half", "lacks Username or Secret")
    g.helper("empty", "exit 0\n")
    says(4, "empty", "not the JSON object")
    g.helper("silent", "exit 1\n")
    says(4, "silent", "does not say why")
    for size, code in ((65536, 0), (65537, 4)):
        answer = json.dumps({"Username": "alice", "Secret": "canary-good"})
        g.helper("long", "printf '%%s%%%ds' '%s' ''\n" % (size - len(answer), answer))
        got = g.with_helper("long", code)
        if code:
            t.has(got.err, "answers more than 65536 bytes", "the reason")
    g.helper("endless", "exec cat /dev/zero\n")
    says(4, "endless", "answers more than")


@test(long=True)
def a_helper_that_is_late(t):
    """Within its 10 seconds, and not; what it started ends with it."""
    g = Ground(t)
    g.helper("slow", """sleep 7; echo '{"Username":"alice","Secret":"canary-good"}'\n""")
    g.with_helper("slow", 0)
    g.helper("sleeps", "sleep 300 & setsid sleep 300 & exec sleep 300\n")
    begun = time.monotonic()
    t.has(g.with_helper("sleeps", 8).err, "docker-credential-sleeps for %s: no answer within 10 s" %
          g.server.host, "the reason")
    took = time.monotonic() - begun
    t.ok(10 <= took < 30, "it took", took, "s")


@test
def a_mirrors_helper_that_fails(t):
    """Its endpoint's failure alone: the next one is asked, and the last word names it as the cause. An
    auth file of the pull's own that is wrong is none: nobody else's credentials stand in for it."""
    g = Ground(t)
    helpers(g)
    g.helper("cries", "echo no key; exit 3\n")
    mirror, own = t.scripted(), t.folder + "/own"
    os.mkdir(own)
    mirror.add(g.image, "cache/app")
    conf = t.write("registries.conf", '[[registry]]\nlocation = "%s/team"\n[[registry.mirror]]\n'
                   'location = "%s/cache"\n' % (g.server.host, mirror.host))

    def settings(mirrors, upstreams):
        return dict(credential_helper_dir=g.helpers, registries_conf=conf, authfile=t.write(
            "a.json", {"credHelpers": {mirror.host: mirrors, g.server.host: upstreams}}))

    for mirrors in ("cries", "missing", "none"):
        mirror.clear()
        config = t.config(**settings(mirrors, "good"))
        err = t.bulkhead(t.store(), "pull", g.ref, config=config).err
        if mirrors == "none":  # it has an answer: that there is nothing
            t.ok(mirror.asked("/manifests/"), "the mirror was not asked")
            continue
        t.has(err, "goes on at https://" + g.server.host, "the warning")
        t.has(err, "because https://%s: " % mirror.host, "the warning")
        t.eq(mirror.requests, [], "asked of the mirror")
    got = t.bulkhead(t.store(), "pull", g.ref, config=t.config(**settings("missing", "cries")), expect=4)
    for part in ("no endpoint gives it: https://%s: the credential helper " % mirror.host,
                 "docker-credential-missing: No such file",
                 "; https://%s: docker-credential-cries for %s: it failed: no key" % (
                     g.server.host, g.server.host)):
        t.has(got.err, part, "the reason")
    node = Node(t, namespaced_auth_dir=own, **settings("cries", "good"))
    path = "%s/team-%s.json" % (own, sha(g.ref.rsplit(":", 1)[0]))
    with open(path, "w") as file:
        file.write("{}")
    os.chmod(path, 0o666)
    try:
        node.client().pull(g.ref, namespace="team")
        t.ok(False, "others' credentials stood in")
    except Exception as error:
        t.has(str(error), "can be written by others than root", "the reason")


@test
def a_helper_is_roots_program(t):
    g = Ground(t)
    path = g.answers("good", GOOD)
    g.with_helper("good", 0)
    for spoil, mend in ((lambda: os.chown(path, 1000, 0), lambda: os.chown(path, 0, 0)),
                        (lambda: os.chmod(path, 0o775), lambda: os.chmod(path, 0o755)),
                        (lambda: os.chmod(path, 0o744), lambda: os.chmod(path, 0o755)),
                        (lambda: os.chmod(g.helpers, 0o777), lambda: os.chmod(g.helpers, 0o755))):
        spoil()
        t.has(g.with_helper("good", 64).err, g.helpers, "the reason")
        mend()
    t.has(g.with_helper("missing", 4).err, "docker-credential-missing: No such", "the reason")
    for name in ("../good", "Good", "g d", "", "x" * 65):
        got = g.with_helper(name)
        t.ok(got.code in (4, 64), "the name", repr(name), got)
    # Who else could write the file cannot have programs run.
    env = g.environment({"runtime": {"credHelpers": {g.server.host: "good"}}})
    os.chmod(env["XDG_RUNTIME_DIR"] + "/containers/auth.json", 0o666)
    got = g.ask(env=env, expect=4)
    t.has(got.err, "others than root could write the file", "the warning")
    # None is run where no directory is named.
    t.eq(g.with_helper("good", config=t.config(credential_helper_dir="")).code, 4, "no directory")


@test
def an_identity_token_of_a_helper(t):
    """<token> for a user: the secret is exchanged at the token server."""
    g = Ground(t)
    tokens = t.scripted()
    g.server.clear()
    g.server.on("^/v2/", registry.need_bearer(tokens.url + "/token", "canary-bearer"))
    tokens.on("^/token", lambda s, r, answer: registry.Answer(
        200, [("Content-Type", "application/json")], b'{"access_token":"canary-bearer"}')
        if r.method == "POST" else registry.Answer(401))
    g.answers("token", "canary-identity", user="<token>")
    g.with_helper("token", 0)
    t.ok(not g.server.saw("canary-identity"), "the registry saw the identity token")


def sha(name):
    return hashlib.sha256(name.encode()).hexdigest()


@test
def files_of_single_pulls(t):
    """NAMESPACE-SHA256.json, as CRI-O's credential provider writes it: of that namespace and image
    alone, before the others, removed after its use."""
    g = Ground(t)
    own = t.folder + "/own"
    os.mkdir(own)
    name = g.ref.rsplit(":", 1)[0]
    node = Node(t, namespaced_auth_dir=own, authfile=t.write("a.json", {
        "auths": {g.server.host: auth(BAD)}}))
    client = node.client()

    def put(namespace, image, content):
        path = "%s/%s-%s.json" % (own, namespace, sha(image))
        with open(path, "w") as file:
            json.dump(content, file)
        return path

    def pull(namespace):
        try:
            client.pull(g.ref, namespace=namespace)
            return True
        except Exception as error:
            t.ok("canary" not in str(error), "a secret in the error:", error)
            return False

    good = {"auths": {g.server.host: auth(GOOD)}}
    path = put("team-a", name, good)
    t.eq(pull("team-b"), False, "another namespace")
    t.eq(pull(None), False, "no namespace")
    t.ok(os.path.exists(path), "removed by others")
    t.eq(pull("team-a"), True, "its own")
    node.nothing_left()
    deadline = time.monotonic() + 10  # it goes when the last room of the pull has been reaped
    while os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.01)
    t.ok(not os.path.exists(path), "left after its use")
    t.eq(pull("team-a"), False, "used once")
    put("team-a", name + "x", good)
    t.eq(pull("team-a"), False, "another image")
    put("team-a", name, {"credHelpers": {g.server.host: "good"}})
    t.eq(pull("team-a"), False, "it names no programs")
    os.chmod(put("team-a", name, good), 0o666)
    t.eq(pull("team-a"), False, "others could write it")
    t.ok("canary" not in node.logs(), "a secret in the log")


@test
def a_mirrors_credentials_are_its_own(t):
    """What came with the request stays with the registry in the name."""
    image, mirror, upstream = t.image("tiny"), t.scripted(), t.scripted()
    mirror.add(image, "cache/app")
    upstream.add(image, "team/app")
    mirror.on("^/v2/", registry.need_basic("m", "canary-mirror"))
    upstream.on("^/v2/", registry.need_basic("u", "canary-upstream"))
    conf = t.write("registries.conf", '[[registry]]\nlocation = "%s/team"\n[[registry.mirror]]\n'
                   'location = "%s/cache"\n' % (upstream.host, mirror.host))
    config = t.config(registries_conf=conf, authfile=t.write("a.json", {"auths": {
        mirror.host: auth("m:canary-mirror"), upstream.host: auth("u:wrong")}}))
    t.bulkhead(t.store(), "pull", "--creds", "u:canary-upstream", upstream.host + "/team/app:latest",
               config=config)
    for server, other in ((mirror, registry.basic("u", "canary-upstream")),
                          (upstream, registry.basic("m", "canary-mirror"))):
        t.ok(not server.saw(other), "the other's credentials")
    t.ok(mirror.saw(registry.basic("m", "canary-mirror")), "the mirror was not asked")

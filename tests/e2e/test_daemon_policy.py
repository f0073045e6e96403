"""The policy of a daemon: one that cannot be used is never taken in place of another."""
import json

import registry
from daemon import Daemon
from harness import test

ACCEPT = json.dumps({"default": [{"type": "insecureAcceptAnything"}]})
REJECT = json.dumps({"default": [{"type": "reject"}]})
# What only who parses it can see, and the word about it.
BROKEN = [
    ('{"default": [{"type": "insecureAcceptAnything"}],\n "default": []}', "duplicate"),
    ('{"default":\n [{"type": "insecureAcceptAnything"}]', "line 2"),
    ('{"default": [{"type": "acceptEverything"}]}', "acceptEverything"),
    ('{"default": []}', "is empty"),
    ("", "not acceptable JSON"),
]


def write(daemon, text):
    with open(daemon.folder + "/policy.json", "w") as file:
        file.write(text)


def refusals(daemon):
    return [l for l in daemon.logs().splitlines() if "reload: refused, nothing has changed: " in l]


def pulls(t, daemon, text, expect):
    """With that policy in force, broken ones change nothing: not the verdict, not the rest."""
    server, image = t.scripted(), t.image("tiny")
    pull = ("pull", "--tls-verify=false", "-q", server.add(image, "policy/kept"))
    write(daemon, text)
    daemon.reload()
    daemon.command(*pull, expect=expect)
    before = len(refusals(daemon))
    for count, (broken, why) in enumerate(BROKEN, before + 1):
        write(daemon, broken)
        daemon.configure_only(max_parallel_pulls=2 + count)
        daemon.reload()
        lines = refusals(daemon)
        t.eq(len(lines), count, "refusals, one line each")
        t.has(lines[-1], "signature policy %s/policy.json: " % daemon.folder, "which file")
        t.has(lines[-1].lower(), why.lower(), "why")
        daemon.command(*pull, expect=expect)
    t.ok("max_parallel_pulls is now" not in daemon.logs(), "nothing else was taken either")


class Kept(Daemon):
    def configure_only(self, **changes):
        """Settings alone: the policy's file stays."""
        with open(self.folder + "/policy.json") as file:
            text = file.read()
        self.configure(**changes)
        write(self, text)


@test
def reload_keeps_the_policy_that_accepts(t):
    daemon = Kept(t)
    pulls(t, daemon, ACCEPT, 0)
    write(daemon, REJECT)
    daemon.reload()
    t.has(daemon.logs(), "reload: max_parallel_pulls is now", "what waited for a good policy")
    daemon.stop()


@test
def reload_keeps_the_policy_that_rejects(t):
    daemon = Kept(t)
    pulls(t, daemon, REJECT, 3)
    daemon.stop()


@test
def start_with_a_broken_policy(t):
    """It starts, says so once, refuses pulls; a reload with a good one is all that it takes."""
    daemon = Kept(t, start=False)
    server, image = t.scripted(), t.image("tiny")
    pull = ("pull", "--tls-verify=false", "-q", server.add(image, "policy/start"))
    write(daemon, '{"default": [{"type": "insecureAcceptAnything"}],\n "other": 1}')
    daemon.run()
    said = "every pull is refused: signature policy %s/policy.json: " % daemon.folder
    t.eq(daemon.logs().count(said), 1, daemon.logs())
    t.has(daemon.command(*pull, expect=3).err, "policy.json", "the refusal")
    # Nothing is lost by the rest of a configuration then.
    daemon.configure_only(max_parallel_pulls=3)
    daemon.reload()
    t.has(daemon.logs(), "reload: max_parallel_pulls is now 3", "the rest")
    t.eq((refusals(daemon), daemon.logs().count(said)), ([], 2), "said again")
    daemon.command(*pull, expect=3)
    write(daemon, ACCEPT)
    daemon.reload()
    daemon.command(*pull)
    t.eq((refusals(daemon), daemon.logs().count(said)), ([], 2), "no word more")
    daemon.stop()


@test
def refused_logins_name_the_auth_file(t):
    """Its path, and nothing of what is in it."""
    server, image = t.real(user="alice", password="right-canary-1"), t.image("tiny")
    ref = server.push(image, "policy/locked")
    secret = registry.basic("alice", "wrong-canary-2").split()[1]
    path = t.write("auth.json", {"auths": {server.host: {"auth": secret}}})
    daemon = Daemon(t, authfile=path)
    pull = ("pull", "--tls-verify=false", "-q", ref)
    err = daemon.command(*pull, expect=4).err
    t.has(err, path, "wrong password")
    t.ok("canary" not in err + daemon.logs() and secret not in err + daemon.logs(), err)
    other = t.write("auth-other.json", {"auths": {"other.example": {"auth": secret}}})
    daemon.configure(authfile=other)
    daemon.reload()
    t.has(daemon.command(*pull, expect=4).err, other, "no entry for it, after a reload")
    err = daemon.command("pull", "--tls-verify=false", "--creds", "alice:no", "-q", ref,
                         expect=4).err
    t.ok(other not in err and "--creds" in err, err)
    daemon.stop()

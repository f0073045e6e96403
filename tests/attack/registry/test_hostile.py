"""Hostile registries, G01 to G23: a row of cases.py each, many at a time at one daemon.

After each batch the same holds for all of it (world.py): every secret came only to its own origin,
no canary was touched, no room took more memory than it may, nothing is left, the second tenant's
pulls went on. CASE=G03.k in the environment runs only the cases that match."""
import fnmatch
import os
import re
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor

import cases
import registry
from harness import test
from world import World

# At once, quick ones and slow ones, which mostly sleep between their tries: each pull holds up to
# five fetchers, and the node has 24.
FEW, MANY = (4, 3), (6, 8)
GROUPS = {"G%02d" % i for i in range(1, 24)}


def judge(world, case, result):
    """What is wrong with the outcome, or None."""
    codes = case.code if isinstance(case.code, list) else [case.code]
    out, err = result.stdout.decode(errors="replace"), result.stderr.decode(errors="replace")
    lines = err.strip("\n").split("\n")
    if result.returncode not in codes:
        return "exit %d, wanted %s: %s" % (result.returncode, case.code, err.strip()[:400])
    if result.returncode == 0:
        wanted = getattr(case.image, "images", [case.image])[0].id
        if out.strip() != wanted:
            return "printed %r, not %s" % (out[:80], wanted)
    elif out:
        return "printed %r" % out[:80]
    elif len(lines) != 1 and not all(l.startswith((" ", "\t")) for l in lines[1:]):
        return "more than one line: %r" % err[:400]
    elif re.search(r"[\x00-\x08\x0b-\x1f\x7f]", err) or not err.strip():
        return "control bytes, or nothing: %r" % err[:400]
    elif case.says and not re.search(case.says, err):
        return "says not %r: %s" % (case.says, err.strip()[:400])
    return case.after and case.after(world, case, result)


def attempt(world, case):
    """One pull; the image that should not be refused is removed again."""
    creds = ["--creds", case.user_password] if case.creds is True else []
    argv = world.node.argv("pull", "--progress", "none", *creds, *case.args, case.ref)
    try:
        result = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, cwd="/",
                                env=world.t.session.env, timeout=2000 if case.long else 120)
        if result.returncode == 0:
            subprocess.run(world.node.argv("rmi", case.ref), capture_output=True, timeout=60)
        problem = judge(world, case, result)
    except subprocess.TimeoutExpired:
        problem = "still running"
    return "%s (%s): %s" % (case.id, case.does, problem) if problem else None


def batch(t, *groups, at_once=MANY, kinds=None, **settings):
    """kinds: whether long cases are run; all or none of them as a rule."""
    kinds = kinds or ((False, True) if t.long else (False,))
    chosen = [c for group in groups for c in cases.rows_of(group) if not c.absent
              and c.long in kinds and fnmatch.fnmatch(c.id, os.environ.get("CASE", "*"))]
    world = World(t, **settings)
    for case in chosen:
        case.prepare(world)
    with ThreadPoolExecutor(at_once[0]) as quick, ThreadPoolExecutor(at_once[1]) as slow:
        jobs = [(slow if case.slow else quick).submit(attempt, world, case) for case in chosen]
        problems = [p for p in (job.result() for job in jobs) if p]
    problems += world.check(chosen)
    t.ok(not problems, "%d of %d:\n" % (len(problems), len(chosen)) + "\n".join(problems))


@test(peers=True)
def the_table(t):
    rows = cases.load()
    ids = [r.id for r in rows]
    t.eq(len(set(ids)), len(ids), "ids")
    t.eq({i.split(".")[0] for i in ids}, GROUPS, "groups")
    t.ok(len([r for r in rows if not r.absent]) >= 250, "cases:", len(rows))
    t.eq([r.id for r in rows if not r.does or (not r.absent and r.code is None)], [], "incomplete")


@test(needs=["ip"])
def what_is_watched_is_seen(t):
    """The assertions after each batch find what they look for."""
    world, case = World(t), cases.rows_of("G06")[0]
    case.prepare(world)
    for place in (("127.0.0.9", 80), ("11.1.1.3", 80)):
        with socket.create_connection(place) as sock:
            for repo in ("g06/a", "g06/b"):
                sock.sendall(b"GET /v2/%s/ HTTP/1.1\r\nAuthorization: %s\r\n\r\n" % (
                    repo.encode(), registry.basic("eve", case.password).encode()))
                sock.recv(1000)
    world.watch.peaks["bulkhead-fetch"] = 1 << 20
    problems = "\n".join(world.check([case]))
    for part in ("a canary was touched: ('127.0.0.9', 80", "G06.a: its password came to http://other",
                 "a connection to http://other.test was shared", "a fetch room took 1048576 KiB"):
        t.has(problems, part, "what the assertions say")


@test(needs=["ip"])
def names_challenges_redirects(t):
    batch(t, "G01", "G02", "G03", "G04", "G05", "G18", "G19", at_once=FEW)


@test(needs=["ip"])
def bodies_heads_certificates(t):
    batch(t, "G06", "G07", "G09", "G10", "G11", "G12", "G22", "G23")


@test(needs=["ip"])
def slow_ones(t):
    """The setting ends what the limits would end much later."""
    batch(t, "G08", kinds=(False,), pull_progress_timeout="1s")


@test(needs=["ip"], long=True)
def slow_ones_at_the_limits(t):
    batch(t, "G08", kinds=(True,))


@test(needs=["ip"])
def documents(t):
    batch(t, "G13", "G14", "G15", "G16", "G17", "G20")


cases.load()

"""A layer that has taken over the room that verifies it for `check --deep`. It may have itself found
damaged: then it is fetched again, which changes no byte, or goes with the images that need it. It
has nothing else found damaged, nothing damaged found whole, keeps no check waiting, and a room that
breaks the protocol is begun again once."""
import json
import time

from harness import test
from stores import reassembled
from test_liars import CONTENT, Liars
from verify import problems

INTERRUPTED = 130
# lie -> what is logged about it
BREAKS = {
    "twice": "broke the protocol", "then-crash": "ended with signal", "garbage": "the protocol",
    "then-damaged": "broke the protocol", "checked": "the protocol", "opaque": "the protocol",
    "unanswered": "without an answer", "more": "more together than was ever in the layer",
    "wants-rooms": "ended with status 2"}
SAYS_DAMAGED = {"zeros": "other bytes", "nothing": "other bytes", "damaged": r"\x1b[2J all of it"}


class World(Liars):
    def __init__(self, t):
        super().__init__(t)
        self.store, self.config = self.ground.store, t.config(check_rate=0)
        t.pull(self.store, self.serve())
        self.layer = self.store.chain(self.evil.id)[0]["id"]  # the one that lies

    def check(self, lie, *args, expect=0, patience=()):
        """The rows, and what is logged."""
        self.put("apply", "verify-" + lie)
        argv = self.t.bulkhead_argv(self.store, "check", "--deep", "--format", "json", "--progress",
                                    "none", *args, config=self.config)
        begun = time.monotonic()
        result = self.t.run([*patience, self.bin + "/bulkhead", *argv[1:]], expect=expect)
        self.t.ok(time.monotonic() - begun < 30, lie, "took", time.monotonic() - begun)
        self.t.ok("status 99" not in result.err, "unknown lie")
        rows = [(r["Id"], r["State"], r["Finding"]) for r in json.loads(result.out or "[]")]
        self.t.eq({r[0] for r in rows} - {self.layer}, set(), lie + ": findings about others")
        self.t.eq(self.t.session.leftovers(), [], lie)
        return rows, result.err

    def inodes(self):
        return {p: v[3] for p, v in self.store.snapshot().items()}

    def whole(self, lie):
        self.t.eq(problems(self.store.root), [], lie)
        for record, layer in zip(self.store.chain(self.evil.id), self.evil.layers):
            self.t.eq(reassembled(self.store, record["id"]), layer.diff_id, lie)


@test
def breaks_the_protocol(t):
    """Nothing is known of the layer then: it is told, and nothing changes."""
    world = World(t)
    before = world.store.snapshot()
    for lie, why in BREAKS.items():
        rows, log = world.check(lie, "--repair", "--refetch", "--tls-verify=false", expect=CONTENT)
        t.eq([r[:2] for r in rows], [(world.layer, "damaged")], lie)
        t.has(rows[0][2], "could not be verified", lie)
        told = [l for l in log.splitlines() if "verifying layer " + world.layer[:12] in l]
        t.eq(["begun again" in l for l in told], [True, False], "%s: %s" % (lie, log))
        t.ok(all(why in l for l in told), lie, told)
        world.ground.unchanged(before)
    world.whole("in the end")


@test
def says_it_is_damaged(t):
    """Alone, it is fetched again, and the same bytes are there; or it goes, and the other image is
    there to the last inode."""
    world = World(t)
    before = world.inodes()
    for lie, why in SAYS_DAMAGED.items():
        rows, _ = world.check(lie, "--repair", "--refetch", "--tls-verify=false")
        t.eq([r[:2] for r in rows], [(world.layer, "fetched again")], lie)
        t.has(rows[0][2], why, lie)
        world.whole(lie)
    changed = [p for p, inode in world.inodes().items() if before.get(p) != inode]
    mine = (world.layer, world.evil.id, ".json")
    t.eq([p for p in changed if not any(m in p for m in mine)], [], "changed")
    rows, _ = world.check("zeros", "--repair")
    t.eq([r[1] for r in rows], ["removed"], "without fetching")
    t.eq([i["id"] for i in world.store.images()], [world.ground.base.id], "images")
    t.eq(problems(world.store.root), [], "removed")
    changed = [p for p, inode in world.inodes().items() if before.get(p) != inode]
    t.eq([p for p in changed if not p.endswith(".json")], [], "changed")


@test
def says_that_all_is_well(t):
    """What it has not, it cannot give to the room that hashes."""
    world = World(t)
    with open(world.store.diff(world.layer) + "/opt/liar", "r+b") as file:
        file.write(b"A")
    for lie in ("zeros", "nothing"):
        rows, _ = world.check(lie, expect=CONTENT)
        t.eq([r[:2] for r in rows], [(world.layer, "damaged")], lie)


@test
def says_nothing(t):
    """Who waits can stop. That it is ended by itself: tests/store/test_verify.c."""
    world = World(t)
    before = world.store.snapshot()
    world.check("silent", "--repair", expect=INTERRUPTED, patience=["timeout", "--preserve-status",
                                                                    "-s", "INT", "2"])
    world.ground.unchanged(before)
    world.whole("silent")

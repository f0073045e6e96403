"""The fail points are in the faults build and in no other."""
import os

from harness import test
from points import BUILD, MAGIC, table

SAID = MAGIC.split(b":")[0]


def programs(folder):
    found = {}
    for name in sorted(os.listdir(folder)):
        if name.startswith("bulkhead"):
            with open("%s/%s" % (folder, name), "rb") as file:
                found[name] = file.read()
    return found


@test
def only_the_faults_build_has_them(t):
    """Not one byte of them, symbols and debugging information included, is in what is shipped."""
    t.ok(len(table()) >= 40, "only", len(table()), "fail points")
    release, faults = programs(t.session.bin), programs(BUILD)
    for name in ("bulkheadd", "bulkhead-store", "bulkhead-apply"):
        for what in (SAID, b"failpoint_reach"):
            t.ok(what in faults[name], what, "is not in", name, "of the faults build")
    t.ok(len(release) > 10, "programs:", sorted(release))
    t.eq([n for n, text in release.items() if b"failpoint" in text.lower()], [], "have them")

"""Names: what dial resolves, and how it ends when nobody answers."""
import json
import os

from harness import test

GOOD = ("[fd00:7::1]", "a.test", "aaaa.test", "cname.test", "both.test", "reg", "tc.test", "localhost",
        "hosts.test", "dead-first.test")


@test(needs=["ip"])
def names_of_every_kind(t):
    """A, AAAA, CNAME, truncation, search list, localhost, hosts; failures end with 5 in 15 s."""
    script = os.path.dirname(os.path.abspath(__file__)) + "/dns_world.py"
    folder = t.folder + "/w"
    os.mkdir(folder, 0o755)
    argv = ["unshare", "-n", "-m", "--propagation", "private", "/usr/bin/python3", script, folder,
            t.session.bin + "/bulkhead", "--config", t.session.config]
    results = json.loads(t.run(argv, timeout=200).out)
    for name, code, seconds, err in results:
        t.eq(code, 0 if name in GOOD else 5, "%s after %.1f s: %s" % (name, seconds, err))
        t.ok(seconds < 15, name, "took", seconds)
        t.ok(code == 0 or name.split(".")[0] in err, "the message names the host:", err)

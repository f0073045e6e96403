"""How every bad input is judged: the exit code of its class, one line that says why, the store as
it was, and a good pull beside it that succeeds."""
import re

import images
import mkimage

MAY_BE_MADE = re.compile(r"\.has-mount-program|bulkhead.*")


class Ground:
    """A store that already holds an image, a good image to pull beside, and a bad registry."""

    def __init__(self, t, disk=False):
        self.t, self.server, self.good = t, t.scripted(), t.real()
        self.store = t.store(disk)
        self.base = self.made("base")  # shares no layer with any image under attack
        self.beside = self.made("beside")
        t.pull(self.store, self.good.push(self.base, "attack/base"))

    def made(self, label):
        tar = images.base(self.t.session).add("opt/" + label, label)
        return mkimage.Image([mkimage.layer(tar)], cmd=["/bin/hello", "hello"])

    def refused(self, ref, code, *args, says=None, timeout=90, config=None, beside=True,
                logs=None):
        """Pulls `ref`, which must fail with `code` (or one of them) and change nothing. logs: lines
        beside the message that may be there."""
        t, store = self.t, self.store
        before = store.snapshot()
        job = t.start(t.bulkhead_argv(store, "pull", "--tls-verify=false", "--progress", "none",
                                      *args, ref, config=config))
        result = t.finish(job, timeout)
        codes = code if isinstance(code, (list, tuple)) else [code]
        t.ok(result.code in codes, "exit %s, wanted %s\n%s" % (result.code, codes, result))
        t.eq(result.out, "", "stdout")
        lines = result.err.strip().split("\n")
        lines = [l for l in lines if not (logs and re.match(logs, l))] or lines[-1:]
        t.ok(lines[0].strip(), "no message", result)
        t.ok(len(lines) == 1 or all(l.startswith((" ", "\t")) for l in lines[1:]),
             "more than one line:", result)
        t.ok(not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", result.err), "raw control bytes", result)
        if says:
            t.ok(re.search(says, result.err, re.I), "says not %r:" % says, result)
        t.eq(t.session.leftovers(), [], "left behind")
        t.eq(store.staging(), [], "staging")
        self.unchanged(before)
        if beside:
            self.good_pull()
        return result

    def unchanged(self, before):
        after = self.store.snapshot()
        changed = sorted(p for p in set(before) | set(after) if before.get(p) != after.get(p)
                         and not MAY_BE_MADE.fullmatch(p))
        # a directory in which a temporary file came and went keeps its content
        changed = [p for p in changed if not (p in before and p in after)]
        self.t.eq(changed, [], "the store changed")

    def good_pull(self):
        """Another image arrives and runs out of the same store, and goes again."""
        t = self.t
        ref = self.good.push(self.beside, "attack/good")
        t.pull(self.store, "-q", ref)
        t.bulkhead(self.store, "rmi", ref)

    def serve(self, image, name="attack/bad"):
        self.server.clear()
        return self.server.add(image, name)

"""Rooms that have been taken over (tests/attack/liars): in a copy of the programs one room is
replaced by a liar, and everything else holds. Each row: lie, exit codes, what the message says;
code 0 means that the lie gains nothing and the pull is the honest one."""
import fnmatch
import json
import os
import shutil

from harness import Failure, test
from common import Ground
import images
import mkimage
import registry

NOT_FOUND, IN_USE, POLICY, NETWORK, CONTENT, INTERNAL = 1, 2, 3, 5, 7, 125
STALLS = 124  # of timeout(1)
ACCEPT, REJECT = [{"type": "insecureAcceptAnything"}], [{"type": "reject"}]
# What the supervisor logs about a room that it ends, beside the one line of the error.
LOGS = ("bulkhead: ((document|fetch|frontend|verdict|apply|check|remove|hash|inflate|store): |"
        "the (frontend|store worker) ended |fetch for frontend: )")
SLOT, SLOT_SIZE = b"bulkhead-liar:", 192
REJECTED = "rejected.example/name:latest"


class Liars:
    """The programs, one of their rooms replaced."""

    def __init__(self, t):
        self.t, self.ground = t, Ground(t)
        self.honest = t.session.bin
        self.bin = t.folder + "/bin"
        os.mkdir(self.bin)
        for name in os.listdir(self.honest):
            if name.startswith("bulkhead"):
                shutil.copy(os.path.join(self.honest, name), self.bin)
        tar = images.base(t.session).add("opt/liar", b"a file that the applier lies about")
        second = mkimage.layer(mkimage.Tar().add("opt/second", os.urandom(5000)))
        self.evil = mkimage.Image([mkimage.layer(tar), second], cmd=["/bin/hello", "hello"])
        self.index = mkimage.Index([self.evil])

    def put(self, room, lie, argument=""):
        """Writes the lie into the liar's program and that beside the others."""
        path = os.path.join(os.path.dirname(self.honest), "tests/liars", room)
        with open(path, "rb") as file:
            text = file.read()
        at = text.index(SLOT)
        self.t.ok(text.find(SLOT, at + 1) < 0, "two slots in", path)
        words = SLOT + ("%s %s" % (lie, argument)).strip().encode()
        self.t.ok(len(words) < SLOT_SIZE, "the argument is too long")
        text = text[:at] + words.ljust(SLOT_SIZE, b"\0") + text[at + SLOT_SIZE:]
        target = "%s/bulkhead-%s" % (self.bin, room)
        with open(target, "wb") as file:
            file.write(text)
        os.chmod(target, 0o755)

    def restore(self, room):
        shutil.copy("%s/bulkhead-%s" % (self.honest, room), self.bin)

    def serve(self, image=None):
        return self.ground.serve(image or self.evil, "attack/liar")

    def records(self):
        store = self.ground.store
        found = []
        for name in ("overlay-images/images.json", "overlay-layers/layers.json"):
            with open("%s/%s" % (store.root, name), "rb") as file:
                found.append(file.read())
        return found

    def refused(self, ref, codes, *args, says=None, config=None):
        before = self.records()
        self.t.session.bin = self.bin
        try:
            result = self.ground.refused(ref, codes, *args, says=says, config=config,
                                         timeout=60, beside=False, logs=LOGS)
        finally:
            self.t.session.bin = self.honest
        self.t.eq(self.records(), before, "images.json, layers.json")
        return result

    def pull(self, ref, *args, expect=0, config=None):
        self.t.session.bin = self.bin
        try:
            result = self.t.pull(self.ground.store, "--progress", "none", *args, ref,
                                 expect=expect, config=config, timeout=60)
        finally:
            self.t.session.bin = self.honest
        self.t.eq(self.t.session.leftovers(), [], "left behind")
        self.t.eq(self.ground.store.staging(), [], "staging")
        return result

    def stalls(self, ref, codes):
        """Nothing may come any more, as from a registry that says nothing: who waits gives up."""
        before, argv = self.records(), self.t.bulkhead_argv
        self.t.bulkhead_argv = lambda *a, **k: ["timeout", "-s", "INT", "5", *argv(*a, **k)]
        try:
            self.pull(ref, expect=codes)
        finally:
            self.t.bulkhead_argv = argv
        self.t.eq(self.records(), before, "images.json, layers.json")

    def harmless(self, codes, ref, *args, config=None):
        """The pull is the honest one, or none; the image goes again."""
        t, store = self.t, self.ground.store
        result = self.pull(ref, *args, expect=codes, config=config)
        if result.code:
            return
        t.eq(result.out.strip(), self.evil.id, "image")
        t.eq([l["diff-digest"] for l in store.chain(self.evil.id)],
             [l.diff_id for l in self.evil.layers], "layers")
        t.bulkhead(store, "rmi", self.evil.id)

    def rows(self, room, rows):
        """rows: (lie, codes, says[, options]); options: argument, ref, args, config."""
        wrong = []
        for lie, codes, says, *rest in rows:
            if not fnmatch.fnmatch(lie, os.environ.get("BULKHEAD_LIE", "*")):
                continue
            options = dict(rest[0]) if rest else {}
            ref = options.pop("ref", None) or self.serve(options.pop("image", None))
            self.put(room, lie, options.pop("argument", ""))
            try:
                codes = codes if isinstance(codes, list) else [codes]
                if STALLS in codes:
                    self.stalls(ref, codes)
                elif 0 in codes:
                    self.harmless(codes, ref, *options.pop("args", ()), **options)
                else:
                    result = self.refused(ref, codes, *options.pop("args", ()), says=says,
                                          **options)
                    self.t.ok("status 99" not in result.err, "unknown lie")
                    if os.environ.get("BULKHEAD_SHOW"):
                        print("%s %s: %d %s" % (room, lie, result.code, result.err.strip()))
            except Failure as failure:
                wrong.append("%s %s: %s" % (room, lie, failure))
                self.t.session.leftovers()
                self.t.bulkhead(self.ground.store, "rmi", "-f", self.evil.id, expect=None)
        self.restore(room)
        if wrong:
            raise Failure("\n".join(wrong))
        self.t.pull(self.ground.store, "-q", self.serve())  # honest programs again
        self.t.bulkhead(self.ground.store, "rmi", self.evil.id)
        self.ground.good_pull()


def hexed(digest):
    return digest.split(":")[-1]


def closed_policy(t, *hosts):
    """Everything is refused but what these registries have."""
    return t.config(policy={"default": REJECT,
                            "transports": {"docker": {host: ACCEPT for host in hosts}}})


@test
def document(t):
    """Sentence 3. What a document room says of its one document is believed; nothing beyond."""
    liars = Liars(t)
    nowhere = {"argument": "1" * 64}
    index = {"image": liars.index}
    liars.rows("document", [
        ("other-config", [NOT_FOUND, NETWORK], "not found|404|unknown", nowhere),
        ("many-layers", CONTENT, "2 layers, its manifest 127"),
        ("too-many-layers", CONTENT, "protocol"),
        ("no-layers", CONTENT, "2 layers, its manifest 0|protocol"),
        ("short-digests", CONTENT, "protocol"),
        ("fewer-kinds", CONTENT, "protocol"),
        ("odd-compression", CONTENT, "protocol"),
        ("huge-layers", CONTENT, "too large"),
        ("other-layers", [NOT_FOUND, NETWORK, CONTENT], "not found|404|unknown|DiffID", nowhere),
        ("manifest-is-index", [NOT_FOUND, NETWORK, CONTENT], "", nowhere),
        ("manifest-is-index", CONTENT, "protocol", dict(index, **nowhere)),
        ("manifest-is-config", CONTENT, "protocol"),
        ("config-is-index", CONTENT, "protocol", nowhere),
        ("config-is-manifest", CONTENT, "protocol", nowhere),
        ("index-is-config", CONTENT, "protocol", index),
        ("index-is-manifest", [NOT_FOUND, NETWORK, CONTENT], "", dict(index, **nowhere)),
        ("index-elsewhere", [NOT_FOUND, NETWORK], "not found|404|unknown", dict(index, **nowhere)),
        ("twice", CONTENT, "protocol"),
        ("two-kinds", CONTENT, "protocol"),
        ("config-twice", CONTENT, "protocol"),
        ("then-crash", CONTENT, "signal"),
        ("then-fail", CONTENT, "status 3"),
        ("nothing", [CONTENT, INTERNAL], "without an answer"),
        ("garbage", CONTENT, "protocol"),
        ("with-fd", CONTENT, "protocol"),
        ("failed-without-class", [CONTENT, INTERNAL], "all is well.*x1b"),
        ("other-diff-ids", CONTENT, "DiffID", nowhere),
        ("fewer-diff-ids", CONTENT, "1 layers, its manifest 2"),
        ("odd-diff-ids", CONTENT, "layers|protocol"),
        ("more-diff-ids", CONTENT, "127 layers, its manifest 2"),
        ("odd-facts", NOT_FOUND, "platform", {"args": ("--platform", "linux/amd64")}),
        ("odd-annotations", CONTENT, "protocol"),
        ("odd-user", CONTENT, "protocol"),
        ("wants-rooms", CONTENT, "document room|protocol"),
        ("ends-all", CONTENT, "document room|protocol"),
    ])


@test
def document_in_anothers_favour(t):
    """A hostile manifest, and a room taken over by it that answers with what belongs to an image
    that is present: whether the blob is that layer is found out by hashing it, and it is not."""
    liars = Liars(t)
    ground, victim = liars.ground, liars.ground.base
    one = mkimage.Image([liars.evil.layers[0]])
    layers = ground.store.json("overlay-layers/layers.json")

    def layers_are_the_same():
        now = ground.store.json("overlay-layers/layers.json")
        t.eq([(l["id"], l["diff-digest"]) for l in now],
             [(l["id"], l["diff-digest"]) for l in layers], "layers")
        out = t.podman_run(ground.store, victim.id, "/bin/hello", "hello").out
        t.has(out, "hello from the image")

    # the manifest says its own layer and, through the liar, the victim's config
    liars.put("document", "other-config", hexed(victim.config.digest))
    liars.refused(liars.serve(one), CONTENT, says="DiffID")
    layers_are_the_same()

    # the config says the victim's DiffID
    liars.put("document", "other-diff-ids", hexed(victim.layers[0].diff_id))
    liars.refused(liars.serve(one), CONTENT, says="DiffID")
    layers_are_the_same()

    # an index that leads to another present image's manifest, which the registry has too
    liars.restore("document")
    liars.put("document", "index-elsewhere", hexed(one.manifest.digest))
    ground.server.add(one, "attack/liar")
    ref = ground.server.add(liars.index, "attack/liar", "index")
    t.eq(liars.pull(ref).out.strip(), one.id, "image")
    liars.restore("document")
    t.bulkhead(ground.store, "rmi", one.id)
    layers_are_the_same()


@test
def document_with_odd_facts(t):
    """What goes from an answer into the shared JSON is clamped: podman reads it."""
    liars = Liars(t)
    for lie, years in (("odd-facts", range(1970, 2100)), ("far-future", [9999])):
        liars.put("document", lie)
        liars.pull(liars.serve())
        out = t.podman(liars.ground.store, "images", "--format", "json").out
        t.eq(len(json.loads(out)), 2, "podman's images")
        made = [i["created"] for i in liars.ground.store.images() if i["id"] == liars.evil.id]
        t.ok(made and int(made[0][:made[0].index("-")]) in years, lie, made)
        t.bulkhead(liars.ground.store, "rmi", liars.evil.id)


@test
def fetch(t):
    """Sentence 1."""
    liars = Liars(t)
    ref = liars.serve()
    pinned = {"ref": ref.rsplit(":", 1)[0] + "@" + liars.evil.manifest.digest}
    again = {"argument": "http://%s/v2/attack/liar/manifests/latest" % liars.ground.server.host}
    liars.rows("fetch", [
        ("other-bytes", CONTENT, "hash", pinned),
        ("other-config", CONTENT, "hash"),
        ("blob-bytes", CONTENT, "hash|gzip|inflate|deflate"),
        ("unsealed", CONTENT, "cannot be read"),
        ("half-sealed", CONTENT, "cannot be read"),
        ("not-memory", CONTENT, "cannot be read"),
        ("two-fds", [NETWORK, CONTENT, INTERNAL], "protocol"),
        ("second-document", 0, ""),
        ("first-document", CONTENT, "hash", pinned),
        ("flood", 0, ""),
        ("other-type", CONTENT, ""),
        ("wrong-channel", [NETWORK, CONTENT, INTERNAL], "protocol"),
        ("plays-store", [NETWORK, CONTENT, INTERNAL], "protocol"),
        ("plays-frontend", [NETWORK, CONTENT, INTERNAL], "protocol"),
        ("claim-other-pull", [NETWORK, INTERNAL], "fetcher"),
        ("claim-other-layer", [STALLS, INTERNAL], ""),  # is seen, or its own layer gets no byte
        ("claim-no-layer", [NETWORK, INTERNAL], "fetcher"),
        ("claim-twice", [NETWORK, INTERNAL], "fetcher"),
        ("sends-token", [0, NETWORK, INTERNAL], "fetcher"),
        ("wants-rooms", [0, NETWORK, INTERNAL], "fetcher"),
        ("ends-all", [0, NETWORK, INTERNAL], "fetcher"),
        ("redirects-home", [NETWORK, POLICY], "169.254.169.254"),
        ("redirects-oddly", [NETWORK, POLICY, CONTENT], "redirect"),
        ("redirects-for-ever", NETWORK, "redirect", again),
        ("challenges", [NETWORK, POLICY, 4], ""),
        ("fails-without-class", [NETWORK, INTERNAL], "all is well.*x07"),
        ("garbage", [NETWORK, CONTENT, INTERNAL], "protocol"),
    ])


@test
def verdict(t):
    """Sentence 3: a verdict on another name, manifest or policy is none."""
    liars = Liars(t)
    closed = {"config": closed_policy(t)}
    broken = [INTERNAL, CONTENT, POLICY]
    liars.rows("verdict", [
        ("other-name", broken, "protocol", closed),
        ("other-name-first", broken, "protocol", closed),
        ("other-digest", broken, "protocol", closed),
        ("other-policy", POLICY, "changed", closed),
        ("twice", broken, "protocol", closed),
        ("then-crash", broken, "signal", closed),
        ("then-fail", broken, "status 1", closed),
        ("nothing", broken, "without a verdict", closed),
        ("plays-document", broken, "protocol", closed),
        ("accepts-half", broken, "protocol", closed),
        ("reads-crash", broken, "", closed),
        ("reads-twice", broken, "", closed),
        ("reads-settings", broken, "", closed),
    ])


@test
def verdict_that_accepts(t):
    """Its own name and manifest it may turn: exactly that name is recorded."""
    liars = Liars(t)
    liars.put("verdict", "accepts")
    ref = liars.serve()
    liars.pull(ref, config=closed_policy(t))
    names = [i.get("names") for i in liars.ground.store.images() if i["id"] == liars.evil.id]
    t.eq(names, [[ref]], "names")


@test
def apply(t):
    """Sentence 2: tree, tar-split and byte count agree, or the layer is refused."""
    liars = Liars(t)
    check = "protocol|size|regular|open|link|exist|side|describes|not"
    liars.rows("apply", [
        ("more-bytes", CONTENT, "another number of bytes"),
        ("nothing-said", [CONTENT, INTERNAL], "layer"),
        ("twice", [CONTENT, INTERNAL], "protocol"),
        ("then-fail", [CONTENT, INTERNAL], "status 1"),
        ("checked-instead", [CONTENT, INTERNAL], "protocol"),
        ("erased-instead", [CONTENT, INTERNAL], "protocol"),
        ("untar-opaque", [CONTENT, INTERNAL], "protocol"),
        ("failed-without-class", [CONTENT, INTERNAL], r"x1b\[2Jfine"),
        ("wants-rooms", [CONTENT, INTERNAL], "apply|layer"),
        ("check-nothing-said", [CONTENT, INTERNAL], "layer"),
        ("check-twice", [CONTENT, INTERNAL], "protocol"),
        ("check-then-fail", [CONTENT, INTERNAL], "status 1"),
        ("opaque-socket", [CONTENT, INTERNAL], "protocol"),
        ("opaque-file", [CONTENT, INTERNAL], "protocol"),
        ("opaque-path", [CONTENT, INTERNAL], "protocol"),
        ("opaque-late", [CONTENT, INTERNAL], "protocol"),
        ("odd-owners", [CONTENT, INTERNAL], "protocol"),
        ("unsorted-owners", [CONTENT, INTERNAL], "protocol"),
        ("check-wants-rooms", [CONTENT, INTERNAL], "apply|layer"),
        ("nothing-made", [CONTENT, INTERNAL], check),
        ("file-gone", [CONTENT, INTERNAL], check),
        ("file-shorter", [CONTENT, INTERNAL], check),
        ("file-is-link", [CONTENT, INTERNAL], check),
        ("folder-is-link", [CONTENT, INTERNAL], check),
        ("file-is-folder", [CONTENT, INTERNAL], check),
        ("side-garbage", [CONTENT, INTERNAL], check),
        ("side-again", [CONTENT, INTERNAL], check),
    ])


@test
def apply_that_does_not_remove(t):
    """What a liar leaves in the staging is swept by the next honest command."""
    liars = Liars(t)
    ground = liars.ground
    liars.put("apply", "nothing-removed")
    ref, before = liars.serve(), liars.records()
    ground.server.on("/blobs/" + liars.evil.layers[1].blob.digest, registry.change(registry.flip))
    t.session.bin = liars.bin
    try:
        t.pull(ground.store, "--progress", "none", ref, expect=CONTENT)
    finally:
        t.session.bin = liars.honest
    t.eq(liars.records(), before, "images.json, layers.json")
    t.eq(t.session.leftovers(), [], "left behind")
    ground.good_pull()
    t.eq(ground.store.staging(), [], "staging")


@test
def hash(t):
    """It is trusted with digests, but not with the order of things."""
    liars = Liars(t)
    any_code = [CONTENT, INTERNAL]
    liars.rows("hash", [
        ("other-digest", CONTENT, "hash to"),
        ("other-diff-id", CONTENT, "DiffID"),
        ("other-size", CONTENT, "hash to"),
        ("other-diff-size", CONTENT, "another number of bytes"),
        ("twice", any_code, "protocol"),
        ("then-crash", any_code, "signal"),
        ("nothing", any_code, "layer"),
        ("early", any_code, "hash to"),
        ("failed-without-class", any_code, r"x1b\[2J"),
        ("plays-applier", any_code, "protocol"),
        ("applier-gets-other-bytes", any_code, "layer"),
    ])


@test
def inflate(t):
    """Sentence 2: every byte that it writes is hashed after it."""
    liars = Liars(t)
    any_code = [CONTENT, INTERNAL]
    liars.rows("inflate", [
        ("other-bytes", CONTENT, "DiffID|refused"),
        ("all-zero", CONTENT, "DiffID|refused"),
        ("dies", any_code, "inflate|layer"),
        ("ends", any_code, "inflate|layer"),
        ("cut", any_code, ""),
        ("bad-index", [0, CONTENT, INTERNAL], ""),
        ("plays-hash", 0, ""),
        ("wants-rooms", any_code, "inflate|layer"),
    ])


@test
def frontend(t):
    """Sentence 4. One registry's names are accepted, every other is refused."""
    liars = Liars(t)
    ground = liars.ground
    config = closed_policy(t, ground.server.host)
    base = {"config": config, "argument": ground.base.id}
    ref = liars.serve()
    pinned = {"config": config,
              "ref": ref.rsplit(":", 1)[0] + "@" + liars.evil.manifest.digest}
    ended = [NETWORK, INTERNAL]
    liars.rows("frontend", [
        ("other-name", POLICY, "rejected.example", base),
        ("path-name", [64, POLICY], "canonical", base),
        ("short-name", [64, POLICY], "canonical", base),
        ("unpinned", [64, POLICY], "canonical", pinned),
        ("other-pin", [64, POLICY], "canonical", pinned),
        ("twice", ended, "", base),
        ("other-cancels", 0, "", {"config": config}),
        ("many-pulls", ended, "", base),
        ("many-questions", [0] + ended, "", base),
        ("tags", 0, "", base),
        ("plays-store", ended, "", base),
        ("garbage", ended, "", base),
        ("wants-document", ended, "", base),
        ("wants-apply", ended, "", base),
        ("claims", ended, "", base),
        ("gives-key", ended, "", base),
        ("many-status", 0, "", {"config": config}),
        ("metadata", [NETWORK, POLICY], "169.254", base),
        ("many-fetchers", [0] + ended, "", base),
        ("same-fetcher", ended, "", base),
        ("agains", 0, "", {"config": config}),
        ("ends-all", [0] + ended, "", base),
        ("terminal", 255, "x1b", {"ref": ref + "-none", "config": config}),
    ])
    names = [n for i in ground.store.images() for n in i.get("names") or []]
    t.eq(names, [t.real().ref("attack/base")], "names")


@test
def frontend_answers_wrongly(t):
    """False answers it may give: nothing is stored."""
    liars = Liars(t)
    ref = liars.serve() + "-none"
    before = liars.records()
    liars.put("frontend", "says-done", "5" * 64)
    t.eq(liars.pull(ref).out.strip(), "5" * 64, "what it says")
    liars.put("frontend", "odd-text")
    t.session.bin = liars.bin
    try:
        result = t.bulkhead(liars.ground.store, "inspect", liars.ground.base.id, expect=None,
                            timeout=30)
    finally:
        t.session.bin = liars.honest
    t.ok(result.code != 0 and not result.out, result)
    t.eq(liars.records(), before, "images.json, layers.json")


@test
def frontend_removes(t):
    """An image in use stays, whoever asks."""
    liars = Liars(t)
    store = liars.ground.store
    t.podman(store, "create", "--name", "user", "--network", "none", liars.ground.base.id,
             "/bin/hello", "hello")
    liars.put("frontend", "removes", liars.ground.base.id)
    liars.pull(liars.serve())
    t.ok(any(i["id"] == liars.ground.base.id for i in store.images()), "the image in use is gone")
    t.podman(store, "rm", "user")


@test
def frontend_removes_what_is_pinned(t):
    """So does one that the configuration pins."""
    liars = Liars(t)
    store, base = liars.ground.store, liars.ground.base
    names = [n for i in store.images() if i["id"] == base.id for n in i["names"]]
    liars.put("frontend", "removes", base.id)
    liars.pull(liars.serve(), config=t.config(pinned_images=[names[0]]))
    t.ok(any(i["id"] == base.id for i in store.images()), "the pinned image is gone")
    liars.pull(liars.serve())
    t.ok(not any(i["id"] == base.id for i in store.images()), "the lie was never told")


@test
def frontend_steals(t):
    """A secret from a file goes to its own registry alone."""
    liars = Liars(t)
    server, other = liars.ground.server, t.scripted()
    secret = registry.basic("user", "hunter2 of the other")
    auth = t.write("auth.json", {"auths": {
        other.host: {"auth": secret.split()[1]}, "corp.example": {"auth": secret.split()[1]}}})
    for lie in ("steals", "steals-token"):
        for victim in ("corp.example", other.host):
            liars.put("frontend", lie, victim)
            ref = liars.serve()
            server.on("", registry.need_basic("user", "hunter2 of the other"))
            liars.pull(ref, "--authfile", auth, expect=None)
            t.ok(not any(r.header("Authorization") for r in server.asked("")),
                 "the secret of %s went to %s" % (victim, server.host))

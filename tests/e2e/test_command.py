"""The command: what it prints, where, and its exit codes."""
import json
import os
import pty
import re
import signal
import time

from harness import test
import mkimage


def filled(t, *names):
    real, store = t.real(), t.store()
    return store, [t.pull(store, real.push(t.image(n), "cmd/" + n)) and real.ref("cmd/" + n)
                   for n in names]


@test
def usage(t):
    store = t.store()
    for args in ((), ("nonsense",), ("pull",), ("pull", "--no-such-option", "x"),
                 ("pull", "upper/Case"), ("pull", "a" * 64), ("pull", "x:" + "t" * 129),
                 ("images", "--format", "yaml"), ("rmi",), ("pull", "--platform", "/", "x")):
        result = t.bulkhead(store, *args, expect=64)
        t.eq(result.out, "", "stdout")
        t.ok(result.err.startswith("bulkhead") or result.err, "stderr says something")
    t.has(t.bulkhead(store, "--help").out, "pull", "help")
    t.eq(store.listing("overlay-images"), [], "nothing was made")


@test
def version_and_fsinfo(t):
    store, _ = filled(t, "tiny")
    t.ok(re.search(r"\d+\.\d+", t.bulkhead(store, "version").out), "version")
    json.loads(t.bulkhead(store, "version", "--format", "json").out)
    facts = t.bulkhead(store, "fsinfo", "--format", "json").out
    t.ok(json.loads(facts), facts)
    t.has(t.bulkhead(store, "fsinfo").out, store.root, "fsinfo")


@test
def images_as_podman_lists_them(t):
    store, refs = filled(t, "tiny", "docker", "three")
    ours = t.bulkhead(store, "images").out.splitlines()
    theirs = t.podman(store, "images").out.splitlines()
    t.eq(ours[0].split(), theirs[0].split(), "column heads")
    columns = [sorted((l.split()[0], l.split()[1], l.split()[2]) for l in lines[1:])
               for lines in (ours, theirs)]
    t.eq(columns[0], columns[1], "rows")
    quiet = t.bulkhead(store, "images", "-q", "--no-trunc").out.split()
    t.eq(sorted(i.split(":")[-1] for i in quiet),
         sorted(t.image(n).id for n in ("tiny", "docker", "three")), "-q --no-trunc")
    listed = json.loads(t.bulkhead(store, "images", "--format", "json").out)
    t.eq(len(listed), 3, "json")
    digests = t.bulkhead(store, "images", "--digests").out
    t.has(digests, t.image("docker").manifest.digest, "--digests")
    some = t.bulkhead(store, "images", "--filter", "reference=*docker*", "-q").out.split()
    t.eq(len(some), 1, "--filter reference")


@test
def inspect_as_podman_does(t):
    store, (ref,) = filled(t, "docker")
    ours = json.loads(t.bulkhead(store, "inspect", ref).out)[0]
    theirs = json.loads(t.podman(store, "image", "inspect", ref).out)[0]
    for member in ("Id", "Digest", "RepoTags", "RepoDigests", "Architecture", "Os", "Created",
                   "RootFS", "Config"):
        t.eq(ours.get(member), theirs.get(member), member)
    t.eq(sorted(set(theirs) - set(ours) - {"GraphDriver", "NamesHistory", "ManifestType", "User",
                                           "VirtualSize", "Version", "Author", "Parent",
                                           "Comment", "Annotations", "HealthCheck"}), [],
         "members of podman's that are missing")
    for name in (t.image("docker").id, t.image("docker").id[:3], "sha256:" + t.image("docker").id):
        t.eq(json.loads(t.bulkhead(store, "inspect", name).out)[0]["Id"], ours["Id"], name)
    t.bulkhead(store, "inspect", "example.com/absent:1", expect=1)


@test
def inspect_remote_pulls_nothing(t):
    real, store, image = t.real(), t.store(), t.image("three")
    ref = real.push(image, "cmd/remote")
    mark = real.mark()
    shown = t.bulkhead(store, "inspect", "--remote", "--tls-verify=false", ref).out
    t.has(json.dumps(json.loads(shown)), image.layers[0].diff_id, "the config's DiffIDs")
    t.eq(real.blobs_since(mark), {image.config.digest}, "blobs downloaded")
    t.eq((store.images(), store.layers()), ([], []), "store")


@test
def can_pull(t):
    real, store = t.real(), t.store()
    ref = real.push(t.image("tiny"), "cmd/can")
    mark = real.mark()
    t.bulkhead(store, "can-pull", "--tls-verify=false", ref)
    no = t.bulkhead(store, "can-pull", "--tls-verify=false", ref + "x", expect=1)
    t.ok(no.out + no.err, "says why not")
    config = t.config({"default": [{"type": "reject"}]})
    t.bulkhead(store, "can-pull", "--tls-verify=false", ref, config=config, expect=[1, 3])
    t.ok(t.image("tiny").layers[0].blob.digest not in real.blobs_since(mark), "a layer was read")
    t.eq(store.images(), [], "images")


@test
def tag_untag_rmi(t):
    store, (ref,) = filled(t, "tiny")
    image = t.image("tiny").id
    t.bulkhead(store, "tag", ref, "example.com/a/b:1", "short")
    names = store.images()[0]["names"]
    t.eq(sorted(names), sorted([ref, "example.com/a/b:1", "docker.io/library/short:latest"]),
         "names")
    t.bulkhead(store, "tag", ref, "Bad/Name", expect=64)
    t.bulkhead(store, "tag", "example.com/absent", "x", expect=1)
    t.bulkhead(store, "untag", ref, "example.com/a/b:1")
    t.bulkhead(store, "untag", ref, "example.com/a/b:1", expect=1)
    t.eq(t.podman(store, "images", "-q", "--no-trunc").out.count(image), 1, "podman's rows")
    t.bulkhead(store, "tag", "short", "example.com/second:1")
    t.bulkhead(store, "rmi", image[:12], expect=[2, 64, 1])  # several names: force needed
    t.bulkhead(store, "rmi", "short")
    t.eq(len(store.images()), 1, "a name less, the image stays")
    t.bulkhead(store, "rmi", "-f", image[:12])
    t.eq((store.images(), store.layers(), store.strays()), ([], [], []), "store")
    t.eq(store.listing("overlay/l"), [], "links")
    t.bulkhead(store, "rmi", ref, expect=1)
    t.bulkhead(store, "rmi", "-f", ref)


@test
def rmi_keeps_what_others_use(t):
    real, store, small = t.real(), t.store(), t.image("small_files")
    more = mkimage.Image(small.layers[:2], cmd=["/bin/hello"])
    refs = real.push(small, "cmd/shared"), real.push(more, "cmd/sharing")
    t.pull(store, *refs)
    t.bulkhead(store, "rmi", refs[0])
    t.eq(len(store.layers()), 2, "layers of the other image stay")
    t.has(t.podman_run(store, refs[1], "/bin/hello", "hello").out, "hello")
    t.podman(store, "create", "--name", "user", refs[1], "/bin/hello")
    before = store.snapshot()
    t.bulkhead(store, "rmi", refs[1], expect=2)
    t.bulkhead(store, "rmi", "-f", refs[1], expect=[0, 2])
    t.eq(len(store.layers()), 3, "layers of an image in use stay")
    t.eq(set(before) - set(store.snapshot()), set(), "files that went")
    t.podman(store, "rm", "user")
    t.bulkhead(store, "rmi", "-a", "-f")
    t.eq((store.images(), store.layers()), ([], []), "store")


@test
def rmi_refuses_a_mounted_image(t):
    store, (ref,) = filled(t, "tiny")
    t.podman(store, "image", "mount", ref)
    t.bulkhead(store, "rmi", ref, expect=2)
    t.eq(len(store.layers()), 1, "layers")
    t.podman(store, "image", "umount", ref)
    t.bulkhead(store, "rmi", ref)


@test
def progress_lines(t):
    real, store = t.real(), t.store()
    ref = real.push(t.image("three"), "cmd/progress")
    plain = t.pull(store, "--progress", "plain", ref)
    t.ok(plain.err.strip(), "progress goes to stderr")
    t.ok("\x1b" not in plain.err and "\r" not in plain.err, "plain is plain")
    t.bulkhead(store, "rmi", ref)
    lines = t.pull(store, "--progress", "json", ref)
    t.ok(all(isinstance(json.loads(l), dict) for l in lines.err.splitlines()), "an object a line")
    t.ok(len(lines.err.splitlines()) >= 1, "some lines")
    t.bulkhead(store, "rmi", ref)
    t.eq(t.pull(store, "--progress", "none", ref).err, "", "none")
    t.bulkhead(store, "rmi", ref)
    quiet = t.pull(store, "-q", ref)
    t.eq((quiet.out.strip(), quiet.err), (t.image("three").id, ""), "quiet")


@test
def progress_bars_on_a_terminal(t):
    server, store = t.scripted(), t.store()
    server.rate = 400000
    ref = server.add(t.image("three"), "cmd/bars")
    master, slave = pty.openpty()
    process = t.start(t.bulkhead_argv(store, "pull", "--tls-verify=false", ref), stderr=slave)
    os.close(slave)
    seen = b""
    try:
        while piece := os.read(master, 65536):
            seen += piece
    except OSError:
        pass
    os.close(master)
    result = t.finish(process)
    t.eq((result.code, result.out.strip()), (0, t.image("three").id), "the pull")
    t.ok(b"\r" in seen or b"\x1b[" in seen, "bars move", seen[:300])


@test
def ctrl_c_leaves_no_trace(t):
    """As a terminal does it: SIGINT to the whole process group."""
    server, store = t.scripted(), t.store()
    server.rate = 30000
    ref = server.add(t.image("three"), "cmd/interrupted")
    for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        process = t.start(t.bulkhead_argv(store, "pull", "--tls-verify=false", ref),
                          start_new_session=True)
        deadline = time.monotonic() + 20
        while not server.blobs_asked() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)
        os.killpg(process.pid, signal_number)
        begun = time.monotonic()
        result = t.finish(process, 20)
        t.ok(result.code != 0 and result.out == "", "it ended", result)
        t.ok(time.monotonic() - begun < 5, "it took too long to end")
        t.eq(t.session.leftovers(), [], "left")
        t.eq((store.images(), store.layers(), store.staging(), store.strays()),
             ([], [], [], []), "store")
        server.clear()
    server.rate = None
    t.pull(store, ref)


@test
def images_of_podman(t):
    """What podman pulled is listed, inspected, tagged and removed by bulkhead."""
    real, store = t.real(), t.store()
    refs = [real.push(t.image(n), "cmd/podmans-" + n) for n in ("small_files", "index")]
    for ref in refs:
        t.podman_pull(store, ref)
    listed = t.bulkhead(store, "images", "--format", "json").out
    t.eq(len(json.loads(listed)), 2, "images")
    ours = json.loads(t.bulkhead(store, "inspect", refs[1]).out)[0]
    theirs = json.loads(t.podman(store, "image", "inspect", refs[1]).out)[0]
    for member in ("Id", "Digest", "RepoTags", "RootFS", "Config"):
        t.eq(ours[member], theirs[member], member)
    t.eq(sorted(ours["RepoDigests"]), sorted(theirs["RepoDigests"]), "RepoDigests")
    t.bulkhead(store, "tag", refs[0], "example.com/tagged:1")
    t.podman(store, "image", "exists", "example.com/tagged:1")
    t.has(t.podman_run(store, "example.com/tagged:1", "/bin/hello", "hello").out, "hello")
    t.bulkhead(store, "rmi", "example.com/tagged:1", *refs)
    t.eq((store.images(), store.layers(), store.strays()), ([], [], []), "store")
    t.eq(t.podman(store, "images", "-q").out, "", "podman's list")


@test
def status_shows_every_room(t):
    out = t.bulkhead(t.store(), "status").out
    for room in ("conf", "frontend", "dial", "fetch", "hash", "inflate", "document",
                 "verdict", "apply", "store"):
        t.has(out, room, "status")
    json.loads(t.bulkhead(t.store(), "status", "--format", "json").out)


@test
def messages_are_one_line_and_escaped(t):
    server = t.scripted()
    server.on("/manifests/", lambda s, request, answer: type(answer)(
        404, [("Content-Type", "application/json")],
        b'{"errors":[{"code":"X","message":"evil\\u001b[31m\\nsecond line\\u0007"}]}'))
    result = t.pull(t.store(), server.host + "/cmd/evil:1", expect=[1, 5])
    t.ok("\x1b" not in result.err and "\x07" not in result.err, repr(result.err))
    t.ok("\nsecond line" not in result.err, "an error of one line:", repr(result.err))

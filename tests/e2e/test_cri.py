"""The CRI image service: what lists and statuses answer, RemoveImage, ImageFsInfo, Version."""
import json
import os
import signal
import threading
import time

from harness import FIRST_IN_LINE, test
from cri import Refused
from daemon import Daemon
from node import Node
import many
import mkimage
from tarmake import Tar


def plain(label, user=None, annotations=None, kind="oci"):
    """A small image of its own."""
    config = {"Cmd": ["/x"], "Labels": {"label": label}, "Env": ["A=" + label]}
    if user is not None:
        config["User"] = user
    return mkimage.Image([mkimage.layer(Tar().add("opt/" + label, label * 50))], kind=kind,
                         extra={"config": config}, annotations=annotations)


def names(entries):
    return sorted(entries)


def refusal(t, code, function, *args, **options):
    try:
        got = function(*args, **options)
    except Refused as error:
        codes = code if isinstance(code, (list, tuple)) else [code]
        t.ok(error.code in codes, "code %s, wanted %s: %s" % (error.code, codes, error.text))
        t.ok("\n" not in error.text.split("\n")[0] and error.text, "no text")
        return error.text
    t.ok(False, "answered instead of %s: %r" % (code, got))


@test
def version(t):
    node = Node(t)
    answer = node.client().version()
    t.eq(answer.runtime_api_version, "v1", "runtime_api_version")
    t.eq(answer.version, "0.1.0", "version")
    t.eq(answer.runtime_name, "bulkhead", "runtime_name")
    ours = node.command("version").out
    t.has(ours, answer.runtime_version, "runtime_version")


@test
def an_empty_store(t):
    client = Node(t).client()
    t.eq(client.list(), [], "list")
    t.eq(client.list("nothing"), [], "filtered")
    t.eq([i for m in client.stream() for i in m], [], "stream")
    t.eq(client.status("example.com/absent:1"), None, "status")
    client.remove("example.com/absent:1")
    usage = client.fs_info().image_filesystems[0]
    t.ok(abs(usage.timestamp / 1e9 - time.time()) < 60, "timestamp", usage.timestamp)


@test
def references_of_one_image(t):
    """Every form of the name; what is absent or nonsense."""
    real, node = t.real(), Node(t)
    client, image = node.client(), plain("forms")
    base, digest = real.host + "/cri/forms", image.manifest.digest
    real.push(image, "cri/forms")
    t.eq(client.pull(base), image.id, "image_ref")
    for ref in (image.id, "sha256:" + image.id, image.id[:12], image.id[:3], base,
                base + ":latest", base + "@" + digest, base + ":latest@" + digest):
        found = client.status(ref)
        t.ok(found is not None, "absent by", ref)
        t.eq(found.id, image.id, ref)
        t.eq([i.id for i in client.list(ref)], [image.id], "list filtered by " + ref)
    for ref in (base + ":other", base + "x", base + "@sha256:" + "0" * 64, "0" * 64,
                "sha256:" + "0" * 64, "f" * 12 if image.id[:12] != "f" * 12 else "e" * 12,
                real.host + "/other/forms@" + digest, image.id.upper(), "forms"):
        t.eq(client.status(ref), None, ref)
        t.eq(client.list(ref), [], ref)
    node.command("tag", base, "docker.io/library/short:latest", "docker.io/user/some:1")
    for ref in ("short", "docker.io/short", "library/short", "short:latest", "user/some:1",
                "docker.io/library/short:latest"):
        found = client.status(ref)
        t.eq(found and found.id, image.id, ref)


@test
def nonsense_is_an_argument_not_a_crash(t):
    client = Node(t).client()
    for ref in ("", " ", "Upper/Case", "a" * 5000, "x:" + "t" * 200, "http://x/y", "x@sha256:1",
                "../..", "a\nb", "x:\u00e9"):
        try:
            t.eq(client.status(ref), None, repr(ref[:40]))
        except Refused as error:
            t.eq(error.code, "INVALID_ARGUMENT", repr(ref[:40]))
        refusal(t, "INVALID_ARGUMENT", client.pull, ref)
        try:
            client.remove(ref)
        except Refused as error:
            t.eq(error.code, "INVALID_ARGUMENT", repr(ref[:40]))
    t.eq(client.list(), [], "still answers")


@test
def users_of_images(t):
    """uid or username, as kubelet's runAsNonRoot wants it."""
    real, node = t.real(), Node(t)
    client, wanted = node.client(), {}
    for number, (user, uid, name) in enumerate((
            (None, None, ""), ("", None, ""), ("0", 0, ""), ("root", None, "root"),
            ("1000", 1000, ""), ("1000:1000", 1000, ""), ("1000:www", 1000, ""),
            ("www-data", None, "www-data"), ("www-data:x", None, "www-data"),
            ("65534", 65534, ""), ("1e3", None, "1e3"))):
        ref = real.push(plain("user%d" % number, user), "cri/user%d" % number)
        wanted[client.pull(ref)] = (user, uid, name)
    for image in [*client.list(), *(client.status(i) for i in wanted)]:
        user, uid, name = wanted[image.id]
        got = image.uid.value if image.HasField("uid") else None
        t.eq((got, image.username), (uid, name), "user %r" % user)


@test
def fields_as_podman_shows_them(t):
    """RepoTags, RepoDigests of several images of podman's in a store that is served unasked."""
    real, store = t.real(), t.store()
    refs = [real.push(t.image(n), "cri/p-" + n) for n in ("tiny", "docker", "index", "docker_list")]
    for ref in refs:
        t.podman_pull(store, ref)
    t.podman(store, "tag", refs[0], "example.com/one:1", "example.com/two/three:v2", "localhost/l")
    t.podman(store, "pull", "-q", "--tls-verify=false", refs[1].rsplit(":", 1)[0] + "@" +
             t.image("docker").manifest.digest)
    t.podman(store, "untag", refs[3])
    client = Node(t, store).client()
    listed = {i.id: i for i in client.list()}
    theirs = json.loads(t.podman(store, "image", "inspect", *listed).out)
    t.eq(set(listed), {i["id"] for i in store.images()}, "images")
    for their in theirs:
        ours, status = listed[their["Id"]], client.status(their["Id"])
        t.eq(names(ours.repo_tags), names(their["RepoTags"]), "RepoTags")
        if their["RepoTags"]:
            t.eq(names(ours.repo_digests), names(their["RepoDigests"]), "RepoDigests")
        t.eq(names(status.repo_tags), names(ours.repo_tags), "status")
        t.eq(names(status.repo_digests), names(ours.repo_digests), "status")
        t.eq(ours.size, status.size, "size")
        t.ok(ours.size > 0 and status.size >= their["Size"] * 0.5, "size", ours.size, their["Size"])


@test
def annotations_pins_and_verbose(t):
    real = t.real()
    notes = {"org.opencontainers.image.title": "made", "x": "\u00fc <&>", "empty": ""}
    image, other = plain("notes", "7", notes), plain("bare")
    ref, pinned = real.push(image, "cri/notes"), real.push(other, "pins/pause", "3.9")
    node = Node(t, pinned_images=[real.host + "/pins/p*", "*never*"])
    client = node.client()
    client.pull(ref)
    client.pull(pinned)
    listed = {i.id: i for i in client.list()}
    t.ok(not listed[image.id].HasField("spec"), "a list has no spec, as with CRI-O")
    t.eq((listed[image.id].pinned, listed[other.id].pinned), (False, True), "pinned")
    found, info = client.status(ref, verbose=True)
    t.eq(dict(found.spec.annotations), notes, "annotations")
    facts = json.loads(info["info"])
    t.eq(facts["labels"], {"label": "notes"}, "labels")
    config = facts["imageSpec"]
    t.eq(config["config"]["User"], "7", "the config's user")
    t.eq(config["config"]["Env"], ["A=notes"], "the config's environment")
    t.eq(config["rootfs"]["diff_ids"], [l.diff_id for l in image.layers], "diff_ids")
    t.eq(config["architecture"], "amd64", "architecture")
    t.has(json.dumps(facts), image.layers[0].diff_id, "layers")
    t.eq(client.status(ref, verbose=False), found, "the same without")
    t.eq(client.status("example.com/absent", verbose=True), (None, {}), "absent, verbose")
    for by in (pinned, other.id):
        try:
            client.remove(by)
            t.ok(False, "a pinned image was removed")
        except Refused as refused:
            t.eq(refused.code, "FAILED_PRECONDITION", "code")
            t.has(str(refused), pinned + " is pinned", "why it stays")
    refused = node.command("rmi", "--force", other.id, expect=2)
    t.has(refused.err, "pinned_images", "which key")
    t.has(node.command("untag", pinned, expect=2).err, "is pinned", "its name stays, too")
    t.ok(client.status(pinned).pinned, "still there")
    node.configure(pinned_images=[])
    node.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 60
    while client.status(pinned).pinned:
        t.ok(time.monotonic() < deadline, "the reload does not reach the pins")
        time.sleep(0.01)
    client.remove(pinned)
    t.eq(client.status(pinned), None, "removed, no longer pinned")


@test
def three_images_and_three_tags(t):
    """critest's cases: three images are listed; three tags on one; removing by one removes all."""
    real, node = t.real(), Node(t)
    client, made = node.client(), [plain("three%d" % i) for i in range(3)]
    for i, image in enumerate(made):
        client.pull(real.push(image, "cri/list%d" % i))
    t.eq(names(i.id for i in client.list()), names(m.id for m in made), "three images")
    for image in made:
        client.remove(image.id)
    t.eq(client.list(), [], "removed")
    image, refs = plain("tags"), []
    for tag in ("one", "two", "three"):
        refs.append(real.push(image, "cri/tags", tag))
    t.eq({client.pull(r) for r in refs}, {image.id}, "one image")
    listed = client.list()
    t.eq(len(listed), 1, "images")
    t.eq(names(listed[0].repo_tags), names(refs), "tags")
    client.remove(refs[1])
    t.eq([client.status(r) for r in refs], [None] * 3, "all names gone")
    t.eq((node.store.images(), node.store.layers(), node.store.strays()), ([], [], []), "store")


@test
def one_image_of_two_registries(t):
    real, image, node = t.real(), plain("twice"), Node(t)
    client, server = node.client(), t.scripted()
    refs = [real.push(image, "cri/twice", "v1"), server.add(image, "other/twice", "v2")]
    t.eq({client.pull(r) for r in refs}, {image.id}, "ids")
    found = client.status(refs[1])
    t.eq(names(found.repo_tags), names(refs), "tags")
    t.eq(names(found.repo_digests), names(
        r.rsplit(":", 1)[0] + "@" + image.manifest.digest for r in refs), "digests")
    client.remove(found.repo_digests[0])
    t.eq(client.list(), [], "removed by a digest")


@test
def removing(t):
    """By any name the whole image; again and again; not what a container uses."""
    real, node = t.real(), Node(t)
    client, image = node.client(), t.image("tiny")
    ref = real.push(image, "cri/remove", "a")
    real.push(image, "cri/remove", "b")
    base = real.host + "/cri/remove"
    for way in (ref, base + "@" + image.manifest.digest, image.id, "sha256:" + image.id,
                image.id[:10]):
        client.pull(ref)
        client.pull(base + ":b")
        client.remove(way)
        t.eq(node.store.images(), [], "removed by " + way)
        client.remove(way)
    client.pull(ref)
    t.podman(node.store, "create", "--name", "user", ref, "/bin/hello")
    user = t.podman(node.store, "ps", "-a", "-q", "--no-trunc").out.strip()
    for way in (ref, image.id):
        text = refusal(t, "FAILED_PRECONDITION", client.remove, way)
        t.has(text, user, "names the container")
    t.eq([i.id for i in client.list()], [image.id], "it stays")
    t.podman(node.store, "rm", "user")
    client.remove(image.id)
    t.eq((node.store.images(), node.store.layers(), node.store.strays()), ([], [], []), "store")


@test
def stream_equals_list(t):
    """Also when the stream needs more than one message."""
    store = t.store()
    many.fill(store, 3100)
    client = Node(t, store).client()
    listed, streamed = client.list(timeout=60), client.stream(timeout=60)
    t.eq(len(listed), 3100, "images")
    t.ok(len(streamed) > 1, "one message only")
    flat = [i for message in streamed for i in message]
    for image in flat + listed:  # images are described meanwhile
        for field in ("uid", "username", "spec"):
            image.ClearField(field)
    t.eq(names(i.SerializeToString(deterministic=True) for i in flat),
         names(i.SerializeToString(deterministic=True) for i in listed), "stream and list")
    one = listed[1234]
    t.eq([i.id for m in client.stream(one.repo_tags[0]) for i in m], [one.id], "filtered")


@test(needs=("chrt",))
def fs_info_is_fast_during_a_pull(t):
    server, node = t.scripted(), Daemon(t, wrap=FIRST_IN_LINE)
    client, image = node.client(), t.image("three")
    ref = server.add(image, "cri/fsinfo")
    server.rate = 60000
    pull = client.begin_pull(ref)
    times = []
    for _ in range(40):
        with t.first_in_line():
            begun = time.monotonic()
            answer = client.fs_info()
            times.append(time.monotonic() - begun)
        time.sleep(0.02)
    t.ok(not pull.done(), "the pull was over too soon")
    server.rate = None
    t.eq(pull.result().image_ref, image.id, "the pull")
    t.ok(sorted(times)[len(times) // 2] < 0.02 and sorted(times)[-3] < 0.05, "ImageFsInfo took",
         sorted(times)[-3:])
    usage, before = client.fs_info().image_filesystems[0], answer.image_filesystems[0]
    total = sum(l.get("diff-size", 0) for l in node.store.layers())
    t.ok(usage.used_bytes.value >= total, "used bytes", usage.used_bytes.value, "layers", total)
    t.ok(usage.used_bytes.value > before.used_bytes.value, "it did not grow")
    t.ok(usage.inodes_used.value > 0, "inodes")
    t.ok(usage.fs_id.mountpoint.startswith(node.store.root), usage.fs_id.mountpoint)


@test
def messages_of_every_kind(t):
    """Unknown method and service, unknown fields, compression, size, wrong types and prefixes."""
    node = Node(t, max_grpc_message_bytes=1 << 20)
    client = node.client()
    pb = client.pb
    with node.raw() as conn:
        for path in ("/runtime.v1.ImageService/NoSuch", "/runtime.v1.RuntimeService/RunPodSandbox",
                     "/x/y", "/", "runtime.v1.ImageService/ListImages", "/" + "a" * 5000):
            t.eq(conn.call(path if path[0] == "/" else "/" + path + "x").code, 12, path[:60])
        unknown = b"\x9a\x06\x03abc\xa0\x06\x05"  # fields 99 and 100
        answer = conn.call("ListImages", unknown)
        t.eq((answer.code, len(answer.messages())), (0, 1), "unknown fields")
        t.ok(conn.call("ListImages", b"\x0a\xff\xff").code in (3, 13), "no protobuf")
        bad = pb.ImageStatusRequest(image=pb.ImageSpec(image="a")).SerializeToString()
        for data in (b"\xff", b"\0"):
            answer = conn.call("ImageStatus", bad.replace(b"a", data))
            t.ok(answer.code in (3, 13), "a text with", data, answer.code)
        stream = conn.open("/runtime.v1.ImageService/ListImages", [("grpc-encoding", "gzip")])
        conn.data(stream, b"\x01\0\0\0\x04abcd")
        t.eq(conn.answer(stream).code, 12, "a compressed message")
        stream = conn.open("/runtime.v1.ImageService/ListImages")
        conn.data(stream, b"\x02\0\0\0\0")
        t.ok(conn.answer(stream).code in (12, 13, 3), "an unknown flag", conn.answer(stream).code)
        t.eq(conn.call("ListImages").code, 0, "the connection still serves")
    big = pb.ListImagesRequest(filter=pb.ImageFilter(image=pb.ImageSpec(image="x" * (1 << 20))))
    text = ""
    try:
        client.images.ListImages(big, timeout=20)
    except client.grpc.RpcError as error:
        t.eq(error.code().name, "RESOURCE_EXHAUSTED", "too big")
        text = error.details()
    t.has(text, "1048576", "the text says the limit")
    t.eq(client.list(), [], "after it")


@test
def an_answer_over_the_limit(t):
    """A list that does not fit fails alone; the stream gives it."""
    store = t.store()
    many.fill(store, 1000)
    client = Node(t, store, max_grpc_message_bytes=65536).client()
    refusal(t, "RESOURCE_EXHAUSTED", client.list)
    t.eq(sum(len(m) for m in client.stream()), 1000, "streamed")
    t.eq(client.version().runtime_api_version, "v1", "alive")


@test
def many_calls_on_one_connection(t):
    client = Node(t).client()
    client.list()
    futures = [client.images.ListImages.future(client.pb.ListImagesRequest(), timeout=30)
               for _ in range(500)]
    t.eq([len(f.result().images) for f in futures], [0] * 500, "answers")


@test
def permissions_of_the_sockets(t):
    node = Node(t)
    for path in (node.socket, node.control, node.metrics):
        st = os.stat(path)
        t.eq((oct(st.st_mode & 0o777), st.st_uid), ("0o600", 0), path)
    t.eq(oct(os.stat(node.folder).st_mode & 0o777), "0o700", "directory")


@test
def status_waits_for_the_description(t):
    """podman's image, never seen before: the first answer has the user already."""
    real, store = t.real(), t.store()
    made = {}
    for i in range(12):
        image = plain("undescribed%d" % i, "u%d:g" % i)
        made[image.id] = "u%d" % i
        t.podman_pull(store, real.push(image, "cri/und%d" % i))
    node = Node(t, store)
    results, errors = {}, []

    def ask(image):
        try:
            results[image] = node.client().status(image).username
        except Exception as error:
            errors.append(error)
    threads = [threading.Thread(target=ask, args=(i,)) for i in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    t.eq((errors, results), ([], made), "users")
    client, deadline = node.client(), time.monotonic() + 20
    while time.monotonic() < deadline and {i.id: i.username for i in client.list()} != made:
        time.sleep(0.05)
    t.eq({i.id: i.username for i in client.list()}, made, "the list, described by and by")
    t.ok(os.listdir(store.root + "/bulkhead/summaries"), "summaries are kept")
    node.stop()
    node.start()
    t.eq({i.id: i.username for i in node.client().list()}, made, "at once after a restart")

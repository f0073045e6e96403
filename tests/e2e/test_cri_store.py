"""podman beside the daemon in one store, and what records may do to a list."""
import json
import os
import time

from harness import test
from node import Node
from test_cri import names, plain
from test_cri_pull import until


def shown(client):
    return {i.id: names(i.repo_tags) for i in client.list()}


@test
def an_existing_store_is_not_touched(t):
    """Started, listed, asked, described, stopped: no file of podman's changes."""
    real, store = t.real(), t.store()
    refs = [real.push(t.image(n), "keep/" + n) for n in ("tiny", "docker", "index", "three")]
    for ref in refs:
        t.podman_pull(store, ref)
    t.podman(store, "create", "--name", "kept", refs[0], "/bin/hello")
    before = store.snapshot()
    node = Node(t, store)
    client = node.client()
    for ref in refs:
        t.ok(client.status(ref, verbose=True)[0].size > 0, "size")
    t.eq(len(client.list()), 4, "images")
    client.fs_info()
    node.command("check")
    node.command("images")
    time.sleep(1)
    node.stop()
    after = store.snapshot()
    changed = sorted(p for p in {*before, *after} if before.get(p) != after.get(p))
    t.eq(changed, [], "changed files")
    t.eq(t.podman(store, "images", "-q").out.count("\n"), 4, "podman's list")


@test
def changes_by_podman_are_seen(t):
    """Within two seconds: pull, tag, untag, build's commit, rmi."""
    real, node = t.real(), Node(t)
    client, store = node.client(), node.store
    tiny, docker = t.image("tiny"), t.image("docker")
    ref = real.push(tiny, "seen/tiny")

    def soon(what, wanted):
        until(t, what, lambda: shown(client) == wanted, 2)
    t.podman_pull(store, ref)
    soon("a pull", {tiny.id: [ref]})
    t.eq(client.status(ref).id, tiny.id, "status")
    t.podman(store, "tag", ref, "example.com/seen:1")
    soon("a tag", {tiny.id: names([ref, "example.com/seen:1"])})
    t.podman(store, "untag", ref, ref)
    soon("an untag", {tiny.id: ["example.com/seen:1"]})
    t.podman(store, "create", "--name", "c", "example.com/seen:1", "/bin/hello")
    made = t.podman(store, "commit", "-q", "-c", "USER 77:88", "c", "example.com/made:1").out.strip()
    soon("a commit", {tiny.id: ["example.com/seen:1"], made: ["example.com/made:1"]})
    t.eq(client.status(made).uid.value, 77, "its user")
    t.podman(store, "rm", "c")
    t.podman_pull(store, real.push(docker, "seen/docker"))
    t.podman(store, "rmi", "-f", tiny.id, made)
    soon("a removal", {docker.id: [real.ref("seen/docker")]})
    t.eq(client.status(tiny.id), None, "removed")
    client.remove(docker.id)
    t.eq(t.podman(store, "images", "-q").out, "", "what podman sees of ours")


@test
def our_changes_are_podmans(t):
    real, node = t.real(), Node(t)
    client, image = node.client(), t.image("tiny")
    ref = real.push(image, "ours/tiny")
    client.pull(ref)
    t.has(t.podman(node.store, "images", "-q", "--no-trunc").out, image.id, "podman's list")
    t.has(t.podman_run(node.store, ref, "/bin/hello", "hello").out, "hello", "it runs")
    client.remove(ref)
    t.eq(t.podman(node.store, "images", "-q").out, "", "podman's list")
    t.eq(node.client().list(), [], "another client")


def edit(store, change):
    """Changes images.json as another program would: with a new token."""
    path = store.root + "/overlay-images/images.json"
    records = store.images()
    change(records)
    with open(path + ".new", "w") as file:
        json.dump(records, file)
    os.rename(path + ".new", path)
    with open(store.root + "/overlay-images/images.lock", "r+b") as file:
        file.write(os.urandom(32).hex().encode())


def broken(records):
    """What is wrong with the first record, by name."""
    def put(**members):
        def change(found):
            found[0].update(members)
        return change
    first = records[0]
    return {
        "a name that is none": put(names=["Not A Name\n"]),
        "a digest that is none": put(digest="md5:1"),
        "no such layer": put(layer="0" * 64),
        "no documents": put(**{"big-data-names": [], "big-data-sizes": {}, "big-data-digests": {}}),
        "an id that is none": put(id="../../" + first["id"][6:]),
        "a number for names": put(names=7),
        "a time that is none": put(created="yesterday"),
    }


@test
def one_broken_record_hides_itself_alone(t):
    real, store = t.real(), t.store()
    good = [plain("good%d" % i) for i in range(3)]
    bad = t.image("tiny")
    t.pull(store, real.push(bad, "broken/bad"))
    for i, image in enumerate(good):
        t.pull(store, real.push(image, "broken/good%d" % i))
    records = store.images()
    records.sort(key=lambda r: r["id"] != bad.id)
    node, wanted = Node(t, store), {i.id for i in good}
    client = node.client()
    for what, change in broken(records).items():
        def spoil(found):
            found[:] = json.loads(json.dumps(records))
            change(found)
        edit(store, spoil)
        until(t, "the list with " + what, lambda: wanted <= {i.id for i in client.list()} and
              any(line for line in [node.command("check", expect=None).out] if bad.id[:12] in line
                  or "images.json" in line or ".." in line))
        for image in good:
            t.eq(client.status(image.id).id, image.id, what)
        t.ok(all(i.size > 0 and i.id for i in client.list()), "id and size with", what)
    edit(store, lambda found: found.__setitem__(slice(None), records))
    until(t, "the list when mended", lambda: {i.id for i in client.list()} == wanted | {bad.id})
    t.eq(node.command("check").code, 0, "check")


@test
def records_that_are_no_json(t):
    """The last good list stays, and it is said; mended, all is well again."""
    real, node = t.real(), Node(t)
    client, store = node.client(), node.store
    image = plain("kept")
    client.pull(real.push(image, "broken/kept"))
    path = store.root + "/overlay-images/images.json"
    with open(path) as file:
        text = file.read()
    for wrong in ("[", "{}", "\0" * 100, text[:-5]):
        with open(path, "w") as file:
            file.write(wrong)
        with open(store.root + "/overlay-images/images.lock", "r+b") as file:
            file.write(os.urandom(32).hex().encode())
        time.sleep(1.2)
        t.eq([i.id for i in client.list()], [image.id], "list with %r" % wrong[:20])
    with open(path, "w") as file:
        file.write(text)
    with open(store.root + "/overlay-images/images.lock", "r+b") as file:
        file.write(os.urandom(32).hex().encode())
    until(t, "a clean check", lambda: node.command("check", expect=None).code == 0)


@test
def documents_that_lie(t):
    """A config whose bytes are not its digest's: listed by its record, never with a false user."""
    real, store = t.real(), t.store()
    image, other = plain("lying", "1000"), plain("honest", "2000")
    for i, m in enumerate((image, other)):
        t.podman_pull(store, real.push(m, "lie/%d" % i))
    folder = "%s/overlay-images/%s/" % (store.root, image.id)
    for name in os.listdir(folder):
        with open(folder + name, "rb") as file:
            data = file.read()
        if b'"User": "1000"' in data:
            with open(folder + name, "wb") as file:
                file.write(data.replace(b'"User": "1000"', b'"User": "0000"'))
    client = Node(t, store).client()
    t.eq(client.status(other.id).uid.value, 2000, "the honest one")
    try:
        found = client.status(image.id, timeout=15)
        t.ok(found is None or not found.HasField("uid"), "a false user", found)
    except Exception as error:
        t.ok("DEADLINE" not in str(error), "it waits for ever:", error)
    t.ok(other.id in {i.id for i in client.list()}, "the list")

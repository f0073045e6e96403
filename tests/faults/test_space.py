"""Space and inodes are reserved before a pull starts, shared between pulls, and given back."""
import contextlib
import json
import os
import re
import time

from harness import test
import images
from mkimage import Image, layer
from node import Node
import registry
from tarmake import Tar
from test_disk import NO_SPACE, refused, small_store


def noise(size, seed):
    """An image of `size` MiB that no compression makes smaller."""
    return Image([layer(Tar().add("opt/noise", images.noise(size << 20, seed)))])


def files(count, content=b""):
    tar = Tar()
    for i in range(count):
        if i % 500 == 0:
            tar.dir("opt/%d" % (i // 500))
        tar.add("opt/%d/%d" % (i // 500, i), content)
    return Image([layer(tar)])


def stalled(t, node, server, image, name):
    """A pull that has begun and whose layer stands still after its first bytes; its command."""
    server.on("/v2/%s/blobs/%s" % (name, image.layers[0].blob.digest), registry.stall(100000), times=1)
    process = t.start(node.argv("pull", "--tls-verify=false", "-q", server.add(image, name)))
    deadline = time.monotonic() + 20
    while not any(r["Stage"] == "fetching" and r["Bytes"] for r in rows(node)):
        t.ok(time.monotonic() < deadline and process.poll() is None, "the pull did not begin")
        time.sleep(0.01)
    return process


def rows(node):
    return json.loads(node.command("ps", "--format", "json").out)


def pull(node, ref, **options):
    return node.command("pull", "--tls-verify=false", "--progress", "none", ref, **options)


def numbers(text):
    """(needed, free, reserved by others) of a refusal, in MiB."""
    found = re.search(r"at least ([\d.]+) MiB are needed so far .* has ([\d.]+) MiB free, of which "
                      r"other pulls have reserved ([\d.]+) MiB", text)
    return tuple(float(n) for n in found.groups()) if found else None


@test
def reserved_shared_returned(t):
    """What one pull has reserved is refused to another, with the figures; a small one finds its
    place all the same; and when the first ends, all of it is free again."""
    server, node = t.scripted(), Node(t, small_store(t, 96))
    first = stalled(t, node, server, noise(20, 1), "space/first")
    big = server.add(noise(50, 2), "space/big")
    result = pull(node, big, expect=NO_SPACE)
    t.ok(numbers(result.err), "the figures:", result.err)
    needed, free, others = numbers(result.err)
    t.ok(50 <= needed < 51, "needed", needed)
    t.ok(90 < free <= 96, "free", free)
    t.ok(40 < others <= 60, "reserved by the first, three times its size or half of all:", others)
    t.eq(len(result.err.strip().splitlines()), 1, "lines of the reason")
    pull(node, server.add(images.make("tiny", t.session), "space/small"))
    t.ok(first.poll() is None, "the first pull ended")
    first.terminate()
    t.finish(first, 20)
    pull(node, big)
    node.nothing_left()


@test
def what_two_pulls_share_is_reserved_once(t):
    """The second waits for the layer that the first is at, and reserves for it when it does not
    come from there."""
    server, node = t.scripted(), Node(t, small_store(t, 96))
    base = noise(50, 6)
    first = stalled(t, node, server, base, "space/base")
    both = Image([base.layers[0], layer(Tar().add("opt/top", b"x"))])
    second = t.start(node.argv("pull", "--tls-verify=false", "-q", server.add(both, "space/both")))
    deadline = time.monotonic() + 20
    while not any(r["LayersDone"] for r in rows(node)):
        t.ok(time.monotonic() < deadline, "the second does not begin", rows(node))
        t.ok(second.poll() is None, "the second has ended", node.logs())
        time.sleep(0.01)
    first.terminate()
    t.finish(first, 20)
    result = t.finish(second, 60)
    t.eq((result.code, result.out.strip()), (0, both.id), result)
    node.nothing_left()


@test
def grows_in_steps(t):
    """A layer that unpacks to hundreds of times its size, and one of more files than its size
    lets expect: more is granted as long as there is any."""
    server, store = t.scripted(), small_store(t, 200)
    zeros = Image([layer(Tar().add("opt/zeros", bytes(100 << 20)))])
    many = files(4000)
    for image, name in ((zeros, "zeros"), (many, "many")):
        t.eq(t.pull(store, "-q", server.add(image, "space/" + name)).out.strip(), image.id, name)
    t.eq(os.path.getsize(store.diff(store.chain(zeros.id)[0]["id"]) + "/opt/zeros"), 100 << 20)
    t.eq(len(os.listdir(store.diff(store.chain(many.id)[0]["id"]) + "/opt/7")), 500, "files")
    third = refused(t, store, server.add(Image([layer(Tar().add("opt/z", bytes(150 << 20)))]),
                                         "space/more"), [NO_SPACE])
    needed, free, others = numbers(third.err)
    t.ok(free < needed < 150 and others == 0, "the step that could not be had:", third.err)
    few = small_store(t, 200, 1000)
    result = refused(t, few, server.add(many, "space/many"), [NO_SPACE])
    t.has(result.err, "inodes are needed so far", "the reason")
    t.pull(few, "-q", server.add(files(300), "space/fewer"))


@test
def space_comes_back_before_the_next_pull(t):
    """A pull that fails with much on the disk: the next one waits for its removal instead of
    being refused for it."""
    server, node = t.scripted(), Node(t, small_store(t, 48))
    tar = Tar()
    for i in range(6000):
        tar.add("opt/%d" % i, bytes(6000))
    bad = server.add(Image([layer(tar.add("opt/zeros", bytes(60 << 20)))]), "space/bad")
    good = noise(25, 3)
    ref = server.add(good, "space/good")
    for _ in range(3):
        result = pull(node, bad, expect=NO_SPACE)
        t.has(result.err, "needed so far", "the reason")
        t.eq(pull(node, ref).out.strip(), good.id, "the next pull")
        node.command("rmi", ref)
    node.nothing_left()


@test
def a_disk_filled_with_images_can_be_cleared(t):
    """Pulls stop short of the last block, so that what is there can be taken away again."""
    server = t.scripted()
    for store in (small_store(t, 24), small_store(t, 24, ext4=True)):
        refs = []
        for number in range(20):
            ref = server.add(noise(2, number), "space/n%d" % number)
            if t.pull(store, "-q", ref, expect=[0, NO_SPACE]).code == NO_SPACE:
                break
            refs.append(ref)
        t.ok(5 <= len(refs) < 15, len(refs), "images")
        for ref in refs:
            t.bulkhead(store, "rmi", ref)
        t.eq((store.images(), store.strays()), ([], []), "the store")
        t.pull(store, "-q", ref)


@test
def others_fill_the_disk(t):
    """What another program takes meanwhile no account can hold back: then it is the kernel that
    says no, with the same code, and nothing is left."""
    server = t.scripted()
    for store in (small_store(t, 64), small_store(t, 64, ext4=True)):
        t.pull(store, "-q", server.add(t.image("tiny"), "space/tiny"))
        before, image = store.snapshot(), noise(20, 4)
        server.rate = 20 << 20
        ref = server.add(image, "space/rate")
        process = t.start(t.bulkhead_argv(store, "pull", "--tls-verify=false", "-q", ref))
        deadline = time.monotonic() + 20
        while not server.asked(image.layers[0].blob.digest) and time.monotonic() < deadline:
            time.sleep(0.005)
        with open(store.folder + "/fill", "wb") as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 16))
                file.flush()
        result = t.finish(process)
        t.eq(result.code, NO_SPACE, result)
        t.eq((t.session.leftovers(), store.staging()), ([], []), "left")
        os.unlink(store.folder + "/fill")
        t.eq(set(store.snapshot()), set(before), "the store")
        server.rate = None
        t.pull(store, "-q", ref)


@test
def inodes_of_ext4(t):
    server, store = t.scripted(), small_store(t, 64, 700, ext4=True)
    t.pull(store, "-q", server.add(t.image("tiny"), "space/tiny"))
    result = refused(t, store, server.add(files(1000), "space/many"), [NO_SPACE])
    t.has(result.err, "inodes are needed so far", "the reason")
    t.pull(store, "-q", server.add(files(200), "space/few"))

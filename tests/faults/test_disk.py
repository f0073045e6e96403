"""A full disk, too few inodes, a damaged store, a store of another form."""
import json
import os
import subprocess

from harness import Store, test
import images
from mkimage import Image, layer
from tarmake import Tar

NO_SPACE, CONTENT = 6, 7
EVERY_CODE_BUT_SUCCESS = list(range(1, 9)) + [64, 125]


def small_store(t, size, inodes=None, ext4=False):
    """A store on a file system of its own, a tmpfs or an ext4 on a loop device; size in MiB."""
    folder = "%s/small%d" % (t.folder, len(t.stores))
    os.makedirs(folder)
    mount = ["mount", "-t", "tmpfs", "-o", "mode=700,size=%dm" % size +
             (",nr_inodes=%d" % inodes if inodes else ""), "tmpfs", folder]
    if ext4:
        disk = "%s/disk%d" % (t.disk, len(t.stores))
        with open(disk, "wb") as file:
            file.truncate(size << 20)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", disk] +
                       (["-N", str(inodes)] if inodes else []), check=True)
        mount = ["mount", "-o", "loop", disk, folder]
    subprocess.run(mount, check=True)
    t.session.base_mounts.append(folder)

    def gone():
        subprocess.run(["umount", "-l", folder])
        t.session.base_mounts.remove(folder)

    t.cleanups.append(gone)
    os.chmod(folder, 0o700)
    store = Store(folder)
    t.stores.append(store)
    return store


def refused(t, store, ref, codes):
    result = t.pull(store, "--progress", "none", ref, expect=None)
    t.ok(result.code in codes, "exit %s, wanted %s\n%s" % (result.code, codes, result))
    t.eq(result.out, "", "stdout")
    t.ok(result.err.strip(), "no message")
    t.eq(t.session.leftovers(), [], "left behind")
    t.eq(store.staging(), [], "staging")
    return result


@test
def full_disk(t):
    """No space for the tree; what was there stays, and space comes back."""
    real, store = t.real(), small_store(t, 24)
    t.pull(store, "-q", real.push(t.image("tiny"), "faults/fits"))
    used = os.statvfs(store.root)
    big = Image([layer(Tar().add("opt/big", images.noise(40 << 20, 5)))])
    before = store.snapshot()
    result = refused(t, store, real.push(big, "faults/big"), [NO_SPACE])
    t.ok("free" in result.err and "needed" in result.err, "says why:", result.err)
    t.eq(set(store.snapshot()), set(before), "the store")
    t.ok(os.statvfs(store.root).f_bfree >= used.f_bfree - 64, "space did not come back")
    t.pull(store, "-q", real.push(t.image("docker"), "faults/fits-too"))


@test
def full_disk_without_warning(t):
    """The manifest promises little and the tar holds much: ENOSPC in the middle of a file."""
    real, store = t.real(), small_store(t, 24)
    t.pull(store, "-q", real.push(t.image("tiny"), "faults/fits"))
    zeros = Image([layer(Tar().add("opt/zeros", bytes(60 << 20)))])
    result = refused(t, store, real.push(zeros, "faults/zeros"), [NO_SPACE])
    t.has(result.err, "are needed so far", "refused before the disk is full")
    many = Tar()
    for i in range(400):
        many.add("opt/f%d" % i, bytes(100000))
    refused(t, store, real.push(Image([layer(many)]), "faults/many"), [NO_SPACE])
    t.pull(store, "-q", real.push(t.image("docker"), "faults/fits-too"))
    t.eq(len(t.bulkhead(store, "images", "-q").out.split()), 2, "images")


@test
def no_inodes(t):
    real, store = t.real(), small_store(t, 200, 400)
    t.pull(store, "-q", real.push(t.image("tiny"), "faults/fits"))
    result = refused(t, store, real.push(t.image("small_files"), "faults/inodes"), [NO_SPACE])
    t.has(result.err, "inodes are needed so far", "refused before there are none")
    t.pull(store, "-q", real.push(t.image("docker"), "faults/fits-too"))


@test
def damaged_json(t):
    """Refused, and not one byte is touched."""
    real, store = t.real(), t.store()
    ref = real.push(t.image("tiny"), "faults/damaged")
    t.pull(store, "-q", ref)
    other = real.push(t.image("three"), "faults/damaged-2")
    for name in ("overlay-images/images.json", "overlay-layers/layers.json"):
        path = "%s/%s" % (store.root, name)
        with open(path, "rb") as file:
            good = file.read()
        for bad in (good[:len(good) // 2], b"[{]", b"\0" * len(good), good + b"x", b"{}",
                    good.replace(b'"id":"', b'"id":5,"x":"'), b"[" * 100000,
                    good.replace(b"sha256:", b"sha999:")):
            with open(path, "wb") as file:
                file.write(bad)
            before = {p: v for p, v in store.snapshot().items()}
            result = t.pull(store, "--progress", "none", other, expect=EVERY_CODE_BUT_SUCCESS)
            t.ok(name.split("/")[1] in result.err, "the message names the file:", result.err)
            t.eq(t.session.leftovers(), [], "left behind")
            t.eq(store.staging(), [], "staging")
            with open(path, "rb") as file:
                t.ok(file.read() == bad, "the damaged file was rewritten")
            t.eq(store.snapshot(), before, "the store")
            t.bulkhead(store, "rmi", ref, expect=EVERY_CODE_BUT_SUCCESS)
            t.eq(store.snapshot(), before, "the store after rmi")
        with open(path, "wb") as file:
            file.write(good)
    t.pull(store, "-q", other)


@test
def an_incomplete_record_of_another(t):
    """Its writer died: it is cleaned up or refused, never used."""
    real, store = t.real(), t.store()
    ref = real.push(t.image("tiny"), "faults/incomplete")
    t.podman_pull(store, ref)
    path = store.root + "/overlay-layers/layers.json"
    records = store.layers()
    records[0].setdefault("flags", {})["incomplete"] = True
    with open(path, "w") as file:
        json.dump(records, file)
    result = t.pull(store, "-q", ref, expect=[0] + EVERY_CODE_BUT_SUCCESS)
    if result.code == 0:
        t.ok(not store.layers()[0].get("flags", {}).get("incomplete"), "still incomplete")
        t.has(t.podman_run(store, ref, "/bin/hello", "hello").out, "hello")


@test
def stores_that_are_not_ours_to_write(t):
    """fuse-overlayfs stores, other drivers, image stores: refused with the file and the key."""
    real, ref = t.real(), None
    ref = real.push(t.image("tiny"), "faults/foreign")
    store = t.store()
    os.makedirs(store.root + "/overlay", mode=0o700)
    with open(store.root + "/overlay/.has-mount-program", "w") as file:
        file.write("true")
    result = t.pull(store, ref, expect=EVERY_CODE_BUT_SUCCESS)
    t.has(result.err, "mount", "says why")
    t.eq(store.images(), [], "images")
    open_root = t.store()
    os.chmod(open_root.root, 0o777)
    t.pull(open_root, ref, expect=EVERY_CODE_BUT_SUCCESS)
    t.eq(open_root.listing("overlay"), [], "a graph root that others can write")


@test
def another_holder_of_the_lock(t):
    """A lock held for a second is waited for; readers are not held up by it."""
    import fcntl
    import threading
    real, store = t.real(), t.store()
    t.pull(store, "-q", real.push(t.image("tiny"), "faults/lock"))
    held = open(store.root + "/overlay-layers/layers.lock", "r+")
    fcntl.lockf(held, fcntl.LOCK_EX)
    t.bulkhead(store, "images", timeout=10)
    timer = threading.Timer(1.5, lambda: fcntl.lockf(held, fcntl.LOCK_UN))
    timer.start()
    t.pull(store, "-q", real.push(t.image("docker"), "faults/lock-2"), timeout=60)
    timer.join()
    held.close()

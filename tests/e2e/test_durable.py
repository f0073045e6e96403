"""Everything is durable before success is reported, unless durability = "none": read from traces
of the release build."""
import os
import re
import time

from harness import Failure, test
from node import Node

CALLS = ("fsync,fdatasync,syncfs,rename,renameat,renameat2,openat,openat2,open,creat,write,pwrite64,"
         "sendmsg,sendto,close,dup,fcntl,linkat,symlinkat,mkdirat,execve,sync,msync,sync_file_range")


class Trace:
    """Lines of `strace -f -y -ttt`, all processes in the order they were seen."""

    def __init__(self, path):
        with open(path, errors="replace") as file:
            self.lines = [l.rstrip("\n") for l in file]

    def find(self, pattern, start=0, end=None):
        compiled = re.compile(pattern)
        stop = len(self.lines) if end is None else end
        return [i for i in range(start, stop) if compiled.search(self.lines[i])]

    def last(self, pattern, what):
        found = self.find(pattern)
        if not found:
            raise Failure("the trace has no %s (%s)" % (what, pattern))
        return found[-1]


def traced(t, argv, label):
    """The result of a command, and the trace of all its processes."""
    path = "%s/trace-%s" % (t.disk, label)
    result = t.run(["strace", "-f", "-y", "-ttt", "-s", "200", "-o", path, "-e", "trace=" + CALLS]
                   + argv, timeout=180)
    return result, Trace(path)


@test(needs=["strace"])
def synced_before_success(t):
    """Trees (syncfs), tar-split, big data, both JSON files and their directories."""
    real, image = t.real(), t.image("three")
    store = t.store(disk=True)
    ref = real.push(image, "durable/three")
    result, trace = traced(
        t, t.bulkhead_argv(store, "pull", "--tls-verify=false", "-q", ref), "full")
    t.eq(result.out.strip(), image.id, "pulled under strace")
    success = trace.last(r'write\(1<.*"%s' % image.id[:16], "id written to stdout")
    renames = {}
    for name in ("layers.json", "images.json"):
        found = trace.find(r'rename\w*\(.*"%s"' % name.replace(".", r"\."), 0, success)
        t.ok(found, "no rename of", name, "before success")
        renames[name] = found[-1]
        old = re.search(r'rename\w*\(\d+<[^>]*>, "([^"]*)"', trace.lines[found[-1]]).group(1)
        before = trace.find(r"f(data)?sync\(\d+<[^>]*/%s>" % re.escape(old), 0, found[-1])
        t.ok(before, "the new", name, "is synced before its rename")
        after = trace.find(r"(f(data)?sync|syncfs)\(\d+<[^>]*/overlay-%s>" % name[:6],
                           found[-1], success)
        t.ok(after, "the directory of", name, "is synced after the rename, before success")
    trees = trace.find(r"syncfs\(", 0, renames["layers.json"])
    t.ok(len(trees) >= 1, "trees are synced (syncfs) before layers.json names them")
    t.ok(trees[-1] < renames["layers.json"] < renames["images.json"] < success, "order")
    splits = trace.find(r'rename\w*\(.*tar-split', 0, renames["layers.json"])
    t.ok(len(splits) >= len(image.layers), "tar-split files are in place before the records")
    synced = trace.find(r"(fsync|fdatasync)\(\d+<[^>]*(split|manifest|=|sha256|item|data)[^>]*>", 0,
                        renames["images.json"])
    wide = trace.find(r"syncfs\(\d+<[^>]*>", 0, renames["images.json"])
    t.ok(synced or wide, "big data is synced before images.json names it")
    layer_dirs = trace.find(r"(fsync|syncfs)\(\d+<[^>]*/overlay>", trees[0],
                            renames["layers.json"])
    locked = trace.find(r"layers\.lock>, F_OFD_SETLKW?, \{l_type=F_WRLCK")
    t.ok(locked and locked[-1] < renames["layers.json"], "the locks are taken")
    for name in ("link", "lower"):
        made = trace.find(r'openat\(.*"%s", O_WRONLY\|O_CREAT' % name)
        t.eq(len(made), len(image.layers) - (name == "lower"), "files made: " + name)
        t.ok(made[-1] < trees[-1] < locked[-1], name, "is there before the tree is synced")
    under = trace.find(r"f(data)?sync\(\d+<[^>]*/(link|lower|diff)>", locked[-1])
    t.eq([trace.lines[i] for i in under], [], "synced under the locks")
    t.ok(layer_dirs or trace.find(r"syncfs\(", splits[-1], renames["layers.json"]),
         "the directory overlay is synced after the layers moved in")


SYNCS = r"\b(fsync|fdatasync|syncfs|sync|msync|sync_file_range)\("


@test(needs=["strace"])
def nothing_synced_on_request(t):
    """durability = "none": no process syncs anything, and the store is as good as any until the
    machine ends."""
    real, image = t.real(), t.image("three")
    store = t.store(disk=True)
    config = t.session.write_config(t.folder, None, {"durability": "none"})
    t.bulkhead(store, "images", config=config)  # makes the graph root: that is synced
    ref = real.push(image, "durable/none")
    for args in (("pull", "--tls-verify=false", "-q", ref), ("tag", ref, "localhost/x:1"),
                 ("rmi", "-f", image.id)):
        result, trace = traced(t, t.bulkhead_argv(store, *args, config=config), args[0])
        t.ok(trace.find(r"rename\w*\(.*images\.json"), args[0], "changes the store")
        t.eq([trace.lines[i] for i in trace.find(SYNCS)], [], args[0])
        if args[0] == "pull":
            t.eq(result.out.strip(), image.id, "pulled under strace")
            t.podman_run(store, image.id, "/bin/hello", "hello")
    t.eq(store.images(), [], "removed")


# Calls that change a file or a directory; what is opened to be written is among them.
CHANGES = (r"O_CREAT|O_TRUNC|O_WRONLY|\b(p?write(v|64)?|rename\w*|link\w*|symlink\w*|unlink\w*|rmdir|"
           r"mkdir\w*|mknod\w*|f?truncate|fallocate|f?chmod\w*|f?l?chown\w*|utime\w*|"
           r"f?l?(set|remove)xattr)\(")


def everything(root):
    """What shows any change of anything below: ctime moves with each."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            st = os.lstat(os.path.join(folder, name))
            found[os.path.join(folder, name)] = (
                st.st_ino, st.st_mode, st.st_nlink, st.st_size, st.st_mtime_ns, st.st_ctime_ns)
    return found


@test(needs=["strace"])
def a_present_image_is_not_written(t):
    """Pulled again through the daemon, by tag and by digest: the store reads, and changes nothing."""
    real, image, node = t.real(), t.image("three"), Node(t, t.store(disk=True))
    ref = real.push(image, "durable/again")
    refs = (ref, ref.rsplit(":", 1)[0] + "@" + image.manifest.digest)
    client = node.client()
    for each in refs:
        t.eq(client.pull(each), image.id, "pulled")
    (store,), path = node.rooms("store"), t.disk + "/trace-again"
    node.nothing_left()
    before = everything(node.store.root)
    tracer = t.start(["strace", "-y", "-s", "200", "-o", path, "-p", str(store)])
    deadline = time.monotonic() + 20
    while "TracerPid:\t0\n" in open("/proc/%d/status" % store).read():
        t.ok(time.monotonic() < deadline, "strace does not come")
        time.sleep(0.01)
    for each in refs:
        t.eq(client.pull(each), image.id, "pulled again")
    node.nothing_left()
    tracer.terminate()
    t.finish(tracer, 20)
    trace = Trace(path)
    t.ok(len(trace.find(r"images\.json")) >= 2, "the store looked at its records")
    inside = [l for l in trace.lines if node.store.root in l]
    t.eq([l for l in inside if re.search(CHANGES, l)], [], "calls that change something")
    t.eq(everything(node.store.root), before, "what lies in the store")

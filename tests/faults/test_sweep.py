"""What a store finds of one that died in the middle of a commit, and who may be in its way."""
import fcntl
import os
import time

from harness import test

DEAD = "0123456789abcdef" * 2
LAYER = "ab" * 32


def cpu(pids):
    total = 0
    for pid in pids:
        with open("/proc/%d/stat" % pid) as file:
            fields = file.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def stores(process):
    import harness
    return [p for p, v in harness.descendants(process.pid).items() if v[2] == "bulkhead-store"]


@test
def sweep_waits_for_locks(t):
    """Another program holds layers.lock for long, as storage 1.43 does while it extracts: what is
    to be swept waits without work, queries are answered, and it is swept when the lock is free."""
    store = t.store()
    t.bulkhead(store, "images")
    own = store.root + "/bulkhead/"
    os.mkdir(own + DEAD, 0o700)
    with open(own + DEAD + "/journal", "w") as file:
        file.write("L %s\n" % LAYER)
    os.mkdir("%s/overlay/%s" % (store.root, LAYER), 0o700)
    with open(store.root + "/overlay-layers/layers.lock", "a+") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        begun = time.monotonic()
        t.bulkhead(store, "images", timeout=20)
        t.ok(time.monotonic() - begun < 5, "a query waited for a sweep")
        process = t.start(t.bulkhead_argv(store, "rmi", "nosuch"))
        time.sleep(1.5)
        used = cpu(stores(process))
        t.ok(used < 0.5, "the store worked for %.2f s while it waited" % used)
        fcntl.lockf(lock, fcntl.LOCK_UN)
        t.eq(t.finish(process, 20).code, 1, "no such image")
    t.bulkhead(store, "images")
    deadline = time.monotonic() + 5
    while os.path.exists(own + DEAD) and time.monotonic() < deadline:
        t.bulkhead(store, "images")
    t.ok(not os.path.exists(own + DEAD), "a dead staging was not swept")
    t.ok(not os.path.exists("%s/overlay/%s" % (store.root, LAYER)), "its layer was not swept")

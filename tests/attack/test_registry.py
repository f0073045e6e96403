"""Registries that stall, are away, or lead elsewhere, met by the command alone; what they can do to a
daemon and its other tenants is in registry/."""
import time

from harness import test
from common import Ground
import registry

NETWORK = 5


def blob_path(image, which=1):
    return "/blobs/" + image.layers[which].blob.digest


@test
def nobody_there(t):
    ground = Ground(t)
    begun = time.monotonic()
    ground.refused("127.0.0.1:%d/attack/none:1" % registry.closed_port(t), NETWORK, beside=False)
    ground.refused("no-such-host.invalid:5000/attack/none:1", NETWORK, timeout=40)
    t.ok(time.monotonic() - begun < 40, "took too long")


@test
def a_pull_beside_one_that_stalls(t):
    """A stalled pull holds nobody up, and ends at once when told to."""
    ground, image = Ground(t), t.image("three")
    ref = ground.serve(image)
    ground.server.on(blob_path(image), registry.stall(1000))
    job = t.start(t.bulkhead_argv(ground.store, "pull", "--tls-verify=false", ref))
    while not ground.server.asked(blob_path(image)):
        time.sleep(0.01)
    for _ in range(3):
        ground.good_pull()
    t.ok(job.poll() is None, "the stalled pull ended")
    job.terminate()
    result = t.finish(job, 10)
    t.ok(result.code != 0 and not result.out, result)
    t.eq(ground.store.staging(), [], "staging")


@test
def a_secret_stays_with_its_origin(t):
    """authfile with two registries: each sees its own, a redirect target none."""
    import base64
    image, store = t.image("tiny"), t.store()
    one, two, target = t.scripted(), t.scripted(), t.scripted()
    auths = {s.host: {"auth": base64.b64encode(b"u:canary-%d" % i).decode()}
             for i, s in enumerate((one, two, target))}
    path = t.write("auth.json", {"auths": auths})
    ref = one.add(image, "attack/secrets")
    target.add(image, "attack/secrets")
    one.on("/blobs/", registry.redirect(lambda p: target.url + p))
    t.pull(store, "--authfile", path, ref)
    for server in (two, target):
        for i in range(3):
            t.ok(not server.saw(auths[list(auths)[i]]["auth"]), "secret", i, "leaked")
    t.eq(two.connections, 0, "connections to a registry nobody named")


@test
def registry_wants_more_time_than_is_good(t):
    """A body of 1 byte a second is refused by its stall rule or goes on; Ctrl-C always works."""
    ground, image = Ground(t), t.image("tiny")
    ref = ground.serve(image)
    ground.server.rate = 2000
    job = t.start(t.bulkhead_argv(ground.store, "pull", "--tls-verify=false", ref))
    time.sleep(1.5)
    t.ok(job.poll() is None, "it ended early")
    job.terminate()
    t.ok(t.finish(job, 10).code != 0, "exit")
    ground.server.rate = None
    ground.good_pull()

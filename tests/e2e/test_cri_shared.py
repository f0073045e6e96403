"""Pulls at once of images that share layers: who fetches, who waits, who goes on alone."""
import threading

from cri import ended
from harness import test
from node import Node
from test_cri_pull import until
import mkimage
import registry
from tarmake import Tar


class Shared:
    """A node, a registry that holds the blob of a common base until `go`, two images on it."""

    def __init__(self, t):
        self.t, self.node, self.server, self.go = t, Node(t), t.scripted(), threading.Event()
        base = mkimage.layer(Tar().add("base", b"base"))
        self.own = [mkimage.layer(Tar().add("own%d" % i, b"own")) for i in range(2)]
        self.images = [mkimage.Image([base, own]) for own in self.own]
        self.base = base.blob.digest
        self.refs = [self.server.add(image, "shared/%d" % i) for i, image in enumerate(self.images)]
        self.server.on("/blobs/" + self.base, self.held)
        self.client = self.node.client()

    def held(self, server, request, answer):
        self.go.wait(30)
        return answer

    def asked(self, digest):
        return len(self.server.asked("/blobs/" + digest))

    def begin(self, **second):
        """Both pulls; the second one's own layer is asked for, so it has looked at the base too."""
        pulls = [self.client.begin_pull(self.refs[0])]
        until(self.t, "the base", lambda: self.asked(self.base) == 1)
        pulls.append(self.client.begin_pull(self.refs[1], **second))
        until(self.t, "the second's own layer", lambda: self.asked(self.own[1].blob.digest) == 1)
        return pulls

    def whole(self, answers):
        self.t.eq(answers, [("OK", i.id) for i in self.images], "answers")
        for image in self.images:
            self.t.podman(self.node.store, "image", "mount", image.id)
        self.t.podman(self.node.store, "image", "unmount", "-a")


@test
def fetched_once(t):
    s = Shared(t)
    pulls = s.begin()
    until(t, "the own layer to be done", lambda: "1/2" in s.node.command("ps").out)
    t.eq(s.asked(s.base), 1, "the base is asked for")
    s.go.set()
    s.whole([ended(p) for p in pulls])
    t.eq(s.asked(s.base), 1, "the base was asked for")


@test
def alone_when_the_other_fails(t):
    """The first pull cannot end well: the second fetches the base itself."""
    s, broken = Shared(t), threading.Event()

    def fails(server, request, answer):
        broken.wait(30)
        return registry.Answer(404)
    s.server.on("/blobs/" + s.own[0].blob.digest, fails)
    pulls = s.begin()
    broken.set()
    t.eq(ended(pulls[0])[0], "NOT_FOUND", "the first")
    until(t, "the base, by the second", lambda: s.asked(s.base) == 2)
    s.go.set()
    t.eq(ended(pulls[1]), ("OK", s.images[1].id), "the second")


@test
def not_for_another_namespace(t):
    """Whose registry may be slow on purpose."""
    s = Shared(t)
    pulls = s.begin(namespace="other")
    until(t, "the base, by both", lambda: s.asked(s.base) == 2)
    s.go.set()
    s.whole([ended(p) for p in pulls])

"""Documents that are only wrong together with what the store holds; those wrong by themselves are
G13 to G17 and G20 of registry/."""
from harness import test
from common import Ground
import mkimage
from mkimage import Image

CONTENT = 7


@test
def another_images_config(t):
    """A manifest that names the config of another image, with a layer of its own: refused, also
    where that image and its layers are present."""
    ground = Ground(t)
    evil = Image([mkimage.layer(mkimage.Tar().add("bin/hello", b"evil", mode=0o755))])
    evil.config = t.image("tiny").config
    evil.seal()
    ground.refused(ground.serve(evil), CONTENT)
    evil.config = ground.base.config
    evil.seal()
    for compression in ("gzip", "none", "zstd"):
        one = Image([mkimage.layer(mkimage.Tar().add("bin/hello", b"evil"), compression)])
        one.config = ground.base.config
        ground.refused(ground.serve(one.seal()), CONTENT, says="DiffID", beside=False)
    ground.refused(ground.serve(evil), CONTENT, says="DiffID")
    for name in (t.real().ref("attack/base"), ground.base.id):
        t.has(t.podman_run(ground.store, name, "/bin/hello", "hello").out, "hello from the image")


@test
def too_many_layers(t):
    """127 are fine, 128 are not."""
    ground = Ground(t)
    layers = [mkimage.layer(mkimage.Tar().add("f%d" % i, b"%d" % i), "none") for i in range(128)]
    ground.refused(ground.serve(Image(layers)), CONTENT, says="layers", beside=False)
    t.pull(t.store(), "-q", ground.serve(Image(layers[:127])))
    ground.good_pull()



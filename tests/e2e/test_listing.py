"""A store with more images than a channel's packets: listed whole."""
import json

from harness import test


@test
def many_images(t):
    store = t.store()
    t.bulkhead(store, "images")
    records = []
    for i in range(1, 5001):
        digest = "sha256:%064x" % i
        records.append({"id": "%064x" % i, "digest": digest, "created": "2024-01-01T00:00:00Z",
                        "names": ["docker.io/library/x%d:latest" % i],
                        "big-data-names": ["manifest", digest],
                        "big-data-sizes": {"manifest": 1, digest: 1},
                        "big-data-digests": {"manifest": digest, digest: digest}})
    with open(store.root + "/overlay-images/images.json", "w") as file:
        json.dump(records, file)
    listed = t.bulkhead(store, "images", "-q").out.split()
    t.eq(len(listed), 5000, "images listed")

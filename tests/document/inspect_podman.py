#!/usr/bin/env python3
"""The same images through `podman image inspect` and through inspect_local: equal, member by member."""
import base64
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile

tool = sys.argv[1]
if not (shutil.which("podman") and shutil.which("buildah")) or os.geteuid():
    print("needs podman, buildah and root")
    sys.exit(77)

CONTAINERFILE = """FROM scratch
COPY f /f
ENV A=b X="<&> \\u00e9"
LABEL b=2 a=1 quote="y z"
USER 12:34
EXPOSE 80 443/tcp
WORKDIR /w
VOLUME /v
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --retries=3 CMD /f
ENTRYPOINT ["/f"]
CMD ["x","y"]
"""


def run(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def check(work, store, name):
    theirs = json.loads(run("podman", *store, "--events-backend", "file", "image", "inspect", name))
    image = theirs[0]["Id"]
    folder = f"{work}/root/vfs-images/{image}"
    key = base64.b64encode(f"sha256:{image}".encode()).decode()
    facts = f"{work}/facts"
    with open(facts, "w") as f:
        f.write(f"id\t{image}\ndigest\t{theirs[0]['Digest']}\nsize\t{theirs[0]['Size']}\ndriver\tvfs\n")
        for fact, member in ("name", "RepoTags"), ("repo-digest", "RepoDigests"), ("history", "NamesHistory"):
            for value in theirs[0][member] or []:
                f.write(f"{fact}\t{value}\n")
    ours = json.loads(run(tool, f"{folder}/={key}", f"{folder}/manifest", facts))
    # vfs has no data; ours says {} as for overlay.
    theirs[0]["GraphDriver"]["Data"] = theirs[0]["GraphDriver"]["Data"] or {}
    if list(ours[0]) != list(theirs[0]):
        sys.exit(f"{name}: members differ: {list(ours[0])} {list(theirs[0])}")
    for member in theirs[0]:
        if json.dumps(ours[0][member]) != json.dumps(theirs[0][member]):
            sys.exit(f"{name}: {member}: ours {ours[0][member]!r}, podman's {theirs[0][member]!r}")
    print(f"{name}: {len(ours[0])} members equal")


with tempfile.TemporaryDirectory(prefix="bulkhead-inspect-", dir="/var/tmp") as work:
    store = ["--root", f"{work}/root", "--runroot", f"{work}/run", "--storage-driver", "vfs"]
    with open(f"{work}/Containerfile", "w") as f:
        f.write(CONTAINERFILE)
    with open(f"{work}/f", "w") as f:
        f.write("hi\n")
    with open(f"{work}/Plain", "w") as f:
        f.write("FROM scratch\nCOPY f /f\n")
    build = ["buildah", *store, "bud", "-q", "--isolation", "chroot"]
    run(*build, "--format", "oci", "--annotation", "z=1", "-t", "localhost/oci:1", work)
    run(*build, "--format", "docker", "-t", "localhost/docker:1", work)
    run(*build, "--format", "oci", "-f", f"{work}/Plain", "-t", "localhost/plain:1", work)
    for name in "localhost/oci:1", "localhost/docker:1", "localhost/plain:1":
        check(work, store, name)

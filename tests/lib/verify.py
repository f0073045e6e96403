"""Whether a graph root is whole, judged by none of the code under test.

    problems(root)   one line for each thing that is wrong; [] = whole

It is for a store at rest: nobody changes it meanwhile. Wrong is:

  - a .json file that cannot be read, an id or a name that two records have, a layer marked
    incomplete, a parent, top layer or image that no record has;
  - a layer without diff, link, lower, work, merged (empty, in a base layer), with other contents,
    modes or owners than containers/storage gives them, without its one short link;
  - a layer whose tar-split does not reassemble, with the files of its tree, to the recorded
    DiffID and size; a tree that differs from that very tar in a name, kind, mode, owner, time,
    link, extended attribute or byte (deep=False leaves trees alone);
  - an image with a document of another size or digest than recorded, or a config that names other
    layers than its chain has;
  - what nothing refers to: directories, short links, tar-splits, big data, temporary files,
    summaries, staging of processes that are gone; a layer record that no image, container or
    layer needs (spare=True allows those);
  - a lock of the store that somebody holds (locks=False allows that).

Not judged: what others keep in the graph root (libpod, volumes ...), and layers without a DiffID,
which are containers', beyond their directory.
"""
import base64
import collections
import decimal
import fcntl
import gzip
import hashlib
import json
import os
import re
import stat
import struct
import tarfile
import zlib

from stores import kept_xattrs

ID = re.compile("[0-9a-f]{64}")
LINK = re.compile("[A-Z2-7]{26}")
STAGING = re.compile("[0-9a-f]{32}")
F_OFD_GETLK, FLOCK = 36, "hhqqi4x"
LOCKS = ("overlay-layers/layers.lock", "overlay-images/images.lock",
         "overlay-containers/containers.lock")
FILES = {"overlay-layers": {"layers.lock", "layers.json", "volatile-layers.json", "tmp"},
         "overlay-images": {"images.lock", "images.json"},
         "overlay": {"l", "staging", "tempdirs", ".has-mount-program", "backingFsBlockDev"},
         "bulkhead": {"key", "summaries"}}


def problems(root, deep=True, spare=False, locks=True):
    store = Verifier(root)
    try:
        store.load()
    except (OSError, ValueError, KeyError, TypeError) as error:
        return ["records: %s" % error]
    for layer in store.layers.values():
        store.guard("layer " + layer["id"][:12], store.layer, layer, deep)
    for image in store.images.values():
        store.guard("image " + image["id"][:12], store.image, image)
    store.guard("leftovers", store.leftovers)
    if not spare:
        store.guard("leftovers", store.spare)
    if locks:
        store.guard("locks", store.locks)
    return store.found


def held(path):
    """Whether somebody holds a record lock on the file."""
    with open(path, "rb") as file:
        got = fcntl.fcntl(file, F_OFD_GETLK, struct.pack(FLOCK, fcntl.F_WRLCK, 0, 0, 0, 0))
    return struct.unpack(FLOCK, got)[0] != fcntl.F_UNLCK


class Verifier:
    def __init__(self, root):
        self.root, self.found, self.where = root, [], ""

    def guard(self, where, function, *args):
        self.where = where
        try:
            function(*args)
        except (OSError, ValueError, KeyError, TypeError, tarfile.TarError, zlib.error,
                EOFError) as error:
            self.wrong(type(error).__name__, error)

    def wrong(self, *what):
        self.found.append("%s: %s" % (self.where, " ".join(str(w) for w in what)))

    def path(self, *parts):
        return "/".join((self.root,) + parts)

    def names(self, *parts):
        path = self.path(*parts)
        return sorted(os.listdir(path)) if os.path.isdir(path) else []

    # records

    def load(self):
        self.where = "records"
        self.layers = self.table("overlay-layers/layers.json")
        self.volatile = self.table("overlay-layers/volatile-layers.json")
        self.images = self.table("overlay-images/images.json")
        self.containers = {**self.table("overlay-containers/containers.json"),
                           **self.table("overlay-containers/volatile-containers.json")}
        self.every_layer = {**self.volatile, **self.layers}
        for what in set(self.volatile) & set(self.layers):
            self.wrong("two records of layer", what)
        for table in (self.every_layer, self.images):
            names = collections.Counter(n for r in table.values() for n in r.get("names") or [])
            for name, n in names.items():
                if n > 1:
                    self.wrong(n, "records have the name", name)

    def table(self, name):
        path, found = self.path(name), {}
        if not os.path.exists(path) or os.path.getsize(path) == 0:
            return found
        with open(path) as file:
            for record in json.load(file):
                if record["id"] in found:
                    self.wrong("two records in", name, "of", record["id"])
                found[record["id"]] = record
        return found

    def chain(self, layer):
        """Records from the base up to the layer; ends early where a parent is missing."""
        found = []
        while layer and len(found) < 1000:
            record = self.every_layer.get(layer)
            if not record:
                self.wrong("no record of layer", layer)
                break
            found.append(record)
            layer = record.get("parent")
        return found[::-1]

    # layers

    def layer(self, record, deep):
        chain = self.chain(record["id"])
        if (record.get("flags") or {}).get("incomplete"):
            self.wrong("marked incomplete")
        parent = chain[-2]["id"] if len(chain) > 1 else None
        self.directory(record["id"], parent, chain)
        if "diff-digest" not in record:
            return
        if "bulkhead.access" in (record.get("flags") or {}):
            self.identity(record, parent)
        split = self.path("overlay-layers", record["id"] + ".tar-split.gz")
        self.node(split, stat.S_IFREG, 0o600)
        if deep:
            self.tree(record, split)

    def identity(self, record, parent):
        digest = record["diff-digest"].split(":")[1]
        both = hashlib.sha256(("%s+%s" % (parent, digest)).encode()).hexdigest()
        if record["id"] != (both if parent else digest):
            self.wrong("its id is not that of parent and DiffID")

    def node(self, path, kind, mode):
        st = os.lstat(path)
        if stat.S_IFMT(st.st_mode) != kind or (mode is not None and
                                               stat.S_IMODE(st.st_mode) != mode):
            self.wrong("mode %o of" % st.st_mode, os.path.relpath(path, self.root))
        elif (st.st_uid, st.st_gid) != (0, 0):
            self.wrong("owner %d:%d of" % (st.st_uid, st.st_gid), os.path.relpath(path, self.root))
        return st

    def text(self, *parts):
        with open(self.path(*parts)) as file:
            return file.read()

    def directory(self, layer, parent, chain):
        base = self.path("overlay", layer)
        self.node(base, stat.S_IFDIR, 0o700)
        wanted = 0o555
        if parent:
            wanted = stat.S_IMODE(os.lstat(self.path("overlay", parent, "diff")).st_mode)
        self.node(base + "/diff", stat.S_IFDIR, None if "diff-digest" not in
                  self.every_layer[layer] else wanted)
        for name in ("work", "merged") + (() if parent else ("empty",)):
            self.node(base + "/" + name, stat.S_IFDIR, 0o700)
            if name == "empty" and os.listdir(base + "/empty"):
                self.wrong("empty/ is not")
        self.node(base + "/link", stat.S_IFREG, 0o644)
        link = self.text("overlay", layer, "link")
        if not LINK.fullmatch(link):
            self.wrong("link says %r" % link)
        elif os.readlink(self.path("overlay/l", link)) != "../%s/diff" % layer:
            self.wrong("its short link leads elsewhere")
        lower = ":".join("l/" + self.text("overlay", l["id"], "link") for l in chain[-2::-1])
        if parent and self.text("overlay", layer, "lower") != lower:
            self.wrong("lower is not the links of its parents")
        if not parent and os.path.lexists(base + "/lower"):
            self.wrong("a base layer with a lower")

    def tree(self, record, split):
        diff = self.path("overlay", record["id"], "diff")
        source, expected = Reassembly(split, diff), Tree(diff)
        if record.get("diff-size"):
            self.guard(self.where, expected.read, source)
        while source.read(1 << 20):
            pass
        if "sha256:" + source.digest.hexdigest() != record["diff-digest"]:
            self.wrong("reassembles to another DiffID")
        if source.size != record.get("diff-size", 0):
            self.wrong("reassembles to %d bytes" % source.size)
        for line in expected.differences():
            self.wrong(line)

    # images

    def image(self, record):
        self.node(self.path("overlay-images", record["id"]), stat.S_IFDIR, 0o700)
        chain = self.chain(record.get("layer"))
        for mapped in record.get("mapped-layers") or []:
            self.chain(mapped)
        sizes, digests = record.get("big-data-sizes", {}), record.get("big-data-digests", {})
        keys = record.get("big-data-names") or []
        if set(keys) != set(sizes) or set(keys) != set(digests):
            self.wrong("big data names, sizes and digests differ")
        content = {}
        for key in keys:
            path = self.path("overlay-images", record["id"], file_of(key))
            self.node(path, stat.S_IFREG, 0o600)
            with open(path, "rb") as file:
                content[key] = file.read()
            if len(content[key]) != sizes.get(key):
                self.wrong(key, "has %d bytes" % len(content[key]))
            if "sha256:" + hashlib.sha256(content[key]).hexdigest() != digests.get(key):
                self.wrong(key, "has another digest")
        extra = set(self.names("overlay-images", record["id"])) - {file_of(k) for k in keys}
        self.documents(record, content, chain)
        if extra:
            self.where = "leftovers"
            self.wrong("files that no key has:", record["id"], sorted(extra))

    def documents(self, record, content, chain):
        config = content.get("sha256:" + record["id"])
        if config is None or "manifest" not in content:
            self.wrong("no config or no manifest")
            return
        listed = json.loads(config)["rootfs"]["diff_ids"]
        if listed != [l.get("diff-digest") for l in chain]:
            self.wrong("its config names other layers than it has")
        if json.loads(content["manifest"])["config"]["digest"] != "sha256:" + record["id"]:
            self.wrong("its manifest names another config")
        if "manifest-" + record.get("digest", "") not in content:
            self.wrong("no manifest of its digest")

    # what is left over

    def leftovers(self):
        for folder in ("overlay", "overlay-layers", "overlay-images"):
            for name in self.names(folder):
                if not self.belongs(folder, name):
                    self.wrong(folder + "/" + name)
        for name in self.names("overlay/l"):
            target = os.readlink(self.path("overlay/l", name)).split("/")
            layer = target[1] if len(target) == 3 else ""
            if layer not in self.every_layer or self.text("overlay", layer, "link") != name:
                self.wrong("overlay/l/" + name)
        self.own()

    def belongs(self, folder, name):
        if name in FILES[folder]:
            return True
        table = self.images if folder == "overlay-images" else self.every_layer
        if folder == "overlay-layers" and name.endswith(".tar-split.gz"):
            name = name[:-len(".tar-split.gz")]
        return name in table

    def own(self):
        for name in self.names("bulkhead"):
            lock = self.path("bulkhead", name.split(".")[0] + ".lock")
            if STAGING.fullmatch(name.split(".")[0]) and os.path.exists(lock) and held(lock):
                continue  # of a process that lives
            if name not in FILES["bulkhead"]:
                self.wrong("bulkhead/" + name)
        for name in self.names("bulkhead/summaries"):
            if name not in self.images:
                self.wrong("bulkhead/summaries/" + name)
        if os.path.isdir(self.path("bulkhead")):
            st = self.node(self.path("bulkhead/key"), stat.S_IFREG, 0o600)
            if (st.st_size, st.st_nlink) != (32, 1):
                self.wrong("bulkhead/key of %d bytes, %d links" % (st.st_size, st.st_nlink))

    def spare(self):
        needed = {r.get("parent") for r in self.every_layer.values()}
        for image in self.images.values():
            needed |= {image.get("layer"), *(image.get("mapped-layers") or [])}
        needed |= {c.get("layer") for c in self.containers.values()}
        for layer in sorted(set(self.layers) - needed):
            self.wrong("nothing needs layer", layer)

    def locks(self):
        for name in LOCKS:
            if os.path.exists(self.path(name)) and held(self.path(name)):
                self.wrong(name, "is held")


def file_of(key):
    """The file of a big-data key."""
    if re.fullmatch("[0-9a-z.]+", key):
        return key
    return "=" + base64.b64encode(key.encode()).decode()


# Trees -------------------------------------------------------------------------------------

class Reassembly:
    """The tar of a tar-split file and a tree, read as a stream and hashed on the way."""

    def __init__(self, split, diff):
        self.diff, self.digest, self.size = os.fsencode(diff), hashlib.sha256(), 0
        self.pieces, self.rest = self.parts(split), b""

    def parts(self, split):
        with gzip.open(split, "rb") as lines:
            for number, line in enumerate(lines):
                entry = json.loads(line)
                if entry.get("position", 0) != number:
                    raise ValueError("line %d of the tar-split says %s" % (
                        number, entry.get("position")))
                if entry["type"] == 2:
                    yield base64.b64decode(entry["payload"] or "", validate=True)
                elif entry.get("size"):
                    yield from self.payload(entry)

    def payload(self, entry):
        name = (base64.b64decode(entry["name_raw"]) if "name_raw" in entry
                else entry["name"].encode())
        path = os.path.realpath(os.path.join(self.diff, name.lstrip(b"/")))
        if not path.startswith(os.path.realpath(self.diff) + b"/"):
            raise ValueError("the tar-split leads out of the tree: %r" % name)
        left = entry["size"]
        with open(path, "rb") as file:
            while piece := file.read(min(1 << 20, left + 1)):
                left -= len(piece)
                yield piece
        if left:
            raise ValueError("%r has not the %d bytes of the tar-split" % (name, entry["size"]))

    def read(self, size):
        while len(self.rest) < size:
            piece = next(self.pieces, None)
            if piece is None:
                break
            self.rest += piece
        got, self.rest = self.rest[:size], self.rest[size:]
        self.digest.update(got)
        self.size += len(got)
        return got


class Member(tarfile.TarInfo):
    """Keeps the time as it was written, not as a float."""

    def facts(self):
        text = self.pax_headers.get("mtime")
        when = int(decimal.Decimal(text) * 10**9) if text else int(self.mtime) * 10**9
        found = {"mode": self.mode & 0o7777, "owner": (self.uid, self.gid), "mtime": max(0, when)}
        names = {k[len("SCHILY.xattr."):]: v.encode("utf-8", "surrogateescape")
                 for k, v in self.pax_headers.items() if k.startswith("SCHILY.xattr.") and v}
        found["xattrs"] = kept_xattrs(names)
        found["kind"] = {b"5": stat.S_IFDIR, b"2": stat.S_IFLNK, b"6": stat.S_IFIFO,
                         b"3": stat.S_IFCHR, b"4": stat.S_IFBLK}.get(self.type, stat.S_IFREG)
        if self.issym():
            found["target"] = self.linkname
        return found


class Tree:
    """What a tree has to be by its tar, and how it differs. Paths are below the diff."""

    def __init__(self, diff):
        self.diff, self.nodes, self.opaque = diff, {}, set()

    def read(self, source):
        with tarfile.open(fileobj=source, mode="r|", encoding="utf-8", errors="surrogateescape",
                          tarinfo=Member) as tar:
            for member in tar:
                self.add(tar, member)

    def add(self, tar, member):
        path = self.resolved(member.name)
        folder, name = os.path.split(path)
        if not path:
            return  # the root's own attributes are not the layer's to say
        if name == ".wh..wh..opq":
            self.opaque.add(folder)
        elif name.startswith(".wh."):
            self.put(os.path.join(folder, name[4:]), {"kind": "whiteout"})
        elif member.islnk():
            target = self.resolved(member.linkname)
            facts = self.nodes.get(target, {"kind": "nothing"})
            if facts["kind"] != stat.S_IFLNK:
                facts.update({k: v for k, v in member.facts().items() if k != "kind"})
            self.put(path, {"same": target})
        else:
            facts = member.facts()
            if facts["kind"] == stat.S_IFREG:
                facts["content"] = content(tar.extractfile(member))
            self.put(path, facts)

    def put(self, path, facts):
        if facts.get("kind") != stat.S_IFDIR:
            for below in [p for p in self.nodes if p.startswith(path + "/")]:
                del self.nodes[below]
        self.nodes[path] = facts

    def resolved(self, name):
        """Cleaned, and through symlinks of this layer but the last component's."""
        parts, done, jumps = name.split("/")[::-1], [], 0
        while parts:
            part = parts.pop()
            if part in ("", "."):
                continue
            if part == "..":
                done = done[:-1]
                continue
            done.append(part)
            node = self.nodes.get("/".join(done), {})
            if parts and node.get("kind") == stat.S_IFLNK and jumps < 40:
                jumps += 1
                target = node["target"]
                done = [] if target.startswith("/") else done[:-1]
                parts += target.split("/")[::-1]
        return "/".join(done)

    def differences(self):
        implied = {""}
        for path in self.nodes:
            while path:
                path = os.path.dirname(path)
                implied.add(path)
        for path, want in sorted(self.nodes.items()):
            yield from self.compare(path, want)
        for folder, names, files in os.walk(self.diff):
            for name in names + files:
                path = os.path.relpath(os.path.join(folder, name), self.diff)
                if path not in self.nodes and path not in implied:
                    yield "%r is not of the layer" % path
        for path in sorted(implied | set(self.nodes)):
            if path in implied or self.nodes[path].get("kind") == stat.S_IFDIR:
                yield from self.marked(path)

    def marked(self, path):
        full = os.path.join(self.diff, path)
        if not os.path.isdir(full) or os.path.islink(full):
            return
        mark = "trusted.overlay.opaque" in os.listxattr(full)
        if mark != (path in self.opaque):
            yield "%r is %sopaque" % (path, "" if mark else "not ")

    def compare(self, path, want):
        full = os.path.join(self.diff, path)
        device = want.get("kind") in (stat.S_IFCHR, stat.S_IFBLK)
        try:
            st = os.lstat(full)
        except FileNotFoundError:
            if not device and not self.of_device(want):
                yield "%r is missing" % path
            return
        if "same" in want:
            if st.st_ino != os.lstat(os.path.join(self.diff, want["same"])).st_ino:
                yield "%r is not a hard link to %r" % (path, want["same"])
            return
        if want["kind"] == "whiteout":
            if not stat.S_ISCHR(st.st_mode) or st.st_rdev:
                yield "%r is not a whiteout" % path
            return
        got = {"kind": stat.S_IFMT(st.st_mode), "mode": stat.S_IMODE(st.st_mode),
               "owner": (st.st_uid, st.st_gid), "mtime": st.st_mtime_ns}
        if got["kind"] != want["kind"]:
            yield "%r is of another kind" % path
            return
        got["xattrs"] = kept_xattrs({n: os.getxattr(full, n, follow_symlinks=False)
                                     for n in os.listxattr(full, follow_symlinks=False)
                                     if n != "trusted.overlay.opaque"})
        if got["kind"] == stat.S_IFLNK:
            got["target"], got["mode"] = os.readlink(full), want["mode"]
        elif got["kind"] == stat.S_IFREG:
            with open(full, "rb") as file:
                got["content"] = content(file)
        for fact, value in sorted(got.items()):
            if value != want[fact]:
                yield "%r: %s is %r, not %r" % (path, fact, value, want[fact])

    def of_device(self, want):
        node = self.nodes.get(want.get("same"), {})
        return "same" in want and node.get("kind") in (stat.S_IFCHR, stat.S_IFBLK, "nothing")


def content(file):
    digest = hashlib.sha256()
    for piece in iter(lambda: file.read(1 << 20), b""):
        digest.update(piece)
    return digest.hexdigest()


if __name__ == "__main__":
    import sys
    wrong = problems(sys.argv[1])
    print("\n".join(wrong) or "whole")
    sys.exit(1 if wrong else 0)

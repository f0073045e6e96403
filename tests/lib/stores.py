"""What lies in a containers/storage graph root: records, trees, leftovers, and how two compare."""
import base64
import gzip
import hashlib
import json
import os
import stat
import subprocess

DROPPED = ("trusted.overlay.", "user.overlay.", "user.containers.", "user.fuseoverlayfs.")


class Store:
    def __init__(self, folder):
        self.folder = folder
        self.root, self.runroot, self.tmp = (folder + "/" + n for n in ("root", "run", "tmp"))
        for path in (folder, self.root, self.runroot, self.tmp):
            os.makedirs(path, mode=0o700, exist_ok=True)

    def json(self, name):
        path = "%s/%s" % (self.root, name)
        if not os.path.exists(path) or os.path.getsize(path) == 0:
            return []
        with open(path) as file:
            return json.load(file)

    def images(self):
        return self.json("overlay-images/images.json")

    def layers(self):
        return self.json("overlay-layers/layers.json")

    def diff(self, layer):
        return "%s/overlay/%s/diff" % (self.root, layer)

    def tar_split(self, layer):
        return "%s/overlay-layers/%s.tar-split.gz" % (self.root, layer)

    def chain(self, image):
        """Layer records of an image id, base first."""
        by_id = {l["id"]: l for l in self.layers()}
        record = next(i for i in self.images() if i["id"] == image)
        found, layer = [], record.get("layer")
        while layer:
            found.append(by_id[layer])
            layer = by_id[layer].get("parent")
        return found[::-1]

    def staging(self):
        """The staging directories: one of each store process that lives."""
        own = self.root + "/bulkhead"
        if not os.path.isdir(own):
            return []
        return sorted(e.name for e in os.scandir(own)
                      if e.is_dir(follow_symlinks=False) and e.name != "summaries")

    def staged(self):
        """What lies in them of pulls."""
        found = []
        for name in self.staging():
            for folder, names, files in os.walk("%s/bulkhead/%s" % (self.root, name)):
                found += [os.path.join(folder, n) for n in names + files
                          if n not in ("trash", "journal")]
        return found

    def strays(self):
        """Nodes of the graph root that no record refers to."""
        layers = {l["id"] for l in self.layers()}
        images = {i["id"] for i in self.images()}
        found = []
        for entry in self.listing("overlay"):
            if len(entry) == 64 and entry not in layers:
                found.append("overlay/" + entry)
        for entry in self.listing("overlay/l"):
            target = os.readlink("%s/overlay/l/%s" % (self.root, entry)).split("/")
            if len(target) > 1 and target[1] not in layers:
                found.append("overlay/l/" + entry)
        for entry in self.listing("overlay-layers"):
            if len(entry) >= 64 and entry[:64] not in layers or ".tmp-" in entry:
                found.append("overlay-layers/" + entry)
        for entry in self.listing("overlay-images"):
            if len(entry) == 64 and entry not in images or ".tmp-" in entry:
                found.append("overlay-images/" + entry)
        return found

    def listing(self, name):
        path = "%s/%s" % (self.root, name)
        return sorted(os.listdir(path)) if os.path.isdir(path) else []

    def snapshot(self):
        """Everything but lock files, feature caches and bulkhead's own directory."""
        found = {}
        for folder, names, files in os.walk(self.root):
            inside = os.path.relpath(folder, self.root)
            if inside == ".":
                names[:] = [n for n in names if n not in ("bulkhead", "libpod", "tmp")]
            for name in names + files:
                path = os.path.join(folder, name)
                if name.endswith(".lock") or name in ("defaultNetworkBackend", "db.sql"):
                    continue
                st = os.lstat(path)
                value = (oct(st.st_mode), st.st_uid, st.st_gid, st.st_ino)
                if stat.S_ISREG(st.st_mode):
                    value += (st.st_size, st.st_mtime_ns)
                found[os.path.relpath(path, self.root)] = value
        return found


def tree(root):
    """path -> what is compared of one extracted tree. Hard links appear as the smallest path."""
    found, links = {}, {}
    base = os.fsencode(root)
    for folder, names, files in os.walk(base):
        for name in [b""] if folder == base else []:
            found[b"."] = describe(base, links, b".")
        for name in names + files:
            path = os.path.join(folder, name)
            found[os.path.relpath(path, base)] = describe(path, links, os.path.relpath(path, base))
    for group in links.values():
        for path in group:
            found[path]["links"] = min(group)
    return found


def describe(path, links, key):
    st = os.lstat(path)
    kind = stat.S_IFMT(st.st_mode)
    facts = {"type": oct(kind), "mode": oct(stat.S_IMODE(st.st_mode)), "owner":
             (st.st_uid, st.st_gid), "mtime": st.st_mtime_ns}
    names = os.listxattr(path, follow_symlinks=False)
    facts["xattrs"] = {n: os.getxattr(path, n, follow_symlinks=False) for n in sorted(names)}
    if kind == stat.S_IFREG:
        facts["size"] = st.st_size
        with open(path, "rb") as file:
            digest = hashlib.sha256()
            for piece in iter(lambda: file.read(1 << 20), b""):
                digest.update(piece)
        facts["content"] = digest.hexdigest()
    elif kind == stat.S_IFLNK:
        facts["target"] = os.readlink(path)
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        facts["device"] = st.st_rdev
    if kind != stat.S_IFDIR and st.st_nlink > 1:
        links.setdefault((st.st_dev, st.st_ino), []).append(key)
    return facts


def kept_xattrs(xattrs):
    """Without what design section 7 drops; opaque markers of the driver itself stay."""
    return {n: v for n, v in xattrs.items() if n == "trusted.overlay.opaque" or
            not n.startswith(DROPPED + ("trusted.",)) and
            (not n.startswith("security.") or n == "security.capability")}


def compare_trees(theirs, ours, implied=(), drop_devices=True):
    """A list of differences between two results of tree(); implied: paths (bytes) of directories
    that no entry of the tar named, and of which the mtime is not compared."""
    found = []
    for path in sorted(set(theirs) | set(ours)):
        one, two = theirs.get(path), ours.get(path)
        if drop_devices and two is None and "device" in one and one["device"] != 0:
            continue
        if one is None or two is None:
            found.append("%r: only %s has it" % (path, "ours" if one is None else "theirs"))
            continue
        whiteout = one.get("device") == 0
        for fact in sorted(set(one) | set(two)):
            a, b = one.get(fact), two.get(fact)
            if fact == "mtime" and (path == b"." or path in implied or whiteout):
                continue
            if fact == "xattrs":
                a, b = kept_xattrs(a), kept_xattrs(b)
            if a != b:
                found.append("%r: %s is %r, not %r" % (path, fact, b, a))
    return found


def tar_split_items(path):
    """The content of a tar-split file in one form: segments joined, files as (name, size, crc)."""
    items = []
    with gzip.open(path, "rb") as file:
        pieces = b""
        for line in file:
            entry = json.loads(line)
            if entry["type"] == 2:
                pieces += base64.b64decode(entry["payload"])
            else:
                if pieces:
                    items.append(("segment", hashlib.sha256(pieces).hexdigest(), len(pieces)))
                    pieces = b""
                name = entry.get("name") or entry.get("name_raw")
                items.append(("file", name, entry.get("size", 0), entry.get("payload")))
        if pieces:
            items.append(("segment", hashlib.sha256(pieces).hexdigest(), len(pieces)))
    return items


def reassembled(store, layer):
    """The digest of the layer's tar as Debian's tar-split program puts it together."""
    process = subprocess.Popen(["tar-split", "asm", "--input", store.tar_split(layer), "--path",
                                store.diff(layer), "--output", "-"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    digest = hashlib.sha256()
    for piece in iter(lambda: process.stdout.read(1 << 20), b""):
        digest.update(piece)
    err = process.stderr.read().decode(errors="replace")
    if process.wait() != 0:
        return "tar-split failed: " + err
    return "sha256:" + digest.hexdigest()

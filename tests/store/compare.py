"""Compares the records and files of two stores: compare.py OURS THEIRS. What has to differ: times,
short links, our proof of access, and what old containers/image writes for an unsigned image."""
import json, os, sys

def load(root):
    layers = json.load(open(root + "/overlay-layers/layers.json"))
    images = json.load(open(root + "/overlay-images/images.json"))
    for l in layers:
        l.pop("created"), l.pop("flags", None)
    for i in images:
        i.pop("metadata"), i.pop("flags", None)
        i["big-data-names"] = [n for n in i["big-data-names"] if not n.startswith("signature-")]
        for m in ("big-data-sizes", "big-data-digests"):
            i[m] = {k: v for k, v in i[m].items() if not k.startswith("signature-")}
    files = []
    for top in ("overlay", "overlay-layers", "overlay-images"):
        for d, dirs, names in os.walk(f"{root}/{top}"):
            if "/diff" in d or d.endswith("/l"):
                continue
            for n in dirs + names:
                if n.startswith("=c2lnbmF0dXJl") or n.endswith(".lock"):
                    continue
                st = os.lstat(f"{d}/{n}")
                size = st.st_size if "=" in n or n in ("link", "lower", "manifest") else 0
                files.append((d[len(root):], n, oct(st.st_mode), st.st_uid, st.st_gid, size))
    return layers, images, sorted(files)

a, b = load(sys.argv[1]), load(sys.argv[2])
for x, y in zip(a, b):
    if x != y:
        print(f"differs:\n{x}\n{y}")
        sys.exit(1)
print("same")

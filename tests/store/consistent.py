"""Whether records and files of a store agree: consistent.py G. Layers without an image are fine."""
import json, os, re, sys

g = sys.argv[1]


def load(path):
    try:
        with open(f"{g}/{path}") as f:
            return json.load(f)
    except FileNotFoundError:
        return []


wrong = []
layers = {l["id"]: l for l in load("overlay-layers/layers.json")}
images = {i["id"]: i for i in load("overlay-images/images.json")}
ids = re.compile("[0-9a-f]{64}")
dirs = {d for d in os.listdir(g + "/overlay") if ids.fullmatch(d)}
wrong += [f"layer directory without record {d}" for d in dirs - layers.keys()]
wrong += [f"record without directory {d}" for d in layers.keys() - dirs]
for n in os.listdir(g + "/overlay/l"):
    target = os.readlink(f"{g}/overlay/l/{n}").split("/")[1]
    if target not in dirs or open(f"{g}/overlay/{target}/link").read() != n:
        wrong.append(f"link {n}")
for d in dirs:
    if not os.path.exists(f"{g}/overlay-layers/{d}.tar-split.gz"):
        wrong.append(f"no tar-split {d}")
    if layers[d].get("parent") and layers[d]["parent"] not in layers:
        wrong.append(f"no parent of {d}")
    if layers[d].get("flags", {}).get("incomplete"):
        wrong.append(f"incomplete {d}")
wrong += [f"image directory without record {d}" for d in os.listdir(g + "/overlay-images")
          if ids.fullmatch(d) and d not in images]
for i in images.values():
    if i["layer"] not in layers:
        wrong.append(f"no top layer of {i['id']}")
    sizes = sorted(os.path.getsize(f"{g}/overlay-images/{i['id']}/{f}")
                   for f in os.listdir(f"{g}/overlay-images/{i['id']}"))
    if sizes != sorted(i["big-data-sizes"].values()):
        wrong.append(f"big data of {i['id']}")
print("\n".join(wrong) or "ok")

"""An OCI layout of N small layers, with each layer's plain tar beside it: mkimage.py OUT N TAG."""
import gzip, hashlib, io, json, os, sys, tarfile

out, count, tag = sys.argv[1], int(sys.argv[2]), sys.argv[3]
os.makedirs(out + "/blobs/sha256", exist_ok=True)


def put(data, media, **more):
    digest = hashlib.sha256(data).hexdigest()
    with open(f"{out}/blobs/sha256/{digest}", "wb") as f:
        f.write(data)
    return {"mediaType": media, "digest": "sha256:" + digest, "size": len(data), **more}


def layer(i):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as t:
        d = tarfile.TarInfo(f"etc{i}")
        d.type, d.mode, d.uid, d.gid = tarfile.DIRTYPE, 0o755, i * 1000, i * 100
        t.addfile(d)
        text = f"layer {i}{tag if i else ''}\n".encode()
        f = tarfile.TarInfo(f"etc{i}/f")
        f.size, f.mode = len(text), 0o644
        t.addfile(f, io.BytesIO(text))
    return data.getvalue()


oci = "application/vnd.oci.image."
layers, diffs, facts = [], [], []
for i in range(count):
    raw = layer(i)
    blob = gzip.compress(raw, mtime=0) if i % 2 == 0 else raw
    layers.append(put(blob, oci + "layer.v1.tar" + ("+gzip" if i % 2 == 0 else "")))
    diffs.append("sha256:" + hashlib.sha256(raw).hexdigest())
    with open(f"{out}/layer{i}.tar", "wb") as f:
        f.write(raw)
    facts.append(f"layer {diffs[i][7:]} {layers[i]['digest'][7:]} {len(blob)} {len(raw)} "
                 f"{2 if i % 2 == 0 else 0} {i * 1000} {i * 100}")
platform = {"architecture": "amd64", "os": "linux"}
config = put(json.dumps({**platform, "created": "2024-01-02T03:04:05.123456789Z",
             "config": {"Cmd": ["/x"], "Env": ["A=<&>"]},
             "rootfs": {"type": "layers", "diff_ids": diffs}}).encode(), oci + "config.v1+json")
manifest = put(json.dumps({"schemaVersion": 2, "mediaType": oci + "manifest.v1+json",
               "config": config, "layers": layers}).encode(), oci + "manifest.v1+json")
index = put(json.dumps({"schemaVersion": 2, "mediaType": oci + "index.v1+json",
            "manifests": [{**manifest, "platform": platform}]}).encode(), oci + "index.v1+json")
ref = "org.opencontainers.image.ref.name"
with open(out + "/index.json", "w") as f:
    json.dump({"schemaVersion": 2, "manifests": [
        {**manifest, "platform": platform, "annotations": {ref: "m"}},
        {**index, "annotations": {ref: "l"}}]}, f)
with open(out + "/oci-layout", "w") as f:
    f.write('{"imageLayoutVersion":"1.0.0"}')
with open(out + "/facts", "w") as f:
    f.write("\n".join([f"config {config['digest'][7:]}", f"manifest {manifest['digest'][7:]}",
                       f"list {index['digest'][7:]}"] + facts) + "\n")

"""The command over the control socket: the same answers as embedded, ps, pulls that are joined."""
import json
import os
import re
import socket
import time

from harness import test
from node import Node
from test_cri import plain
from test_cri_pull import until


def both(t, node, *args, expect=0):
    """The same stdout and exit code from the daemon and embedded."""
    ours = node.command(*args, expect=expect)
    alone = t.bulkhead(node.store, *args, config=node.config, expect=expect)
    t.eq(ours.out, alone.out, " ".join(args))
    t.eq(ours.code, alone.code, "exit code of " + " ".join(args))
    return ours


@test
def same_output_as_embedded(t):
    real, node = t.real(), Node(t)
    refs = [real.push(t.image(n), "same/" + n) for n in ("tiny", "docker", "index")]
    t.eq(node.command("pull", "--tls-verify=false", *refs).out.split(),
         [t.image("tiny").id, t.image("docker").id, t.image("index").images[1].id], "pull")
    ident = t.image("docker").id
    for args in (("images",), ("images", "--digests"), ("images", "-q", "--no-trunc"),
                 ("images", "--format", "json"), ("images", "--filter", "reference=*docker*"),
                 ("inspect", refs[0]), ("inspect", ident[:12]), ("inspect", "sha256:" + ident),
                 ("version",), ("version", "--format", "json"),
                 ("check",), ("check", "--format", "json"),
                 ("can-pull", "--tls-verify=false", refs[1]),
                 ("inspect", "--remote", "--tls-verify=false", refs[1]),
                 ("pull", "-q", "--tls-verify=false", refs[1]),
                 ("pull", "-q", "--policy", "never", refs[2])):
        both(t, node, *args)
    for args, code in ((("inspect", "example.com/absent:1"), 1), (("rmi", "example.com/absent"), 1),
                       (("untag", refs[0], "example.com/absent"), 1), (("nonsense",), 64),
                       (("pull", "--policy", "never", "example.com/absent:1"), 1),
                       (("can-pull", "--tls-verify=false", refs[1] + "x"), 1),
                       (("tag", "example.com/absent", "x"), 1), (("pull", "Bad/Name"), 64),
                       (("rmi", ident[:12]), None)):
        if code is None:
            continue
        both(t, node, *args, expect=code)
    numbers = [re.sub(r"\d+", "N", x.out) for x in (
        node.command("fsinfo"), t.bulkhead(node.store, "fsinfo", config=node.config))]
    t.eq(numbers[0], numbers[1], "fsinfo but for its numbers")
    for room in ("conf", "frontend", "dial", "fetch", "hash", "store", "apply"):
        t.has(node.command("status").out, room, "status")


@test
def changing_commands(t):
    real, node = t.real(), Node(t)
    client, image = node.client(), plain("change")
    ref = real.push(image, "change/it")
    node.command("pull", "-q", ref)
    node.command("tag", ref, "example.com/a:1", "short")
    t.eq(sorted(client.status(ref).repo_tags),
         sorted([ref, "example.com/a:1", "docker.io/library/short:latest"]), "the CRI sees tags")
    node.command("untag", ref, "short")
    node.command("untag", ref, "short", expect=1)
    node.command("rmi", ref)
    t.eq(client.status(image.id).id, image.id, "a name less, the image stays")
    node.command("rmi", "example.com/a:1")
    t.eq((client.list(), node.store.images(), node.store.strays()), ([], [], []), "gone")
    node.command("pull", "-q", ref)
    node.command("rmi", "-a", "-f")
    t.eq(client.list(), [], "rmi -a")


@test
def ps_and_joining(t):
    """ps tells stage, bytes, endpoint; a second pull joins and shows the progress."""
    server, node, image = t.scripted(), Node(t), t.image("three")
    ref = server.add(image, "ps/three")
    server.rate = 15000
    t.eq(json.loads(node.command("ps", "--format", "json").out), [], "nothing yet")
    client = node.client()
    pull = client.begin_pull(ref, namespace="kube-test")
    until(t, "a blob's request", server.blobs_asked)

    def rows():
        return json.loads(node.command("ps", "--format", "json").out)
    until(t, "bytes", lambda: rows()[0]["Bytes"])
    t.eq([row["Waiters"] for row in rows()], [1], "who waits")
    text = node.command("ps").out
    for part in (ref, server.host, "kube-test"):
        t.has(text, part, "ps")
    joiner = t.start(node.argv("pull", "--tls-verify=false", "--progress", "json", ref))
    other = node.client().begin_pull(ref, namespace="kube-test")
    until(t, "both that join", lambda: sum(row["Waiters"] for row in rows()) == 3)
    server.rate = None
    result = t.finish(joiner)
    t.eq((result.code, result.out.strip()), (0, image.id), "the command's pull")
    t.ok(len(result.err.splitlines()) >= 1, "its progress", result)
    t.eq((pull.result().image_ref, other.result().image_ref), (image.id,) * 2, "the calls")
    until(t, "an empty ps", lambda: node.command("ps", "--format", "json").out.strip() == "[]")


@test
def equal_commands_share(t):
    """Ten `bulkhead pull` of one image: each blob is asked for once."""
    server, node, image = t.scripted(), Node(t), t.image("three")
    ref = server.add(image, "share/three")
    server.on("/manifests/", lambda s, r, a: time.sleep(1.5) or a, times=1)
    jobs = [t.start(node.argv("pull", "-q", "--tls-verify=false", ref)) for _ in range(10)]
    t.eq([t.finish(j, 60).out.strip() for j in jobs], [image.id] * 10, "ids")
    blobs = [r.path for r in server.asked("/blobs/")]
    t.eq(sorted(blobs), sorted(set(blobs)), "requests of blobs")


@test
def ctrl_c_of_one(t):
    """The command goes, its pull ends unless another waits; the daemon stays."""
    server, node, image = t.scripted(), Node(t), t.image("three")
    ref = server.add(image, "ctrlc/three")
    server.rate = 20000
    job = t.start(node.argv("pull", "--tls-verify=false", "--progress", "none", ref))
    until(t, "a blob's request", server.blobs_asked)
    job.send_signal(2)
    t.ok(t.finish(job, 20).code != 0, "exit code")
    node.nothing_left(20)
    t.eq(node.client().list(), [], "the daemon serves")


@test
def no_daemon_is_said(t):
    result = t.run([t.session.bin + "/bulkhead", "--socket", t.folder + "/none", "images"],
                   expect=None)
    t.ok(result.code not in (0, None) and t.folder + "/none" in result.err, result)
    t.eq(result.err.strip().count("\n"), 0, "one line")


@test
def nonsense_at_the_control_socket(t):
    """Garbage, other schemas, floods, 100 silent clients: the others are served."""
    node = Node(t)
    client = node.client()
    for data in (b"", b"\0", b"\xff" * 60000, os.urandom(500), b"\x93\xcc\xc9\x81"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.settimeout(30)
            sock.connect(node.control)
            try:
                if data:
                    for _ in range(100):
                        sock.send(data)
                while sock.recv(65536) if data else False:
                    pass
            except OSError:
                pass
    silent = []
    for _ in range(100):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.settimeout(1)
        try:
            sock.connect(node.control)
            silent.append(sock)
        except OSError:
            break
    t.eq(client.list(), [], "the CRI socket")
    for sock in silent:
        sock.close()
    until(t, "the command again", lambda: node.command("images", expect=None).code == 0)


@test
def metrics(t):
    real, node = t.real(), Node(t)
    client, image = node.client(), plain("metrics")
    client.pull(real.push(image, "metrics/one"))
    client.list()
    refused = client.begin_pull(real.host + "/metrics/none:1")
    t.ok(refused.exception() is not None, "absent")
    text = node.metrics_text()
    for line in text.splitlines():
        t.ok(re.fullmatch(r'# (HELP|TYPE) \S+ .*|[a-z_]+(\{([a-z_]+="[^"]*",?)*\})? [0-9.e+naif]+',
                          line, re.I), "not Prometheus' form:", line)
    names = {l.split("{")[0].split(" ")[0] for l in text.splitlines() if not l.startswith("#")}
    for name in ("image_pulls_success_total", "image_pulls_failure_total",
                 "image_pulls_bytes_total"):
        t.ok(any(n.endswith(name) for n in names), name, "is missing in", sorted(names))
    t.ok(any(float(l.rsplit(" ", 1)[1]) >= 1 for l in text.splitlines()
             if "pulls_success_total" in l and not l.startswith("#")), "pulls counted")
    status = node.metrics_text()
    t.ok(status, "again")

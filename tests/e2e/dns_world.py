#!/usr/bin/python3
"""Runs pulls in a network and mount namespace of its own, with its own resolver files and DNS
server: dns_world.py FOLDER BULKHEAD... Prints [name, exit code, seconds, stderr] of each as JSON."""
import json
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)) + "/../lib")
import dns  # noqa: E402
import mkimage  # noqa: E402
import registry  # noqa: E402
from tarmake import Tar  # noqa: E402

V4, V6 = "10.7.0.1", "fd00:7::1"
TABLE = {
    "a.test": [("A", V4)], "aaaa.test": [("AAAA", V6)], "cname.test": [("CNAME", "a.test")],
    "both.test": [("A", V4), ("AAAA", V6)], "reg.corp.test": [("A", V4)],
    "tc.test": "truncated", "tc.test/tcp": [("A", V4)], "dead-first.test": [
        ("AAAA", "fd00:7::99"), ("A", V4)], "servfail.test": "servfail", "silent.test": "silent",
    "other.test2": "other", "many.test": "many", "loop.test": [("CNAME", "loop.test")],
    "metadata.test": [("A", "169.254.169.254")],
}


def prepare(folder):
    for command in ("ip link set lo up", "ip addr add %s/32 dev lo" % V4,
                    "ip -6 addr add %s/128 dev lo nodad" % V6):
        subprocess.run(command.split(), check=True)
    for name, text in (("resolv.conf", "nameserver 127.0.0.1\nsearch corp.test\n"
                        "options timeout:2 attempts:2\n"),
                       ("hosts", "127.0.0.1 localhost\n::1 localhost\n%s hosts.test\n" % V4)):
        with open("%s/%s" % (folder, name), "w") as file:
            file.write(text)
        subprocess.run(["mount", "--bind", "%s/%s" % (folder, name),
                        os.path.realpath("/etc/" + name)], check=True)


def main():
    folder, command = sys.argv[1], sys.argv[2:]
    prepare(folder)
    dns.Server(TABLE)
    image = mkimage.Image([mkimage.layer(Tar().add("f", b"f"))])
    servers = [registry.Scripted(host=V4, port=5000), registry.Scripted(host=V6, port=5000),
               registry.Scripted(host="127.0.0.1", port=5000)]
    for server in servers:
        server.add(image, "dns/x")
    results = []
    for name in ("[%s]" % V6, "a.test", "aaaa.test", "cname.test", "both.test", "reg", "tc.test", "localhost",
                 "hosts.test", "dead-first.test", "servfail.test", "silent.test", "nx.test",
                 "other.test2", "many.test", "loop.test", "metadata.test"):
        for part in ("root", "run"):
            shutil.rmtree("%s/%s" % (folder, part), ignore_errors=True)
            os.mkdir("%s/%s" % (folder, part), 0o700)
        begun = time.monotonic()
        done = subprocess.run(command + ["--root", folder + "/root", "--runroot", folder + "/run",
                                         "pull", "--tls-verify=false", "-q", name + ":5000/dns/x"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=60)
        results.append([name, done.returncode, time.monotonic() - begun, done.stderr])
    print(json.dumps(results))


main()

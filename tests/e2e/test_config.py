"""bulkheadd config, drop-ins, and what is packaged for systemd."""
import os
import re
import shutil
import subprocess

from harness import Failure, test

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PACKAGING = TOP + "/packaging"
EXPOSURE = 5.0  # of 10; the capabilities that rooms are built with keep it from 0


def config(t, *args, **options):
    return t.run([t.session.bin + "/bulkheadd", "config", *args], **options)


def plain(t, name, text):
    """A file of the test's own: nothing from the machine's configuration matters."""
    storage = t.write("storage.conf", '[storage]\ndriver = "overlay"\ngraphroot = "/st/g"\n'
                      'runroot = "/st/r"\n')
    return t.write(name, 'storage_conf = "%s"\n%s' % (storage, text))


def dropin(t, main, name, text):
    folder = main[:-len(".toml")] + ".conf.d"
    os.makedirs(folder, 0o755, exist_ok=True)
    with open("%s/%s" % (folder, name), "w") as file:
        file.write(text)
    return file.name


def effective(t, main, *args):
    """{key: (value as TOML, source)}"""
    out = config(t, "--config", main, *args, "--effective").out
    rows = [re.match(r"(\S+) = (.*)  # (.*)$", l) for l in out.splitlines() if l[0] != "#"]
    t.ok(all(rows), out)
    return {m.group(1): (m.group(2), m.group(3)) for m in rows}


def documented():
    with open(PACKAGING + "/bulkhead.toml") as file:
        return re.findall(r"^#(\w+) = (.*)$", file.read(), re.M)


@test
def default_is_the_packaged_file(t):
    out = config(t, "--default").out
    with open(PACKAGING + "/bulkhead.toml") as file:
        t.eq(out, file.read(), "packaging/bulkhead.toml; make it with bulkheadd config --default")
    path = t.write("d.toml", out)
    t.eq(config(t, "--validate", path).out, "valid: %s\n" % path, "as it is")
    bare = plain(t, "e.toml", "")
    rows = effective(t, bare)
    for key, value in documented():
        if key in ("root", "runroot"):
            t.eq(rows[key], ('"/st/%s"' % ("g" if key == "root" else "r"),
                             t.folder + "/storage.conf"), key)
        elif key != "storage_conf":
            t.eq(rows[key], (value, "default"), key)
    t.eq(list(rows), [k for k, _ in documented()], "every key is there")


@test
def default_uncommented_is_the_default(t):
    """Every line of the default, in force, changes nothing."""
    text = "".join("%s = %s\n" % row for row in documented() if row[0] != "storage_conf")
    main = plain(t, "d.toml", text)
    rows = effective(t, main)
    for key, value in documented():
        if key != "storage_conf":
            t.eq(rows[key], (value, main), key)


@test
def dropins_merge_in_order(t):
    main = plain(t, "m.toml", 'log_level = "error"\nmax_parallel_pulls = 1\n'
                 'insecure_registries = ["a.b", "c.d"]\n')
    first = dropin(t, main, "10-a.toml", 'max_parallel_pulls = 2\npolicy = "/p"\n')
    second = dropin(t, main, "9-z.toml",
                    'max_parallel_pulls = 3\ninsecure_registries = ["e.f:5"]\nroot = "/r"\n')
    dropin(t, main, "20-b.toml.off", "nonsense")
    dropin(t, main, ".30.toml", "nonsense")
    rows = effective(t, main, "--cert-dir", "/certs")
    t.eq(rows["log_level"], ('"error"', main), "main")
    t.eq(rows["policy"], ('"/p"', first), "first")
    t.eq(rows["max_parallel_pulls"], ("3", second), "by bytes, 9 comes after 10")
    t.eq(rows["insecure_registries"], ('["e.f:5"]', second), "lists replace")
    t.eq(rows["root"], ('"/r"', second), "before storage.conf")
    t.eq(rows["runroot"], ('"/st/r"', t.folder + "/storage.conf"), "storage.conf")
    t.eq(rows["cert_dir"], ('"/certs"', "command line"), "command line")
    valid = config(t, "--validate", main)
    t.has(valid.out, "valid: %s and 2 of %s.conf.d" % (main, main[:-5]), "validate")
    # What is printed is a configuration that says the same.
    text = config(t, "--config", main, "--effective").out
    again = t.write("again.toml", text)
    t.eq([v for v, _ in effective(t, again).values()],
         [v for v, _ in effective(t, main).values()], "read back")


@test
def refusals_name_file_line_and_key(t):
    main = plain(t, "m.toml", "max_parallel_pulls = 1\n")
    for text, wanted in (
            ('\nlog_levl = "info"\n', ':2: unknown key "log_levl"'),
            ("\n\nmax_parallel_pulls = \"2\"\n", ":3: max_parallel_pulls is not an integer"),
            ("max_parallel_pulls = 13\n",
             ":1: max_parallel_pulls = 13 is not within 1 .. 12"),
            ('listen = "relative"\n', ":1: listen = "),
            ('pull_progress_timeout = "soon"\n', ":1: pull_progress_timeout = "),
            ('pinned_images = ["a*b"]\n', ":1: pinned_images: "),
            ("[daemon]\n", ':1: unknown key "daemon"'),
            ("log_level\n", ":1: no TOML"),
            ('allow_degraded = ["everything"]\n', "allow_degraded: the value"),
            ('authfile = "/no/such"\n', "/no/such: no such file"),
            ('metrics_socket = "/run/bulkhead/bulkhead.sock"\n', "same socket as listen")):
        path = dropin(t, main, "50.toml", text)
        for how in (("--validate", main), ("--config", main, "--effective")):
            result = config(t, *how, expect=64)
            t.has(result.err, wanted, text)
            t.eq((len(result.err.splitlines()), result.out), (1, ""), "one line")
            if wanted[0] == ":":
                t.has(result.err, path + wanted[:2], "the file")
    # The command, which reads the same files, refuses as well.
    result = t.bulkhead(t.store(), "images", config=main, expect=64)
    t.has(result.err, "same socket", "command")


@test
def refuses_files_of_others(t):
    main = plain(t, "m.toml", "")
    path = dropin(t, main, "50.toml", 'log_level = "debug"\n')
    t.eq(effective(t, main)["log_level"][1], path, "taken")

    def refused(wanted):
        t.has(config(t, "--config", main, "--effective", expect=64).err, wanted, wanted)
    os.chmod(path, 0o664)
    refused("can be written by others")
    os.chmod(path, 0o640)
    os.chown(path, 12345, 0)
    refused("belongs to user 12345")
    os.unlink(path)
    os.symlink(main, path)
    refused("symbolic link")
    os.unlink(path)
    os.mkfifo(path, 0o600)
    refused("no regular file")
    os.unlink(path)
    os.chmod(os.path.dirname(path), 0o777)
    refused("can be written by others")
    os.chmod(os.path.dirname(path), 0o755)
    os.chown(main, 12345, 0)
    refused("belongs to user 12345")


@test
def number_of_files(t):
    main = plain(t, "m.toml", "")
    for i in range(32):
        last = dropin(t, main, "%02d.toml" % i, "max_layer_bytes = %d\n" % (i + 1))
    t.eq(effective(t, main)["max_layer_bytes"], ("32", last), "32 files")
    dropin(t, main, "more.toml", "")
    t.has(config(t, "--validate", main, expect=64).err, "more than 32 files", "33 files")


@test
def warnings(t):
    auth = t.write("auth.json", {"auths": {}})
    os.chmod(auth, 0o644)
    main = plain(t, "m.toml",
                 'policy = "/no/policy.json"\nauthfile = "%s"\ncert_dir = "/no/certs"\n'
                 'insecure_registries = ["a.b"]\nallow_degraded = ["seccomp"]\n'
                 'pinned_images = ["*"]\nmax_parallel_pulls_per_namespace = 9\n'
                 'max_parallel_layers_per_pull = 9\ndurability = "none"\n' % auth)
    result = config(t, "--validate", main)
    for key in ("policy", "authfile", "cert_dir", "insecure_registries", "allow_degraded",
                "pinned_images", "max_parallel_pulls_per_namespace", "max_parallel_layers_per_pull",
                "durability"):
        t.has(result.err, "warning: %s: %s: " % (main, key), key)
    t.eq(len(result.err.splitlines()), 9, result.err)
    os.chmod(auth, 0o600)
    main = plain(t, "n.toml", 'policy = "%s"\nauthfile = "%s"\n' % (t.session.policy, auth))
    t.eq(config(t, "--validate", main).err, "", "nothing to say")
    for text, line in (("{}", 'no "default"'), ('{"default":\n [}', "line 2")):
        broken = t.write("policy.json", text)
        main = plain(t, "p.toml", 'policy = "%s"\n' % broken)
        result = config(t, "--validate", main, expect=3)
        t.has(result.err, "bulkhead: signature policy %s: " % broken, "which file")
        t.has(result.err, line, "what is wrong with it")
        t.eq(result.out, "", "it is not called valid")


@test
def usage_of_config(t):
    for args in ((), ("--nonsense",), ("--default", "--effective"), ("--effective", "word"),
                 ("--config", "relative", "--effective"), ("--validate", "/no/such/file.toml"),
                 ("--listen", "/" + "x" * 107, "--effective"), ["--default"] * 40):
        t.ok(config(t, *args, expect=64).err, "%s: says something" % (args,))


@test(needs=("setpriv",))
def needs_root(t):
    shutil.copy(t.session.bin + "/bulkheadd", t.folder + "/bulkheadd")
    argv = ["setpriv", "--reuid=12345", "--clear-groups", t.folder + "/bulkheadd", "config"]
    t.has(t.run(argv + ["--validate"], expect=64).err, "needs root", "validate")
    t.has(t.run(argv + ["--default"]).out, "#root = ", "default needs none")


@test(peers=True)
def manual_has_every_key(t):
    with open(PACKAGING + "/man/bulkhead.toml.5") as file:
        manual = re.findall(r"^\\fB(\w+)\\fR = (.*)$", file.read(), re.M)
    t.eq(sorted(manual), sorted(documented()), "keys and defaults of bulkhead.toml(5)")
    with open(PACKAGING + "/man/bulkheadd.8") as file:
        page = file.read()
    with open(TOP + "/supervisor/settings_options.c") as file:
        options = re.findall(r'^\s+\{"([a-z-]+)", (?:required|no)_argument', file.read(), re.M)
    t.ok(len(options) > 8, options)
    for option in options:
        t.ok(re.search(r"^\.BI? \\-\\-%s\b" % option.replace("-", r"\\-"), page, re.M), option)


def units(t):
    """The units as they would be installed, with a program that exists."""
    folder = t.folder + "/units"
    os.mkdir(folder)
    for name in os.listdir(PACKAGING + "/systemd"):
        with open("%s/systemd/%s" % (PACKAGING, name)) as file:
            text = file.read().replace("@BINDIR@", t.session.bin)
        with open("%s/%s" % (folder, name.removesuffix(".in")), "w") as file:
            file.write(text)
    return folder


@test(needs=("systemd-analyze",))
def units_are_valid(t):
    folder = units(t)
    names = ["%s/%s" % (folder, n) for n in sorted(os.listdir(folder))]
    t.eq(len(names), 3, names)
    result = t.run(["systemd-analyze", "verify", "--man=no", *names],
                   env={"SYSTEMD_UNIT_PATH": folder + ":"})
    t.eq(result.err, "", "verify")
    # It would say so.
    with open(folder + "/bulkhead.service", "a") as file:
        file.write("[Service]\nProtectEverything=yes\n")
    result = t.run(["systemd-analyze", "verify", "--man=no", *names], expect=None,
                   env={"SYSTEMD_UNIT_PATH": folder + ":"})
    t.has(result.err, "ProtectEverything", "verify of a wrong unit")


@test(needs=("systemd-analyze",))
def units_are_confined(t):
    out = t.run(["systemd-analyze", "security", "--offline=yes", "--no-pager",
                 units(t) + "/bulkhead.service"]).out
    level = re.search(r"exposure level for \S+: ([\d.]+)", out)
    t.ok(level and float(level.group(1)) < EXPOSURE, out[-2000:])


@test(peers=True)
def unit_leaves_what_the_supervisor_needs(t):
    """The bounding set is the supervisor's row of the privilege table, no more and no less."""
    with open(PACKAGING + "/systemd/bulkhead.service.in") as file:
        unit = file.read()
    with open(TOP + "/policy/sandbox/profiles.def") as file:
        row = re.search(r"^PROFILE\(supervisor,.*?^\)", file.read(), re.M | re.S).group(0)
    wanted = {"CAP_" + c for c in re.findall(r"\bCAP\((\w+),", row)}
    given = re.search(r"^CapabilityBoundingSet=(.*)$", unit, re.M).group(1).split()
    t.eq(set(given), wanted, "CapabilityBoundingSet")
    for line in ("Type=notify", "WatchdogSec=", "Restart=on-failure", "KillMode=mixed",
                 "ExecReload=/bin/kill -HUP $MAINPID", "Before=kubelet.service",
                 "OOMScoreAdjust=-999", "NoNewPrivileges=yes"):
        t.has(unit, "\n" + line, "unit")
    t.ok("RestrictSUIDSGID=" not in unit, "systemd takes openat2 away with it")


@test(needs=("cmake",))
def installed_where_it_is_looked_for(t):
    build = os.path.dirname(t.session.bin)
    if not os.path.exists(build + "/cmake_install.cmake"):
        raise Failure("%s is no build tree" % build)
    prefix = t.folder + "/usr"
    subprocess.run(["cmake", "--install", build, "--prefix", prefix], check=True,
                   stdout=subprocess.DEVNULL)
    for name in ("lib/systemd/system/bulkhead.socket", "lib/systemd/system/bulkhead-control.socket",
                 "share/man/man8/bulkheadd.8", "share/man/man5/bulkhead.toml.5",
                 "share/man/man1/bulkhead.1", "share/doc/bulkhead/bulkhead.toml",
                 "share/doc/bulkhead/crictl.yaml", "share/doc/bulkhead/kubernetes/README.md"):
        t.ok(os.path.exists("%s/%s" % (prefix, name)), name)
    with open(prefix + "/lib/systemd/system/bulkhead.service") as file:
        start = re.search(r"^ExecStart=(\S+)", file.read(), re.M).group(1)
    t.eq(start, prefix + "/bin/bulkheadd", "ExecStart")
    main = plain(t, "m.toml", "")
    t.eq(t.run([start, "config", "--validate", main]).out, "valid: %s\n" % main,
         "the installed one finds its rooms")


@test(peers=True)
def crictl_and_kubelet_files(t):
    with open(PACKAGING + "/crictl.yaml") as file:
        crictl = file.read()
    socket = dict(documented())["listen"].strip('"')
    t.has(crictl, "image-endpoint: unix://" + socket, "crictl.yaml")
    folder = PACKAGING + "/kubernetes"
    named = [n for n in os.listdir(folder) if n != "README.md"]
    t.ok(len(named) >= 2, named)
    with open(folder + "/README.md") as file:
        page = file.read()
    for name in named:
        t.has(page, name, "the page speaks of every file")
    with open(folder + "/10-bulkhead-kubelet.conf") as file:
        t.has(file.read(), "imageServiceEndpoint: unix://" + socket, "kubelet")

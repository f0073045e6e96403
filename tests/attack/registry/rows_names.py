"""G18: references. G19: lists. G21: signatures."""
from cases import ABSENT, NETWORK, OK, USAGE, absent, group, never_asked

D = "sha256:" + "0" * 64
add = group("G18")
for what, ref, code, says in (
        ("a tag with a path", "reg.evil.test/x:/../y", USAGE, ""),
        ("a tag of 129 characters", "reg.evil.test/x:" + "a" * 129, USAGE, ""),
        ("a tag that begins with a hyphen", "reg.evil.test/x:-rf", USAGE, ""),
        ("a tag with a query", "reg.evil.test/x:a?b", USAGE, ""),
        ("dots in the path", "reg.evil.test/../x", USAGE, ""),
        ("dots within the path", "reg.evil.test/a/../../x", USAGE, ""),
        ("an upper-case repository", "reg.evil.test/X", USAGE, ""),
        ("a repository of 256 characters", "reg.evil.test/" + "a" * 256, USAGE, ""),
        ("two slashes", "reg.evil.test//x", USAGE, ""), ("a slash at the end", "reg.evil.test/x/",
                                                         USAGE, ""),
        ("a scheme", "https://reg.evil.test/x", USAGE, ""),
        ("a user", "eve@reg.evil.test/x", USAGE, ""), ("a backslash", "reg.evil.test\\x/y", USAGE, ""),
        ("a line end", "reg.evil.test/x\n", USAGE, ""),
        ("an escape sequence", "reg.evil.test/\x1b[2Jx", USAGE, ""),
        ("a percent sign", "reg.evil.test/%2e%2e/x", USAGE, ""),
        ("a host that is no ASCII", "r\u0435g.evil.test/x", USAGE, ""),
        ("port 0", "reg.evil.test:0/x", USAGE, "port"),
        ("port 65536", "reg.evil.test:65536/x", USAGE, "port"),
        ("a port of letters", "reg.evil.test:x/y", USAGE, ""),
        ("a zone id", "[fe80::1234%lo]/x", USAGE, ""),
        ("brackets with nothing", "[]/x", USAGE, ""),
        ("a short digest", "reg.evil.test/x@sha256:00", USAGE, ""),
        ("a digest of another kind", "reg.evil.test/x@sha512:" + "0" * 128, USAGE, "sha256|digest"),
        ("two digests", "reg.evil.test/x@%s@%s" % (D, D), USAGE, ""),
        ("a host in punycode that nobody has", "xn--80ak6aa92e.test/x", NETWORK, "xn--80ak6aa92e"),
        ("an address in octal", "0251.0376.0251.0376/x", NETWORK, "plain address"),
        ("127.1", "127.1/x", NETWORK, "plain address"),
        ("the metadata service", "169.254.169.254/x", NETWORK, "never dialled"),
        ("the metadata service at a port", "169.254.169.254:80/x", NETWORK, "never dialled"),
        ("the metadata service over IPv6", "[fd00:ec2::254]/x", NETWORK, "never dialled"),
        ("the metadata service, mapped", "[::ffff:169.254.169.254]/x", USAGE, "no host"),
        ("a name of the metadata service", "meta.evil.test/x", NETWORK, "never dialled"),
        ("nothing", "", USAGE, "")):
    add("reference: " + what, None, code, says, ref=ref)
add("a tag and a digest that is another's: the digest counts", None, ABSENT, "404",
    ref="reg.evil.test/g18/x:latest@" + D)
add("an upper-case host, which is the same one", lambda world, case: setattr(
    case, "own_ref", "REG.EVIL.TEST/%s:latest" % case.repo), OK)

add = group("G19")
add("no list of tags and no referrers are asked for", None, OK,
    after=never_asked("REPO/tags/|REPO/referrers/|/_catalog"))
absent("G19.b", "Link to another host, to itself, 10^6 pages; fake tags",
       "nothing lists tags or referrers; the header is ignored (G09)")

absent("G21.a", "signatures that are many, large, old, of another name, missing",
       "signatures are refused as a whole so far: signedBy and sigstoreSigned end a pull by policy "
       "(tests/e2e); verdict rooms that lie are in test_liars.py")

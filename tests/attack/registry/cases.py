"""A case is a row: its id, what the registry does, the plan that makes it do so, the exit code of
the class, words of the reason. Plans are functions of (world, case), made by the words below; they
speak of the case's own repository only, so that many cases share the servers.

    python3 tests/attack/registry/cases.py     # the table
"""
import os
import random
import re
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)) + "/../../lib")
import mkimage
import registry
from registry import Answer
from tarmake import Tar

OK, ABSENT, POLICY, AUTH, NETWORK, CONTENT, DEADLINE, USAGE = 0, 1, 3, 4, 5, 7, 8, 64
ROWS = []
HOSTS = {"reg": ("reg.evil.test", "reg.evil.test"), "plain": ("plain", "plain.test:5000"),
         "loop": ("loop", "127.0.0.1:5000"), "private": ("private", "10.7.0.1:5000")}


class Case:
    """host: where the reference points, a key of HOSTS, or "own" for a server at a port of its own,
    which what is remembered of endpoints does not join with others. creds: given with the command, or "file",
    or None. pinned: the reference has the digest. friends: servers that may have the secret.
    image: function of the case. ref: the whole reference. after: function of (world, case, result)
    that gives a problem or None. args: of the command. absent: why there is no such case."""

    def __init__(self, ident, does, plan, code, says="", host="reg", creds=True, pinned=False,
                 friends=(), image=None, ref=None, after=None, args=(), long=False, slow=False,
                 absent=None):
        self.id, self.does, self.plan, self.code, self.says = ident, does, plan, code, says
        self.host, self.creds, self.pinned, self.own_ref = host, creds, pinned, ref
        self.friends, self.make, self.after, self.args = set(friends), image, after, list(args)
        self.long, self.slow, self.absent = long, slow, absent
        self.repo = ident.lower().replace(".", "/")
        self.password = "canary-%s-q8" % ident.lower().replace(".", "-")
        self.token = "token-%s-z4" % ident.lower().replace(".", "-")

    @property
    def user_password(self):
        return "eve:" + self.password

    def secrets(self):
        """(what, forms, keys of the servers that may have it)."""
        home = {self.server_key, *self.friends}
        forms = [registry.basic("eve", self.password).split()[1].encode(), self.password.encode()]
        return [("password", forms, home), ("token", [self.token.encode()], {self.server_key})]

    def prepare(self, world):
        self.image = self.make(self) if self.make else image_of(self)
        if self.host == "own":
            world.own(self, world.certificates["all"])
        else:
            self.server_key, self.place = HOSTS[self.host]
            self.home = world.server(self.server_key)
            self.home.add(self.image, self.repo)
        if self.plan:
            self.plan(world, self)
        mark = "@" + self.image.manifest.digest if self.pinned else ":latest"
        self.ref = self.own_ref
        if self.ref is None:
            self.ref = "%s/%s%s" % (self.place, self.repo, mark)

    def pattern(self, what):
        """Of the paths that this part of the image has at the registry."""
        part = {"manifest": "manifests/", "blobs": "blobs/", "all": ""}.get(what)
        if part is None:
            part = "blobs/" + (self.image.config if what == "config" else
                               self.image.layers[-1].blob).digest
        return "^/v2/%s/%s" % (self.repo, part)


def row(*args, **options):
    ROWS.append(Case(*args, **options))


def absent(ident, does, why):
    ROWS.append(Case(ident, does, None, OK, absent=why))


def image_of(case, layers=2, **options):
    """Its layers are in no other image: what one case stores serves no other."""
    made = [mkimage.layer(Tar().add("etc/%s-%d" % (case.id, i), random.Random(
        case.id + str(i)).randbytes(20000 * i + 20))) for i in range(layers)]
    return mkimage.Image(made, **options)


# Plans -------------------------------------------------------------------------------------

def at(what, *actions, times=None, method=None):
    """Actions of registry.Scripted.on at a part of the image; each of several acts once, the last
    one for good."""
    def plan(world, case):
        for i, action in enumerate(actions):
            count = times if i == len(actions) - 1 else 1
            case.home.on(case.pattern(what), filled(action, case), method, count)
    return plan


def both(*plans):
    def plan(world, case):
        for one in plans:
            one(world, case)
    return plan


def filled(action, case):
    """An action that needs to know the case is made by a function that says so."""
    return action(case) if getattr(action, "of_case", False) else action


def of_case(function):
    function.of_case = True
    return function


def challenge(*values, status=401):
    """Whoever has not the case's token gets these WWW-Authenticate headers."""
    @of_case
    def make(case):
        def act(server, request, answer):
            if request.header("Authorization") == "Bearer " + case.token:
                return answer
            return Answer(status, [("WWW-Authenticate", v.replace("REPO", case.repo))
                                   for v in values], b"{}")
        return act
    return make


def realm(url, more=""):
    """A bearer challenge of that realm for everything; REPO stands for the case's repository."""
    return at("all", challenge('Bearer realm="%s",service="test"%s' % (url, more)))


def tokens(action=None, server="auth.evil.test", user=True):
    """A token server that gives the case its token, or does something else."""
    def plan(world, case):
        if server in world.servers and user:
            case.friends.add(server)
        give = registry.give_token(case.token, *(("eve", case.password) if user else ()))
        world.server(server).on("^/token/%s(?![a-z])" % case.repo, filled(action, case) if action else give)
    return plan


AUTH_REALM = "https://auth.evil.test/token/REPO"


def logged_in(*plans):
    """The registry wants a token, and what may be asked for it gives one."""
    return both(*plans, realm(AUTH_REALM), tokens())


def moved(target, code=307, what="layer", headers=()):
    """That part is elsewhere. PATH and REPO stand for the path and the repository."""
    @of_case
    def make(case):
        def act(server, request, answer):
            place = target.replace("PATH", request.path).replace("REPO", case.repo)
            return Answer(code, [("Location", place), *headers])
        return act
    return at(what, make)


def serves(key, action=None):
    """That server has the image as well, or does something else when asked for it."""
    def plan(world, case):
        world.server(key).add(case.image, case.repo)
        if action:
            world.server(key).on("^/moved/%s/" % case.repo if key == case.server_key else
                                 "^/(v2|moved)/%s/" % case.repo, filled(action, case))
    return plan


def head(*lines, status="200 OK", body=b""):
    """The answer byte by byte; LENGTH stands for the true length of the true body, BODY is it."""
    @of_case
    def make(case):
        def act(server, request, answer):
            data = registry.body_of(answer)
            kind = dict(answer.headers).get("Content-Type", "")
            text = "HTTP/1.1 %s\r\n%s\r\n" % (status, "".join(l + "\r\n" for l in (
                ["Content-Type: " + kind] + list(lines))))
            text = text.replace("LENGTH", str(len(data))).encode("latin-1")
            request.conn.sendall(text + (data if body is BODY else body))
            return None
        return act
    return make


BODY = object()


def manifest(change, pinned=False):
    """The manifest as the registry has it, changed: a function of the text's dictionary that gives
    a dictionary, text or bytes."""
    def plan(world, case):
        import json
        text = change(json.loads(case.image.manifest.read()))
        if not isinstance(text, (str, bytes)):
            text = json.dumps(text)
        blob = mkimage.Blob(text if isinstance(text, bytes) else text.encode(
            "utf-8", "surrogatepass"))
        case.image.manifest = blob
        for key in ("latest", blob.digest):
            case.home.manifest_of[(case.repo, key)] = (blob, case.image.media_type)
    return plan


# What is asked when it is over --------------------------------------------------------------

def no_login_at(key):
    """What came there had neither credentials nor cookies."""
    def after(world, case, result):
        asked = world.server(key).asked("^/(v2|moved)/" + case.repo + "/")
        if not asked:
            return "nothing came to " + key
        odd = [h for r in asked for h in r.headers if h[0].lower() in (
            "authorization", "cookie", "proxy-authorization", "referer")]
        return "%s got %s" % (key, odd) if odd else None
    return after


def asked_at_most(count, pattern, key=None):
    def after(world, case, result):
        asked = world.server(key or case.server_key).asked(
            pattern.replace("REPO", case.repo + "(?![a-z])"))
        return None if len(asked) <= count else "%d requests for %s" % (len(asked), pattern)
    return after


def never_asked(pattern, key=None):
    return asked_at_most(0, pattern, key)


def rows_of(group):
    return [r for r in ROWS if re.fullmatch(group, r.id.split(".")[0])]


def letters():
    """a, b, ... z, aa, ab, ...: the ids of a group's rows, in order."""
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    yield from alphabet
    for one in alphabet:
        for two in alphabet:
            yield one + two


def group(number):
    """row() with the next id of the group."""
    names = letters()

    def add(does, plan, code, says="", **options):
        row("%s.%s" % (number, next(names)), does, plan, code, says, **options)
    return add


def load():
    if not ROWS:
        import rows_auth, rows_documents, rows_http, rows_names, rows_redirects, rows_tls  # noqa
    return ROWS


if __name__ == "__main__":
    import cases
    for one in cases.load():
        print("%-7s %-3s %s%s" % (one.id, one.code if not one.absent else "-", one.does,
                                  " (not there: %s)" % one.absent if one.absent else ""))

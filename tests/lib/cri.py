"""A CRI client: stubs made from frontend/proto/cri.proto by protoc, with strings as strings and
maps as maps, as Kubernetes' own file has them."""
import importlib
import os
import re
import subprocess
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROTO = TOP + "/frontend/proto/cri.proto"
BIG = 64 << 20
MADE = {}
MAKING = threading.Lock()


def as_kubernetes_has_it(text):
    """The comments at the ends of the lines say what the types are there."""
    text = re.sub(r"\bbytes (\w+ = \d+;) // string$", r"string \1", text, flags=re.M)
    return re.sub(r"\brepeated Entry (\w+ = \d+;) // map<string,string>$",
                  r"map<string, string> \1", text, flags=re.M)


def stubs(folder):
    """(messages, services), made once in `folder`/stubs. grpc is not imported before: its threads
    would be outside of the runner's mount namespace."""
    with MAKING:
        if not MADE:
            make(folder)
    return MADE["messages"], MADE["services"]


def make(folder):
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
    os.environ["GRPC_VERBOSITY"] = "NONE"
    path = folder + "/stubs"
    os.makedirs(path, exist_ok=True)
    with open(PROTO) as file:
        text = as_kubernetes_has_it(file.read())
    if "// string" in re.sub(r"(?m)^//.*", "", text) or re.search(r"\bbytes \w+ =", text):
        raise RuntimeError("cri.proto has a line that this does not understand")
    with open(path + "/bulkhead_cri.proto", "w") as file:
        file.write(text)
    subprocess.run(["protoc", "-I", path, "--python_out", path, "--grpc_out", path,
                    "--plugin=protoc-gen-grpc=/usr/bin/grpc_python_plugin",
                    path + "/bulkhead_cri.proto"], check=True)
    sys.path.insert(0, path)
    MADE["messages"] = importlib.import_module("bulkhead_cri_pb2")
    MADE["services"] = importlib.import_module("bulkhead_cri_pb2_grpc")


class Refused(Exception):
    """What an RPC answered but OK."""

    def __init__(self, code, text):
        Exception.__init__(self, "%s: %s" % (code, text))
        self.code, self.text = code, text


class Client:
    """One connection. Answers are messages; failures are Refused with the code's name."""

    def __init__(self, folder, socket, options=()):
        self.pb, services = stubs(folder)
        import grpc
        self.grpc, self.socket = grpc, socket
        self.channel = grpc.insecure_channel("unix:" + socket, options=[
            ("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", BIG),
            ("grpc.max_send_message_length", BIG), ("grpc.initial_reconnect_backoff_ms", 50),
            ("grpc.min_reconnect_backoff_ms", 5000), ("grpc.max_reconnect_backoff_ms", 200),
            *options])
        self.images = services.ImageServiceStub(self.channel)
        self.runtime = services.RuntimeServiceStub(self.channel)

    def close(self):
        self.channel.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def call(self, method, request, timeout=30, **options):
        try:
            return method(request, timeout=timeout, **options)
        except self.grpc.RpcError as error:
            raise refused(error) from None

    def when_there(self, seconds=30):
        """Waits until the service answers, over breaks of the connection. A waiting call keeps
        grpc's poller awake; without one it tries again every 5 s only."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self.version(timeout=seconds, wait_for_ready=True)
            except Refused as error:
                if error.code != "UNAVAILABLE" or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def spec(self, image, **more):
        return self.pb.ImageSpec(image=image, **more)

    # the calls

    def version(self, **options):
        return self.call(self.runtime.Version, self.pb.VersionRequest(), **options)

    def filter(self, image):
        return None if image is None else self.pb.ImageFilter(image=self.spec(image))

    def list(self, image=None, **options):
        request = self.pb.ListImagesRequest(filter=self.filter(image))
        return list(self.call(self.images.ListImages, request, **options).images)

    def stream(self, image=None, timeout=30):
        """The messages of the stream, each a list of images."""
        request = self.pb.StreamImagesRequest(filter=self.filter(image))
        try:
            return [list(m.images) for m in self.images.StreamImages(request, timeout=timeout)]
        except self.grpc.RpcError as error:
            raise refused(error) from None

    def status(self, image, verbose=False, **options):
        """The image (None: absent); with verbose, (image, info)."""
        request = self.pb.ImageStatusRequest(image=self.spec(image), verbose=verbose)
        answer = self.call(self.images.ImageStatus, request, **options)
        found = answer.image if answer.HasField("image") else None
        return (found, dict(answer.info)) if verbose else found

    def pull_request(self, image, namespace=None, annotations=None, **auth):
        sandbox = namespace and self.pb.PodSandboxConfig(
            metadata=self.pb.PodSandboxMetadata(namespace=namespace, name="p", uid="u"))
        return self.pb.PullImageRequest(
            image=self.spec(image, annotations=annotations), sandbox_config=sandbox,
            auth=self.pb.AuthConfig(**auth) if auth else None)

    def pull(self, image, timeout=120, namespace=None, annotations=None, **auth):
        request = self.pull_request(image, namespace, annotations, **auth)
        return self.call(self.images.PullImage, request, timeout).image_ref

    def begin_pull(self, image, timeout=120, namespace=None, **auth):
        """A call in flight: .result(), .cancel(); see ended()."""
        request = self.pull_request(image, namespace, **auth)
        return self.images.PullImage.future(request, timeout=timeout)

    def remove(self, image, **options):
        self.call(self.images.RemoveImage,
                  self.pb.RemoveImageRequest(image=self.spec(image)), **options)

    def fs_info(self, **options):
        return self.call(self.images.ImageFsInfo, self.pb.ImageFsInfoRequest(), **options)


def refused(error):
    return Refused(error.code().name, error.details() or "")


def ended(future):
    """(code's name, image_ref or text) of a call in flight, when it has ended."""
    import grpc
    try:
        return "OK", future.result().image_ref
    except grpc.FutureCancelledError:
        return "CANCELLED", ""
    except grpc.RpcError as error:
        return error.code().name, error.details() or ""


def frame(message, flag=0):
    """gRPC's length-prefixed form of a message."""
    body = message if isinstance(message, bytes) else message.SerializeToString()
    return bytes([flag]) + len(body).to_bytes(4, "big") + body

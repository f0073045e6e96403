"""The benchmarks work: each once, with small things. No figure is looked at."""
import os

from harness import test

FOLDER = os.path.dirname(os.path.abspath(__file__)) + "/../../bench"


def quick(t, script, rows, *more):
    chart = t.folder + "/chart.svg"
    result = t.run(["/usr/bin/python3", "%s/%s" % (FOLDER, script), "--quick", "--bin", t.session.bin,
                    "--svg", chart, *more], timeout=180)
    for row in rows:
        t.has(result.out, row, script)
    with open(chart) as file:
        text = file.read()
    t.ok(text.startswith("<svg ") and text.rstrip().endswith("</svg>"), script, "draws a chart")
    for row in rows:
        t.has(text, row.split("  ")[0], "the chart of " + script)


@test
def pull(t):
    """The floor prints the digests of the layers, or bench/pull ends with an error."""
    quick(t, "pull", ("bulkhead", "floor"), "--forms", "zstd", "--tools",
          "bulkhead,floor")


@test
def many(t):
    quick(t, "many", ("at once", "bulkhead"), "--parts", "burst", "--tools", "bulkhead")


@test(long=True)
def lists(t):
    quick(t, "list", ("first list after start", "all rooms (Pss)"))


@test(long=True, needs=("strace",))
def locks(t):
    result = t.run(["/usr/bin/python3", FOLDER + "/locks", "--quick", "--bin", t.session.bin])
    t.has(result.out, "layers.lock", "its rows")

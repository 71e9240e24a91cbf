"""`python -m bench [NAME …]`: print figures as tables, all of them by default."""

import argparse
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import (
    adapters,
    batches,
    experts,
    gateway,
    grammar,
    images,
    intake,
    kernels,
    limits,
    long,
    metering,
    moderated,
    moderation,
    needle,
    process,
    sampling,
    shapes,
    soak,
    streams,
    vision,
    workers,
)

CONSOLE = Console(width=110)


def engine(options: argparse.Namespace) -> None:
    table = Table("Llama-3.2-1B shape, int4, u8 cache", "ours, tokens/s", "bare graph", "ratio", title="Engine")
    for row in kernels.compare(_checkpoint(options), _cache(options), options.rounds):
        table.add_row(row.name, f"{row.ours:.1f}", f"{row.bare:.1f}", f"{row.ratio:.3f}")
    CONSOLE.print(table)


def whole_process(options: argparse.Namespace) -> None:
    f = process.run(_checkpoint(options), _cache(options), options.rounds)
    table = Table("figure", "value", title="Engine process, the same model")
    table.add_row("start from packed weights", f"{f.start:.2f} s")
    table.add_row(f"first token, {process.SHARED} tokens cold", f"{f.cold * 1000:.0f} ms")
    table.add_row("first token, the same prefix cached", f"{f.warm * 1000:.0f} ms")
    table.add_row("warm / cold", f"{f.warm / f.cold:.3f}")
    table.add_row("resident memory", f"{f.resident >> 20} MiB")
    table.add_row("of it weights, KV pool, rest", f"{f.weights >> 20}, {f.pool >> 20}, {f.overhead >> 20} MiB")
    CONSOLE.print(table)


def sampler(options: argparse.Namespace) -> None:
    table = Table("one token, vocabulary of 128,256", "microseconds", title="Sampler")
    for name, value in sampling.run().items():
        table.add_row(name, f"{value:.0f}")
    CONSOLE.print(table)


def grammars(options: argparse.Namespace) -> None:
    f = grammar.run(_checkpoint(options), _cache(options), options.rounds)
    table = Table("figure", "value", title=f"Grammars, vocabulary of {sampling.VOCABULARY:,}")
    table.add_row(f"{grammar.TOOLS} tools: checked on arrival", f"{f.checked * 1000:.1f} ms")
    table.add_row("compiled in the engine", f"{f.compiled * 1000:.1f} ms")
    table.add_row("the same request again", f"{f.kept * 1e6:.0f} microseconds")
    table.add_row(f"what masks add to a step of {grammar.BATCH} answers", f"{f.masks * 1e6:.0f} microseconds")
    table.add_row("that step, Llama-3.2-1B shape", f"{f.step * 1000:.1f} ms")
    table.add_row("masks / step", f"{f.masks / f.step:.4f}")
    for name, seconds in f.hostile.items():
        table.add_row(f"a schema of {name}", f"{seconds * 1000:.0f} ms")
    CONSOLE.print(table)


def streaming(options: argparse.Namespace) -> None:
    columns = ("route", "wire, microseconds an event", "events/s of one core", "litellm's proxy")
    table = Table(*columns, title=f"A stream of {streams.EVENTS:,} events")
    for f in streams.run(options.rounds):
        proxied = "" if f.proxied is None else f"{f.proxied:,.0f}"
        table.add_row(f.route, f"{f.wire:.1f}", f"{f.served:,.0f}", proxied)
    CONSOLE.print(table)
    if not streams.PROXY.exists():
        CONSOLE.print("litellm's proxy was not measured: scripts/bench-env builds it")


def gateways(options: argparse.Namespace) -> None:
    figures = gateway.run(options.requests)
    columns = ("median, ms", "99th percentile, ms", "added, ms", "added, 99th", "requests/s")
    table = Table("clients", "asked", *columns, title="A request handed on to an upstream")
    for f in figures:
        more = [f"{seconds * 1000:.2f}" for seconds in gateway.added(figures, f.name, f.clients)]
        shown = more if f.name != "the upstream" else ["", ""]
        table.add_row(
            str(f.clients), f.name, f"{f.median * 1000:.2f}", f"{f.worst * 1000:.2f}", *shown, f"{f.rate:,.0f}"
        )
    CONSOLE.print(table)
    if not streams.PROXY.exists():
        CONSOLE.print("litellm's proxy was not measured: scripts/bench-env builds it")


def servers(options: argparse.Namespace) -> None:
    figures = workers.run(options.requests)
    columns = ("servers", "requests/s", "median, ms", "cores kept busy")
    table = Table("database", *columns, title=f"Several servers before an upstream, {workers.CLIENTS} clients")
    for f in figures:
        table.add_row(f.database, str(f.servers), f"{f.rate:,.0f}", f"{f.median * 1000:.1f}", f"{f.cores:.2f}")
    CONSOLE.print(table)


def mixtures(options: argparse.Namespace) -> None:
    columns = (f"{experts.FEW} experts, tokens/s", f"{experts.MANY} experts", "times slower")
    table = Table("4 layers, 4 experts of 2048 x 768 a token, int4", *columns, title="Mixtures of experts")
    for row in experts.compare(options.folder, options.rounds):
        table.add_row(row.name, f"{row.few:.1f}", f"{row.many:.1f}", f"{row.slower:.2f}")
    CONSOLE.print(table)


def adapted(options: argparse.Namespace) -> None:
    title = f"{adapters.BATCH} of {adapters.REGISTERED} adapters of rank {adapters.RANK}, all layers, Llama shape of 1B"
    table = Table(f"{adapters.BATCH} sequences", "base, tokens/s", "adapters", "share", title=title)
    for row in adapters.compare(_checkpoint(options), options.folder, options.rounds):
        table.add_row(row.name, f"{row.base:.1f}", f"{row.adapted:.1f}", f"{row.share:.3f}")
    CONSOLE.print(table)


def meters(options: argparse.Namespace) -> None:
    table = Table("stages", "microseconds a request", "an event", title="Records and limits")
    for row in metering.run(options.rounds):
        table.add_row(row.name, f"{row.request:.1f}", f"{row.event:.2f}")
    CONSOLE.print(table)


def shared_limits(options: argparse.Namespace) -> None:
    f = limits.run(options.requests)
    table = Table("figure", "value", title="Limits of 50 keys, shared by two processes over PostgreSQL")
    table.add_row("requests, let in", f"{f.asked:,}, {f.passed:,}")
    table.add_row("keys over their limit, keys refused what fitted", f"{f.over}, {f.missed}")
    table.add_row("requests a second, both processes with their start", f"{f.asked / f.seconds:.0f}")
    CONSOLE.print(table)


def soaked(options: argparse.Namespace) -> None:
    f = soak.run(options.minutes)
    title = f"{f.seconds / 60:.1f} minutes at saturation, {soak.CLIENTS} clients, starter"
    table = Table("figure", "at first", "at last", "an hour", title=title)
    rows: dict[str, tuple[Callable[[soak.Sample], float], float, str]] = {
        "server, MiB": (lambda sample: sample.server, soak.MIB, ".1f"),
        "engine, MiB": (lambda sample: sample.engine, soak.MIB, ".1f"),
        "server, file descriptors": (lambda sample: sample.server_files, 1, ".0f"),
        "engine, file descriptors": (lambda sample: sample.engine_files, 1, ".0f"),
    }
    for name, (of, unit, form) in rows.items():
        first, last, slope = of(f.settled[0]) / unit, of(f.settled[-1]) / unit, f.slope(of) / unit
        table.add_row(name, f"{first:{form}}", f"{last:{form}}", f"{slope:+.2f}")
    CONSOLE.print(table)
    table = Table("figure", "value")
    for outcome, count in sorted(f.ended.items()):
        table.add_row(f"requests: {outcome}", f"{count:,}")
    table.add_row(
        "requests a second, tokens a second", f"{f.ended.total() / f.seconds:.1f}, {f.tokens / f.seconds:.0f}"
    )
    web, engine = f.share(lambda sample: sample.server_spent), f.share(lambda sample: sample.engine_spent)
    table.add_row("cores that the server kept busy, the engine", f"{web:.2f}, {engine:.2f}")
    CONSOLE.print(table)


def batched(options: argparse.Namespace) -> None:
    figures, wait = batches.run(_small(options), options.lines)
    columns = ("seconds", "of one after another", "tokens computed", "US dollars")
    table = Table(f"{options.lines} lines, Llama shape of 100M", *columns, title="Batches")
    for f in figures:
        table.add_row(
            f.name, f"{f.seconds:.1f}", f"{f.seconds / figures[0].seconds:.3f}", f"{f.tokens:,}", f"{f.cost:.4f}"
        )
    CONSOLE.print(table)
    table = Table("first token of an interactive request", "value")
    table.add_row("idle server", f"{wait.idle * 1000:.0f} ms")
    table.add_row("beside a batch", f"{wait.busy * 1000:.0f} ms")
    table.add_row("between two tokens then, a step", f"{wait.step * 1000:.0f} ms")
    table.add_row("(beside - step) / idle", f"{wait.times:.2f}")
    CONSOLE.print(table)


def batch_intake(options: argparse.Namespace) -> None:
    figures, listing = intake.run(options.intake)
    columns = ("way in", "MB/s", "seconds", "memory above idle")
    table = Table(*columns, title=f"{options.intake:,} requests with a text of {intake.TEXT:,} characters each")
    for f in figures:
        table.add_row(f.name, f"{f.rate:.1f}", f"{f.seconds:.1f}", f"{f.memory >> 20} MiB" if f.memory else "")
    CONSOLE.print(table)
    CONSOLE.print(f"a list of batches takes {listing * 1000:.0f} ms")


def moderating(options: argparse.Namespace) -> None:
    f = moderation.run(options.rounds)
    table = Table(f"texts of {moderation.LONG} words", "texts/s", title="Moderation classifier")
    table.add_row("one by one", f"{f.single:,.0f}")
    table.add_row("together", f"{f.together:,.0f}")
    table.add_row("bare graph", f"{f.bare:,.0f}")
    table.add_row("together / bare graph", f"{f.ratio:.3f}")
    CONSOLE.print(table)


def moderated_streams(options: argparse.Namespace) -> None:
    figures = moderated.run(options.rounds)
    columns = ("first words without", "with", "later by", "tokens/s without", "with", "with / without")
    table = Table("a stream by", *columns, title="Output moderation")
    for f in figures:
        firsts = [f"{value * 1000:.0f} ms" for value in (*f.first, f.later)]
        table.add_row(f.engine, *firsts, *(f"{value:.1f}" for value in f.rate), f"{f.throughput:.3f}")
    CONSOLE.print(table)


def long_texts(options: argparse.Namespace) -> None:
    checkpoint = _checkpoint(options) if options.shape == "1b" else _small(options)
    depths, turns = long.run(checkpoint, _cache(options), options.folder, options.tokens, options.rounds)
    columns = ("prefill, tokens/s", "decode, ms", "whole prompt, s")
    table = Table("depth, tokens", *columns, title=f"Shape of {options.shape}, int4, u8 cache")
    for f in depths:
        table.add_row(f"{f.tokens:,}", f"{f.speed:.1f}", f"{f.decode * 1000:.0f}", f"{f.prompt:,.0f}")
    CONSOLE.print(table)
    table = Table(f"second turn, {turns.tokens:,} tokens", "first token, s", "of computing again")
    for name, seconds in (
        ("from memory", turns.memory),
        ("from files in the system's memory", turns.files),
        (f"from files, {turns.size / 1e9:.1f} GB", turns.disk),
        ("computed again", turns.again),
    ):
        table.add_row(name, f"{seconds:.2f}", f"{seconds / turns.again:.5f}")
    CONSOLE.print(table)


def needles(options: argparse.Namespace) -> None:
    points = needle.run(options.needle, options.folder, options.pieces)
    columns = ("tokens", "seconds", "tokens/s", "keys and values, MB", "local layers, MB", "needles found")
    table = Table(*columns, title="Llama 4's layers at tiny sizes")
    for f in points:
        sizes = (f"{f.whole / 1e6:.1f}", f"{f.near / 1e6:.2f}")
        table.add_row(f"{f.tokens:,}", f"{f.seconds:,.1f}", f"{f.speed:,.0f}", *sizes, f"{f.found} of {f.asked}")
    CONSOLE.print(table)
    last = points[-1]
    CONSOLE.print(f"{'tokens':>12}  {'seconds':20}  {'sees everything':20}  local layers", highlight=False)
    for f in points:
        parts = (f.seconds / last.seconds, f.whole / (last.whole + last.near), f.near / (last.whole + last.near))
        CONSOLE.print(
            f"{f.tokens:>12,}  " + "  ".join(f"{'#' * round(20 * part):20}" for part in parts), highlight=False
        )
    seconds, a, b = needle.project(points, needle.FAR)
    CONSOLE.print(f"seconds = {a:.3g} n + {b:.3g} n^2; for {needle.FAR:,} tokens {seconds:,.0f} s", highlight=False)


def pictures(options: argparse.Namespace) -> None:
    f = vision.run(options.folder, min(options.rounds, 3))
    columns = ("ours", "transformers", "ratio")
    table = Table(f"SmolVLM-256M shape, {vision.SIDE} x {vision.SIDE} pixels", *columns, title="Pictures")
    table.add_row("features", f"{f.encode:.2f} s", f"{f.peer_encode:.2f} s", f"{f.encode / f.peer_encode:.2f}")
    table.add_row("first token", f"{f.first:.2f} s", f"{f.peer_first:.2f} s", f"{f.first / f.peer_first:.2f}")
    table.add_row("first token, second turn", f"{f.again:.3f} s", "", f"{f.again / f.first:.3f} of the first")
    CONSOLE.print(table)


def painted(options: argparse.Namespace) -> None:
    added, orders = images.run(options.folder, options.rounds, options.pictures)
    table = Table(
        f"{images.STEPS} steps", "bare diffusers, seconds", "a job, seconds", "added", title="Pictures that are made"
    )
    for each in added:
        table.add_row(each.name, f"{each.bare:.3f}", f"{each.ours:.3f}", f"{each.share:+.2%}")
    CONSOLE.print(table)
    table = Table("two models, memory for one", "pictures a minute", "loads", "times as many")
    for f in orders:
        table.add_row(f.name, f"{60 * f.rate:.1f}", str(f.loads), f"{f.rate / orders[0].rate:.2f}")
    CONSOLE.print(table)


BENCHES: dict[str, Callable[[argparse.Namespace], None]] = {
    "engine": engine,
    "process": whole_process,
    "vision": pictures,
    "images": painted,
    "sampling": sampler,
    "grammar": grammars,
    "streams": streaming,
    "gateway": gateways,
    "workers": servers,
    "experts": mixtures,
    "adapters": adapted,
    "metering": meters,
    "limits": shared_limits,
    "soak": soaked,
    "batches": batched,
    "intake": batch_intake,
    "moderated": moderated_streams,
    "moderation": moderating,
    "long": long_texts,
    "needle": needles,
}


def _checkpoint(options: argparse.Namespace) -> Path:
    return shapes.write(shapes.LLAMA_1B, options.folder / "llama-1b")


def _small(options: argparse.Namespace) -> Path:
    return shapes.write(shapes.LLAMA_100M, options.folder / "llama-100m")


def _cache(options: argparse.Namespace) -> Path:
    folder: Path = options.folder / "cache"
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHES))
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds of each comparison")
    parser.add_argument("--lines", type=int, default=batches.LINES, help="requests of a batch")
    parser.add_argument("--intake", type=int, default=intake.LINES, help="requests that are taken in")
    parser.add_argument("--requests", type=int, default=10_000, help="requests to shared limits, and through gateways")
    parser.add_argument("--tokens", type=int, default=20_000, help="the text of `long`; 200000 takes half an hour")
    parser.add_argument("--shape", choices=("1b", "100m"), default="1b", help="the model of `long`")
    parser.add_argument("--needle", type=int, default=100_000, help="the text of `needle`; a million takes a while")
    parser.add_argument("--pieces", type=int, default=10, help="points of `needle`")
    parser.add_argument("--pictures", type=int, default=8, help="jobs for each of two models of `images`")
    parser.add_argument("--minutes", type=float, default=30, help="of the soak")
    parser.add_argument("--folder", type=Path, default=Path("build/bench"), help="where checkpoints are kept")
    options = parser.parse_args()
    if unknown := set(options.names) - set(BENCHES):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    for name in options.names or BENCHES:
        BENCHES[name](options)


if __name__ == "__main__":
    main()

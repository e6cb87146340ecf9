"""Tables, JSON and pictures of a benchmark run."""

import json
import statistics

LABELS = {"cpu_us_per_request": "CPU µs/req", "cpu_us_per_event": "CPU µs/event", "rps": "req/s", "p50": "p50 µs", "p90": "p90 µs",
          "p99": "p99 µs", "p99.9": "p99.9 µs", "first_p50": "first p50 µs", "first_p99": "first p99 µs",
          "gap_p50": "gap p50 µs", "gap_p99": "gap p99 µs", "rss_kib": "PSS KiB", "failed": "failed"}


def medians(rounds):
    """[{figure: value}, ...] -> {figure: median}."""
    return {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}


def bound(name, figures, saturated):
    """Who was the bottleneck, when it was not the candidate."""
    if not saturated or name == "direct" or figures["proxy_cores"] >= 0.85:
        return ""
    if figures["load_cores"] + figures["sim_cores"] >= 0.9:
        return "load" if figures["load_cores"] > figures["sim_cores"] else "simulator"
    return ""


def table(scenario, results):
    """One scenario as Markdown. results: {candidate: {figure: median}}."""
    base = results.get("nginx")
    keys = [k for k in scenario.columns if any(k in r for r in results.values())]
    main = scenario.columns[0]
    lines = [f"### {scenario.name}", "", scenario.text, "",
             "| candidate | " + " | ".join(LABELS.get(k, k) for k in keys) + " | × nginx |",
             "|" + "---|" * (len(keys) + 2)]
    for name, r in results.items():
        who = bound(name, r, scenario.saturated)
        cells = []
        for key in keys:
            if key == "rps" and who:
                cells.append(f"– ({who}-bound)")
            elif name == "direct" and key.startswith("cpu"):
                cells.append("–")
            else:
                cells.append(f"{r[key]:,.1f}" if isinstance(r.get(key), float) and r[key] < 1000 else f"{r.get(key, 0):,.0f}")
        ratio = f"{r[main] / base[main]:.2f}" if base and base.get(main) and name != "direct" else "–"
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {ratio} |")
    return "\n".join(lines) + "\n"


def added(results):
    """Latency above direct, a line per candidate."""
    direct = results.get("direct")
    if not direct:
        return ""
    lines = ["", "Added latency (candidate − direct, µs): "]
    for name, r in results.items():
        if name != "direct":
            lines.append(f"- {name}: " + ", ".join(f"{q} {r[q] - direct[q]:+,.0f}" for q in ("p50", "p90", "p99", "p99.9")))
    return "\n".join(lines) + "\n"


def picture(path, scenario, results):
    """Bars of the scenario's main figure; without matplotlib there is no picture, and the caller says so."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    key = scenario.columns[0]
    names = [n for n in results if n != "direct" and key in results[n]]
    figure, axes = pyplot.subplots(figsize=(6, 0.6 + 0.45 * len(names)))
    axes.barh(names, [results[n][key] for n in names], color=["#2a6f97" if n == "hale" else "#adb5bd" for n in names])
    axes.invert_yaxis()
    axes.set_xlabel(LABELS.get(key, key))
    axes.set_title(scenario.name)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def save(directory, meta, results):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.json").write_text(json.dumps({"meta": meta, "results": results}, indent=1))

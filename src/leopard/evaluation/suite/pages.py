"""The pages of a suite: Markdown, CSV and HTML, all made of `results.json` alone.

The gallery of the HTML page is handed in. Knows nothing of runs on disk.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from leopard.errors import ConfigError
from leopard.evaluation.report.charts import Bar, bars
from leopard.evaluation.report.gallery import Entry
from leopard.evaluation.report.pages import Head, Section, TableRow, render
from leopard.evaluation.suite.results import PAPER_SCORER, Results

_CSV_HEAD = ("kind", "title", "run", "scorer", "group", "samples", "value", "low", "high", "goal")


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def _span(row: dict[str, Any], sign: str = "") -> str:
    if row.get("low") is None:
        return ""
    return f"{100 * row['low']:{sign}.1f} to {100 * row['high']:{sign}.1f}"


def sections(results: Results) -> list[Section]:
    """All tables, as the report shows them."""
    made = [_figures(results), _comparisons(results), _runs(results), _extras(results)]
    for run in results["runs"]:
        made += [_breakdown(run, by, groups) for by, groups in run["breakdowns"].items()]
    return [section for section in made if section.rows]


def _figures(results: Results) -> Section:
    rows, marks = [], []
    for row in results["figures"]:
        goal = "" if row["goal"] is None else f"{100 * row['goal']:.0f}"
        verdict = {None: "", True: "reached", False: "not reached"}[row["reached"]]
        cells = [row["title"], _percent(row["value"]), _span(row), str(row["samples"])]
        rows.append(TableRow([*cells, goal, verdict]))
        if row["value"] is not None:
            marks.append(Bar(row["title"], row["value"], row["low"], row["high"]))
    head = ["figure", "score", "95 % interval", "questions", "goal", ""]
    return Section("Figures", head, rows, bars(marks, "Figures with intervals"))


def _comparisons(results: Results) -> Section:
    rows = []
    for row in results["comparisons"]:
        numbers = [str(row["samples"]), "", "", "", "", ""]
        if "difference" in row:
            numbers = [
                str(row["samples"]),
                _percent(row["a"]),
                _percent(row["b"]),
                f"{100 * row['difference']:+.1f}",
                _span(row, "+"),
                f"{row['p']:.3f}",
            ]
        rows.append(TableRow([row["title"], *numbers, row["verdict"]]))
    head = [
        "B against A",
        "questions",
        "A",
        "B",
        "B - A",
        "95 % interval",
        "sign test p",
        "verdict",
    ]
    return Section(
        "Comparisons",
        head,
        rows,
        text="The same questions to both; intervals and tests over documents.",
    )


def _runs(results: Results) -> Section:
    rows = []
    for run in results["runs"]:
        name, found = next(iter(run["scores"].items()))
        paper = run["scores"].get(PAPER_SCORER, {}).get("value")
        rows.append(
            TableRow(
                [
                    run["title"],
                    run["model"],
                    name,
                    _percent(found["value"]),
                    _span(found),
                    _percent(run["scores"].get("anls", {}).get("value")),
                    _percent(paper),
                    f"{run['samples']} / {run['documents']}",
                    f"{run['images_per_sample']:.1f}",
                    f"{run['tokens_per_image']:.0f}" if run["tokens_per_image"] else "",
                    _percent(run["unparsed"]),
                    f"{run['failed']} / {run['broken']}",
                ]
            )
        )
    head = ["run", "model", "official scorer", "score", "95 % interval", "ANLS", "as in the paper",
            "questions / documents", "pages", "visual tokens per page", "unparsed %",
            "failed / not built"]  # fmt: skip
    return Section("All runs", head, rows, numeric=False)


def _extras(results: Results) -> Section:
    """Numbers of a whole run that are no mean over samples, such as F1."""
    names = list(dict.fromkeys(name for run in results["runs"] for name in run["extras"]))
    rows = [
        TableRow([run["title"], run["model"], *(_percent(run["extras"].get(n)) for n in names)])
        for run in results["runs"]
        if run["extras"]
    ]
    return Section("Further numbers of runs", ["run", "model", *names], rows)


def _breakdown(run: dict[str, Any], by: str, groups: Sequence[dict[str, Any]]) -> Section:
    names = list(groups[0]["scores"]) if groups else []
    rows = [
        TableRow([g["group"], str(g["samples"]), *(_percent(g["scores"][n]) for n in names)])
        for g in groups
    ]
    marks = [Bar(g["group"], g["scores"][names[0]], note=f"(n={g['samples']})") for g in groups]
    title = f"{run['title']}, by {by}"
    return Section(title, [by, "questions", *names], rows, bars(marks, title))


def notes(results: Results) -> list[str]:
    """What the numbers rest on."""
    said = []
    for entry in results["sets"].values():
        text = " ".join(filter(None, (entry["note"], _origin(entry["made"]))))
        said += [f"{entry['title']}: {text}"] if text else []
    return said


def _origin(made: dict[str, Any] | None) -> str:
    """How a set was made, with every setting that is not the preset's."""
    if made is None:
        return ""
    text = (
        f"Made by the preset `{made['preset']}`: {made['samples']} documents of the split "
        f"`{made['split']}`, seed {made['seed']}"
    )
    changes = ", ".join(f"`{change}`" for change in made["change"])
    return f"{text}, with {changes} in place of the preset's." if changes else f"{text}."


def warnings(results: Results) -> list[str]:
    """What is missing."""
    share = results["share"]
    said = (
        [f"A trial: {100 * share:g} % of each set that is made or limited was asked."]
        if share < 1
        else []
    )
    said += [
        f"{run['title']}: {run['samples']} of {run['expected']} questions are scored."
        for run in results["runs"]
        if run["samples"] < run["expected"]
    ]
    return said + [f"Left out: {n} ({why})." for n, why in results["left_out"].items()]


def markdown(results: Results) -> str:
    """The page as Markdown."""
    lines = [f"# {results['title']}", "", results["about"], ""]
    lines += [f"- {text}" for text in (*notes(results), *warnings(results))]
    for section in sections(results):
        lines += ["", f"## {section.title}", ""]
        if section.text:
            lines += [section.text, ""]
        lines += _table(section)
    return "\n".join(lines) + "\n"


SCORES_BEGIN, SCORES_END = "<!-- scores -->", "<!-- end of scores -->"
"""Between these lines of a model card stand its scores."""


def card_parts(card: str) -> tuple[str, str]:
    """What stands before and after the scores of a model card.

    Raises:
        ConfigError: If a mark is missing, there twice, or in the wrong place.
    """
    counts = {mark: card.count(mark) for mark in (SCORES_BEGIN, SCORES_END)}
    before, _, rest = card.partition(SCORES_BEGIN)
    _, end, after = rest.partition(SCORES_END)
    if set(counts.values()) != {1} or not end:
        found = " and ".join(f"{count} lines {mark}" for mark, count in counts.items())
        raise ConfigError(
            f"the model card has {found}; scores are written between one {SCORES_BEGIN} and one "
            f"{SCORES_END} after it: add these lines where the scores shall stand"
        )
    return before, after


def fill_card(card: str, results: Results) -> str:
    """A model card with its scores: figures, comparisons and what they rest on.

    Args:
        card: Text with the two marks of scores.
        results: Of a suite.
    """
    before, after = card_parts(card)
    lines = [SCORES_BEGIN, "", *(f"- {text}" for text in (*notes(results), *warnings(results)))]
    for section in (_figures(results), _comparisons(results)):
        lines += ["", *_table(section)]
    return before + "\n".join([*lines, "", SCORES_END]) + after


def _table(section: Section) -> list[str]:
    numeric = ["--:" if section.numeric else "---"] * (len(section.head) - 1)
    rows = [_line(row.cells) for row in section.rows]
    return [_line(section.head), _line(["---", *numeric]), *rows]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def table(results: Results) -> str:
    """All numbers as CSV, one in a line; scores from 0 to 1."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, _CSV_HEAD, restval="", lineterminator="\n")
    writer.writeheader()
    for row in results["figures"]:
        writer.writerow({"kind": "figure", "group": _only(row), **_kept(row)})
    for row in results["comparisons"]:
        if "difference" in row:
            runs = f"{row['second']} - {row['first']}"
            numbers = {"kind": "difference", "run": runs, "value": row["difference"]}
            writer.writerow({**_kept(row), "group": _only(row), **numbers})
    for run in results["runs"]:
        base = {"title": run["title"], "run": run["name"]}
        for name, found in run["scores"].items():
            head = {"kind": "score", **base, "scorer": name, "samples": run["samples"]}
            writer.writerow({**head, **found})
        for name, value in run["extras"].items():
            head = {"kind": "run", **base, "scorer": name, "samples": run["samples"]}
            writer.writerow({**head, "value": value})
        for by, groups in run["breakdowns"].items():
            for group in groups:
                for name, value in group["scores"].items():
                    row = {"kind": "group", **base, "group": f"{by}: {group['group']}"}
                    writer.writerow(
                        row | {"scorer": name, "samples": group["samples"], "value": value}
                    )
    return buffer.getvalue()


def _kept(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in _CSV_HEAD if name in row}


def _only(row: dict[str, Any]) -> str:
    return "; ".join(f"{field}: {', '.join(values)}" for field, values in row["only"].items())


def html(results: Results, entries: Sequence[Entry]) -> str:
    """The page as one static HTML file.

    Args:
        results: All figures.
        entries: Samples of the gallery.
    """
    head = Head(
        title=results["title"],
        subtitle=results["about"].replace("`", ""),
        notes=[text.replace("`", "") for text in notes(results)],
        warnings=warnings(results),
    )
    return render(head, sections(results), entries)

"""A table as text on the screen, Markdown, LaTeX, HTML and CSV."""

import csv
import io
from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from metavox.report import names
from metavox.report.results import BUDGET
from metavox.report.table import Cell, Table

SIGNIFICANT = 0.05
LATEX = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    **{c: f"{{{c}}}" for c in "[]*"},  # after the end of a row, LaTeX takes them for an argument of it
    "±": r"$\pm$", "†": r"$\dagger$", "×": r"$\times$", "<": "$<$", ">": "$>$",
}  # fmt: skip


class Style(NamedTuple):
    """How a format writes a cell: "mean ± half", the best in bold, then its mark and how many tasks diverged."""

    best: Callable[[str], str]
    marks: tuple[str, str] = ("*", "†")
    pm: str = " ± "
    lost: str = " ({}×)"


def text(table: Table, known: Sequence[str] = ()) -> str:
    """Columns aligned for a screen; notes that are `known` already are left out."""
    style = Style("▸{}".format)
    grid = [["", *_headings(table)], *([row, *_cells(table, row, style)] for row in table.rows)]
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    lines = [
        "  " + row[0].ljust(widths[0]) + "".join("   " + c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))
        for row in grid
    ]
    notes = [n for n in _notes(table, "▸") if n not in known]
    return "\n".join([table.title, *(line.rstrip() for line in lines), *(f"  - {n}" for n in notes)])


def texts(tables: Sequence[Table]) -> str:
    """Several tables; what a note said above is not said again."""
    known, parts = set[str](), list[str]()
    for table in tables:
        parts.append(text(table, list(known)))
        known |= set(_notes(table, "▸"))
    return "\n\n".join(parts)


def markdown(table: Table) -> str:
    """A pipe table with its title above and its notes below."""
    style = Style("**{}**".format, marks=(r"\*", "†"))
    lines = [
        f"**{markdown_text(table.caption)}**",
        "",
        "| " + " | ".join(["", *map(markdown_text, _named(table))]) + " |",
    ]
    lines.append("| --- |" + " ---: |" * len(table.columns))
    for row in table.rows:
        name = markdown_text(names.value(table.axes[0], row))
        lines.append("| " + " | ".join([name, *_cells(table, row, style)]) + " |")
    notes = map(markdown_text, _notes(table, "bold:"))
    return "\n".join([*lines, "", *(f"- {n}" for n in notes)])


def markdown_text(text: str) -> str:
    """Text without what Markdown would take for a table, a link or emphasis."""
    return "".join(f"\\{c}" if c in "|*[]<`" else c for c in " ".join(text.split()))


def latex(table: Table) -> str:
    """A floating table for `\\input`, with the rules of booktabs."""
    style = Style(r"\mathbf{{{}}}".format, ("^{*}", r"^{\dagger}"), r" \pm ", r"\,({{\scriptstyle {}\times}})")
    lines = [
        *("% needs \\usepackage{booktabs}", r"\begin{table}[t]", r"\centering"),
        rf"\caption{{{latex_text(table.caption)}}}",
        rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}", r"\toprule",
        " & ".join(["", *map(latex_text, _named(table))]) + r" \\", r"\midrule",
    ]  # fmt: skip
    for row in table.rows:
        cells = [f"${c}$" if c not in ("", "diverged") else c for c in _cells(table, row, style)]
        lines.append(" & ".join([latex_text(names.value(table.axes[0], row)), *cells]) + r" \\")
    notes = latex_text("; ".join(_notes(table, "bold:")))
    lines += [r"\bottomrule", r"\end{tabular}", rf"\par\smallskip{{\footnotesize {notes}.}}", r"\end{table}"]
    return "\n".join(lines)


def latex_text(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return "".join(LATEX.get(c, c) for c in text)


def html(table: Table) -> str:
    """A <figure> with a table; what a cell holds beside its mean appears over it."""
    style = Style("<b>{}</b>".format, marks=("<sup>*</sup>", "<sup>†</sup>"))
    rows = ["<tr><th></th>" + "".join(f"<th>{escape(h)}</th>" for h in _named(table)) + "</tr>"]
    for row in table.rows:
        cells = [
            f'<td title="{escape(_about(table.cells.get((row, column))))}">{cell}</td>'
            for column, cell in zip(table.columns, _cells(table, row, style), strict=True)
        ]
        rows.append(f"<tr><th>{escape(names.value(table.axes[0], row))}</th>{''.join(cells)}</tr>")
    notes = "".join(f"<li>{escape(n)}</li>" for n in _notes(table, "bold:"))
    body = "\n".join(rows)
    return f"<h2>{escape(table.caption)}</h2>\n<div class=wide><table>\n{body}\n</table></div>\n<ul>{notes}</ul>"


def long_csv(table: Table) -> str:
    """One line a cell with all that is known about it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([
        *table.axes, "mean", "low", "high", "median", "speakers", "tasks", "seeds", "diverged", "seed_sd", "best",
        "against", "difference", "difference_low", "difference_high", "p", "p_adjusted",
    ])  # fmt: skip
    for row, column, cell in table.present():
        s, d, p = cell.summary, cell.difference, cell.p
        writer.writerow([
            row, column, s.mean, s.low, s.high, s.median, s.count, len(cell.scores), len(cell.seeds), s.diverged,
            cell.seed_spread(), int(cell.best), *((table.against, d.mean, d.low, d.high) if d else ("",) * 4),
            *(p or ("", "")),
        ])  # fmt: skip
    return out.getvalue()


def _headings(table: Table) -> list[str]:
    axis = table.axes[1]
    if axis in ("metric", "algorithm"):
        return list(table.columns)
    return [
        f"{c} {axis.removesuffix('s') if c == '1' else axis}" if axis in BUDGET else f"{axis.split('.')[-1]} {c}"
        for c in table.columns
    ]


def _named(table: Table) -> list[str]:
    """The headings in whole words."""
    return [names.value(table.axes[1], column) for column in table.columns]


def _notes(table: Table, best: str) -> list[str]:
    """The notes; `best` says what marks the best mean: on the screen, where rows go by their keys, a triangle."""
    keys = best == "▸"
    notes = [*(table.notes if keys else table.named_notes)]
    if not any(cell.best for _, _, cell in table.present()):
        return notes
    note = f"{best} best mean of a column"
    if any(cell.p and cell.p.adjusted < SIGNIFICANT for _, _, cell in table.present()):
        against = str(table.against) if keys else names.value(table.axes[0], str(table.against))
        note += (
            f"; * and † compare with {against} task by task, which is surer than two means: "
            "the best mean may have no *, and a row with * need not be the best"
        )
    return [*notes, note]


def _cells(table: Table, row: str, style: Style) -> list[str]:
    return [_cell(table, row, column, style) for column in table.columns]


def _cell(table: Table, row: str, column: str, style: Style) -> str:
    cell = table.cells.get((row, column))
    if cell is None:
        return ""
    if not cell.summary.count:
        return "diverged"
    digits = _digits(table, column)
    half = (cell.summary.high - cell.summary.low) / 2
    mean = round(cell.summary.mean, digits) + 0.0  # no minus zero
    shown = f"{mean:.{digits}f}" + ("" if np.isnan(half) else f"{style.pm}{half:.{digits}f}")
    shown = style.best(shown) if cell.best else shown
    if cell.p and cell.difference and cell.p.adjusted < SIGNIFICANT and column in table.better:
        shown += style.marks[(cell.difference.mean > 0) != table.better[column]]
    return shown + (style.lost.format(cell.summary.diverged) if cell.summary.diverged else "")


def _digits(table: Table, column: str) -> int:
    """Decimals of a column: two digits of its narrower intervals."""
    halves = [(c.summary.high - c.summary.low) / 2 for _, k, c in table.present() if k == column]
    halves = [h for h in halves if h > 0]
    return int(np.clip(1 - np.floor(np.log10(np.quantile(halves, 0.25))), 0, 6)) if halves else 2


def _about(cell: Cell | None) -> str:
    if cell is None:
        return ""
    s, spread = cell.summary, cell.seed_spread()
    parts = [f"{s.low:.4g} to {s.high:.4g}; {s.count} speakers, {len(cell.scores)} tasks, {len(cell.seeds)} seeds"]
    parts += [] if np.isnan(spread) else [f"standard deviation over seeds {spread:.2g}"]
    if cell.p and cell.difference:
        parts.append(f"difference {cell.difference.mean:.3g}, p {cell.p.alone:.3g}, adjusted {cell.p.adjusted:.3g}")
    return "; ".join(parts)

"""The table, on the screen, as CSV and as Markdown, and the machine it was measured on."""

import csv
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import Row

KEYS = ("algorithm", "model", "frames", "tasks", "steps")
RATIO = "{:.2f}"


def header(names: Sequence[str]) -> list[str]:
    """Column titles: times of ours, then ratios, then MB."""
    others = [name for name in names if name != "ours"]
    return [*KEYS, "ours ms", *(f"{n}/ours" for n in others), "ours/floor", "MB"]


def line(row: Row, names: Sequence[str]) -> list[str]:
    """One row of the table."""
    ours = row.seconds["ours"]
    others = [RATIO.format(row.seconds[n] / ours) if n in row.seconds else "-" for n in names if n != "ours"]
    megabytes = " ".join(f"{row.memory[n]:.0f}" for n in names if n in row.memory) or "-"
    cell = [str(getattr(row.cell, key)) for key in KEYS]
    return [*cell, f"{1e3 * ours:.1f}", *others, RATIO.format(ours / row.floor), megabytes]


def markdown(rows: Sequence[Row], names: Sequence[str]) -> str:
    """The table for a page."""
    table = [header(names), ["---"] * len(header(names)), *(line(row, names) for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in table) + "\n"


def environment(device: str, command: Sequence[str]) -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "command": " ".join(command),
        "device": torch.cuda.get_device_name() if device.startswith("cuda") else _processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    return next((text.split(":")[1].strip() for text in lines if text.startswith("model name")), platform.processor())


def write(folder: Path, rows: Sequence[Row], names: Sequence[str], machine: dict[str, Any]) -> None:
    """table.csv (a row per cell and side), table.md and environment.json."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*KEYS, "side", "ms", "error", "mb", "flops", "floor_ms", "rounds"])
        for row in rows:
            for name, seconds in row.seconds.items():
                cell = list(asdict(row.cell).values())
                rest = [row.memory.get(name, ""), row.flops, 1e3 * row.floor, row.rounds]
                writer.writerow([*cell, name, 1e3 * seconds, row.errors[name], *rest])
    (folder / "table.md").write_text(markdown(rows, names), encoding="utf-8")
    (folder / "environment.json").write_text(json.dumps(machine, indent=1) + "\n", encoding="utf-8")

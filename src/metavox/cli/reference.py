"""The config reference, docs/config.md, made from the comments and values of conf/.

python -m metavox.cli.reference > docs/config.md
"""

import re
from collections.abc import Iterator
from pathlib import Path

from metavox.cli.entry import CONF

LINE = re.compile(r"(?P<indent> *)(?P<key>[\w-]+):(?P<value>(?:[^#'\"]|'[^']*'|\"[^\"]*\"|(?<! )#)*)(?P<comment># .*)?")
OPENING = """# Config reference

Made from `conf/` by `python -m metavox.cli.reference > docs/config.md`. What stands here is true by test; options added
since, also your own, are shown by that command and by `python train.py --help`.

Every line can be overridden on the command line: `key=value` for the keys of `train` and `adapt`, `group=option` to
choose, `group.key=value` within the choice (`dataset.shots=1`, `algorithm.inner.lr=0.03`). A key that the class behind
a choice takes and that is not listed here is given with a plus sign (`+trainer.precision=bf16-mixed`). `null` is "not
set"; `${...}` is taken from another key.
"""


def reference(folder: Path = CONF) -> str:
    """The whole page: the two programs first, then group by group, option by option."""
    parts = [OPENING]
    for name in ("train", "adapt"):
        parts.append(f"## `python {name}.py`\n\n{section(folder / f'{name}.yaml')}")
    for group in sorted(p for p in folder.iterdir() if p.is_dir() and p.name not in ("hydra", "experiment")):
        parts.append(f"## `{group.name}=`\n")
        for path in sorted(group.rglob("*.yaml")):
            option = path.relative_to(group).with_suffix("").as_posix()
            shared = "/" in option  # included by the options, no choice of its own
            parts.append(f"### {'shared: ' if shared else ''}`{option}`\n\n{section(path)}")
    return "\n".join(parts)


def section(path: Path) -> str:
    """One YAML file: what its first comment says, what it includes, then a table of its keys."""
    lines = path.read_text(encoding="utf-8").splitlines()
    title = next((line[1:].strip() for line in lines if line.startswith("#") and "@package" not in line), "")
    included = [
        re.sub(r"\s+#.*", "", line.strip()[2:])
        for line in lines
        if line.startswith("  - ") and line.strip() != "- _self_"
    ]
    text = f"{title}\n" + (f"\nIncludes {', '.join(f'`{i}`' for i in included)}.\n" if included else "")
    rows = [f"| `{key}` | {f'`{value}`' if value else ''} | {comment} |" for key, value, comment in keys(lines)]
    return text + ("\n| key | value | |\n|---|---|---|\n" + "\n".join(rows) + "\n" if rows else "")


def keys(lines: list[str]) -> Iterator[tuple[str, str, str]]:
    """(dotted key, value, comment) of every line of a YAML file that has a value, block texts left out."""
    path: list[tuple[int, str]] = []
    block: int | None = None  # indentation of the key whose text we are in
    for line in lines:
        found = LINE.fullmatch(line)
        if not found or (block is not None and len(found["indent"]) > block):
            continue
        indent, value = len(found["indent"]), found["value"].strip()
        path = [*(p for p in path if p[0] < indent), (indent, found["key"])]
        block = indent if value == "|" or found["key"] == "defaults" else None
        if value and block is None:
            yield ".".join(key for _, key in path), value.replace("|", "\\|"), (found["comment"] or "# ")[2:]


if __name__ == "__main__":
    print(reference(), end="")

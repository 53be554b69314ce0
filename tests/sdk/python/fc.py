"""Functions of Function Compute for one server: real code in folders, or scripted replies, in a durastack.toml."""

import json


def configure(folder, functions):
    """Writes what `functions` says into `folder`; returns the flags that make durastack read it.

    `functions` maps a name to the text of a Python handler, to {file name: text} (index.js makes it
    Node), or to a list of replies.
    """
    lines = []
    for name, what in functions.items():
        lines.append(f"[fc.functions.{json.dumps(name)}]")
        if isinstance(what, list):
            lines.append(f"replies = [{', '.join(inline(reply) for reply in what)}]")
        else:
            files = {"index.py": what} if isinstance(what, str) else what
            code = folder / "functions" / name
            code.mkdir(parents=True)
            for file_name, text in files.items():
                (code / file_name).write_text(text, encoding="utf-8")
            lines.append(f'runtime = "{"nodejs20" if "index.js" in files else "python3.10"}"')
            lines.append('handler = "index.handler"')
            lines.append(f"code = {json.dumps(str(code))}")
        lines.append("")
    config = folder / "durastack.toml"
    config.write_text("\n".join(lines), encoding="utf-8")
    return ["--config", config]


def inline(value):
    """A JSON value as TOML on one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {inline(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(inline(each) for each in value) + "]"
    return json.dumps(value)

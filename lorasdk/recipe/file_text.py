"""Reads the text of a recipe's file, or says precisely why it cannot be read."""

from __future__ import annotations

from pathlib import Path

from lorasdk.errors import Problem, RecipeError

MAX_BYTES = 256 * 1024
"""Size of a recipe; real ones have a few kilobytes."""

IN_CODE = 'lorasdk.Recipe(name="…", data={"train": "rows.jsonl"})'


def read_recipe_file(path: Path) -> str:
    """Text of a UTF-8 file, with or without byte-order mark.

    Raises:
        RecipeError: no such file, a folder, no permission, Python code, too large, or another encoding.
    """
    if path.suffix == ".py":
        raise _error(
            path,
            "recipe.is-code",
            "a recipe is data, not Python code",
            f"write it as YAML, or build it in your program: FineTuner.from_recipe({IN_CODE})",
        )
    try:
        if path.is_dir():
            raise _error(path, "recipe.is-folder", "this is a folder", "name the recipe's file inside it")
        size = path.stat().st_size
        if size > MAX_BYTES:
            message = f"the file has {size} bytes; a recipe has at most {MAX_BYTES}"
            raise _error(path, "recipe.too-large", message, "put rows into data files")
        content = path.read_bytes()
    except FileNotFoundError as error:
        nearby = ", ".join(sorted(p.name for p in path.parent.glob("*.y*ml"))[:8]) if path.parent.is_dir() else ""
        fix = f"recipes in this folder: {nearby}" if nearby else "correct the path"
        raise _error(path, "recipe.no-such-file", "there is no such file", fix) from error
    except PermissionError as error:
        raise _error(path, "recipe.not-readable", "no permission to read this file", "chmod u+r the file") from error
    except OSError as error:
        raise _error(path, "recipe.not-readable", f"the file cannot be read: {error}", "correct the path") from error
    return _decode(content, path)


def _decode(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        utf16 = content[:2] in {b"\xff\xfe", b"\xfe\xff"}
        guess = "UTF-16" if utf16 else "perhaps Latin-1"
        message = f"byte {error.start} is not UTF-8 ({guess})"
        raise _error(path, "recipe.encoding", message, "save the file as UTF-8") from error


def _error(path: Path, code: str, message: str, fix: str) -> RecipeError:
    return RecipeError(Problem(code=code, message=message, place=str(path.absolute()), fix=fix))

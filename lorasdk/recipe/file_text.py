"""Reads the text of a recipe's file, or says precisely why it cannot be read."""

from __future__ import annotations

from pathlib import Path

from lorasdk.errors import Problem, RecipeError

MAX_BYTES = 256 * 1024
"""Size of a recipe's file; real ones have a few kilobytes."""

IN_CODE = 'lorasdk.Recipe(name="my-first", data={"train": "rows.jsonl"})'


def read_recipe_file(path: Path) -> str:
    """Text of a UTF-8 file, with or without byte-order mark.

    Raises:
        RecipeError: no such file, a folder, no permission, Python code, too large, or another encoding.
    """
    if path.suffix == ".py":
        fix = f"write it as YAML, or build it in your program: FineTuner.from_recipe({IN_CODE})"
        raise _error(path, "recipe.is-code", "a recipe is data, not Python code", fix)
    content = _content(path)
    if len(content) > MAX_BYTES:
        message = f"the file has more than {MAX_BYTES} bytes, which no recipe needs"
        raise _error(path, "recipe.too-large", message, "put rows into data files and name these in the recipe")
    return _decode(content, path)


def _content(path: Path) -> bytes:
    """The file's first bytes, one more than a recipe may have: neither a growing file nor a device tells its size."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        fix = _recipes_nearby(path)
        raise _error(path, "recipe.no-such-file", "there is no such file", fix) from error
    except IsADirectoryError as error:
        fix = _recipes_nearby(path / "recipe.yaml")
        raise _error(path, "recipe.is-folder", "this is a folder, not a recipe's file", fix) from error
    except PermissionError as error:
        fix = "allow it with `chmod u+r` or read it as another user"
        raise _error(path, "recipe.not-readable", "no permission to read this file", fix) from error
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        message = f"the file cannot be read: {error.strerror if isinstance(error, OSError) else error}"
        raise _error(path, "recipe.not-readable", message, "correct the path") from error


def _decode(content: bytes, path: Path) -> str:
    start = content[:4]
    if start[:2] in {b"\xff\xfe", b"\xfe\xff"} or b"\0" in start:
        at = 0 if start[:1] in {b"\xff", b"\xfe"} else start.index(b"\0")
        raise _encoding_error(path, content, at, "UTF-16 or UTF-32")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _encoding_error(path, content, error.start, "Latin-1 or Windows-1252, perhaps") from error


def _encoding_error(path: Path, content: bytes, at: int, guess: str) -> RecipeError:
    before = content[:at].split(b"\n")
    column = len(before[-1].decode("utf-8", "replace")) + 1
    return RecipeError(
        Problem(
            code="recipe.encoding",
            message=f"byte {at} (0x{content[at]:02X}) is not UTF-8",
            place=f"{path.absolute()}:{len(before)}:{column}",
            found=guess,
            allowed="UTF-8, with or without byte-order mark",
            fix="save the file as UTF-8",
        )
    )


def _recipes_nearby(path: Path) -> str:
    names = sorted(p.name for p in path.parent.glob("*.y*ml"))[:8] if path.parent.is_dir() else []
    return f"recipes in this folder: {', '.join(names)}" if names else "correct the path"


def _error(path: Path, code: str, message: str, fix: str) -> RecipeError:
    return RecipeError(Problem(code=code, message=message, place=str(path.absolute()), fix=fix))

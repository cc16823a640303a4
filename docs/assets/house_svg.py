"""Draws who imports whom between the rooms, from the code and from the order of the layers in pyproject.toml.

    python docs/assets/house_svg.py

A line imports a column. Every mark lies right of the diagonal, because imports look down only.
"""

import tomllib
from pathlib import Path

import grimp
from drawing import BLUE, DEEP, FAINT, GREY, LINE, MONO, Drawing

ROOT = Path(__file__).parents[2]
PICTURE = Path(__file__).with_name("house.svg")
CELL, LEFT, TOP = 18, 150, 140


def layers() -> list[list[str]]:
    """The rooms, from the roof down; those of one layer do not see each other."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    doors = next(contract for contract in contracts if contract["type"] == "layers" and "name" in contract)
    return [[name.strip() for name in layer.replace(":", "|").split("|")] for layer in doors["layers"]]


def imports(rooms: list[str]) -> list[tuple[str, str]]:
    """Which room imports which."""
    graph = grimp.build_graph("lorasdk", cache_dir=None)
    pairs = {
        (_room(importer, rooms), _room(imported, rooms))
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
    }
    return sorted((here, there) for here, there in pairs if here and there and here != there)


def _room(module: str, rooms: list[str]) -> str:
    """The longest name that the module lies in; empty for the package itself."""
    return max((room for room in rooms if f"{module}.".startswith(f"{room}.")), key=len, default="")


def draw() -> Drawing:
    floors = layers()
    rooms = [room for floor in floors for room in floor]
    side = CELL * len(rooms)
    sheet = Drawing(LEFT + side + 24, TOP + side + 44, title="Which room of lorasdk imports which")
    _floors(sheet, floors)
    for number, room in enumerate(rooms):
        middle = TOP + CELL * number + CELL / 2
        sheet.text(LEFT - 10, middle + 4, _short(room), size=12, anchor="end", font=MONO)
        sheet.upright(LEFT + CELL * number + CELL / 2 + 4, TOP - 10, _short(room), size=12)
    for here, there in imports(rooms):
        x, y = LEFT + CELL * rooms.index(there), TOP + CELL * rooms.index(here)
        sheet.rect(x + 3, y + 3, CELL - 6, CELL - 6, fill=DEEP[BLUE], round_=3)
    sheet.text(LEFT, TOP + side + 26, "a line imports a column; grey: siblings, which do not", size=12, fill=FAINT)
    return sheet


def _floors(sheet: Drawing, floors: list[list[str]]) -> None:
    """A stripe for every other floor, and the diagonal of rooms with themselves."""
    side, top = CELL * sum(map(len, floors)), 0
    for number, floor in enumerate(floors):
        high = CELL * len(floor)
        if number % 2 == 0:
            sheet.rect(LEFT, TOP + top, side, high, fill=GREY)
        sheet.rect(LEFT + top, TOP + top, high, high, fill=LINE)
        top += high


def _short(room: str) -> str:
    return room.removeprefix("lorasdk.")


if __name__ == "__main__":
    draw().save(PICTURE)
    print(PICTURE)

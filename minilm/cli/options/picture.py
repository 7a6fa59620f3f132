"""The file of a picture, whose ending is checked before any work is done."""

from __future__ import annotations

from pathlib import Path

import click

from minilm.errors import MinilmError

__all__ = ["PictureFile"]


class PictureFile(click.ParamType):
    """A file that ends in .png or .svg, which `minilm.faces.plots.save_picture` can write."""

    name = "picture"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the file as it was typed. Raises MinilmError for another ending."""
        if Path(value).suffix.lower() not in (".png", ".svg"):
            raise MinilmError(
                f"a picture is saved as .png or .svg, got {Path(value).name!r}; change the file's ending"
            )
        return value

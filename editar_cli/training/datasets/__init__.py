"""Data sets of picture pairs: one file per published schema, each a name in ``SCHEMAS``.

A schema says which columns a row has and what pair they make. Where the rows lie is another
matter: ``training.tables`` reads local ones, ``training.streams`` those of the hub and of tar
shards. Adding a data set is one file here and its name in the list.
"""

from editar_cli.training.datasets import (
    coco_stuff,
    folder,
    instruct_pix2pix,
    listing,
    magic_brush,
    multigen,
    pipe,
    seed_data_edit,
    shards,
)
from editar_cli.training.datasets._schema import Schema

SCHEMAS: dict[str, Schema] = {
    schema.name: schema
    for schema in (
        folder.SCHEMA,
        listing.SCHEMA,
        shards.SCHEMA,
        seed_data_edit.SCHEMA,
        pipe.SCHEMA,
        multigen.DEPTH,
        multigen.CANNY,
        coco_stuff.SCHEMA,
        instruct_pix2pix.SCHEMA,
        magic_brush.SCHEMA,
    )
}

"""Cut-outs of local edits, split once and for all into training and kept-out ones."""

from pathlib import Path

from editar_cli.errors import TrainingError, UsageError
from editar_cli.synthesis.cutouts import Cutouts, read_cutouts
from editar_cli.training.photos import split


def split_cutouts(folder: Path, keep_out_every: int) -> tuple[Cutouts, Cutouts]:
    """(training, validation): each ``keep_out_every``-th cut-out is never seen in training.

    Validation shows kept-out things, to be taken away, replaced or painted. What it asks to be
    drawn are things of training: nothing is to be learned about a model that is asked for a thing
    nobody showed it.

    Raises:
        TrainingError: there is no such folder, or too few cut-outs in it.
    """
    try:
        found = read_cutouts(folder)
    except UsageError as error:
        raise TrainingError(f"{error}; set local_share to 0 to train without") from error
    train, kept = split([folder / name for name in found], keep_out_every)
    if not train or not kept:
        raise TrainingError(
            f"{folder}: {len(found)} usable cut-outs leave none to "
            f"{'validate' if train else 'train'} with keep_out_every = {keep_out_every}"
        )
    known = [found[path.name] for path in train]
    return Cutouts(known, known), Cutouts([found[path.name] for path in kept], known)

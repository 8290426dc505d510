"""Which maps a run works with: what a person asked for, and the extractor that is chosen."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

from editar_cli.errors import UsageError
from editar_cli.modes import load_mode
from editar_cli.modes._mode import Extractor, ExtractorSettings, Mode


@dataclass(frozen=True, kw_only=True)
class MapSettings:
    """How maps come about.

    Args:
        mode: name of the mode.
        extractor: name of the extractor; ``None`` takes what suits the model.
        extracting: what a person set of it.
        input: the sources are photographs, or maps already.
        invert: maps that are given are the other way round.
        preview: make source, map and result side by side.

    Raises:
        UsageError: two of these contradict each other, or a name is not known.
    """

    mode: str
    extractor: str | None = None
    extracting: ExtractorSettings = field(default_factory=ExtractorSettings)
    input: Literal["photo", "map"] = "photo"
    invert: bool = False
    preview: bool = False

    def __post_init__(self) -> None:
        if self.input not in ("photo", "map"):
            raise UsageError(f"--input {self.input}: must be photo or map")
        mode = load_mode(self.mode)
        given = {k: v for k, v in asdict(self.extracting).items() if v is not None}
        given.pop("device")
        if self.input == "map":
            for name in ("extractor", *given):
                if name != "extractor" or self.extractor is not None:
                    flag = _flag(name)
                    raise UsageError(f"{flag} and --input map: a ready-made map is not extracted")
        elif self.invert:
            raise UsageError("--invert is for maps: give it with --input map")
        if self.extractor is not None:
            chosen = mode.extractor(self.extractor)
            self.check_taken(chosen)

    def on(self, device: str) -> "MapSettings":
        """The same with networks on ``device``."""
        return replace(self, extracting=replace(self.extracting, device=device))

    def check_taken(self, chosen: Extractor) -> None:
        """Refuse settings that the extractor would not listen to."""
        given = {k for k, v in asdict(self.extracting).items() if v is not None} - {"device"}
        if strange := sorted(given - chosen.takes):
            takes = ", ".join(_flag(name) for name in sorted(chosen.takes)) or "no settings"
            raise UsageError(f"{_flag(strange[0])}: extractor {chosen.name} takes {takes}")


def _flag(name: str) -> str:
    return "--extractor-weights" if name == "weights" else f"--{name}"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The extractor of a run and what the person should know about it."""

    mode: Mode
    extractor: Extractor
    style: str
    notes: tuple[str, ...] = ()


def choose_extractor(settings: MapSettings, suited: Mapping[str, Sequence[str]]) -> Choice:
    """The extractor asked for, or the best of those that suit the model and are at hand.

    Args:
        settings: mode and, where the person named one, extractor.
        suited: the model's own list for each mode, the best first (``BundleConfig.extractors``).

    Raises:
        UsageError: a setting that the extractor does not take.
    """
    mode = load_mode(settings.mode)
    names = list(suited.get(mode.name, ()))
    notes = []
    if not names:
        notes.append(f"this model was not trained on {mode.name} maps: do not expect much")
        names = list(mode.extractors)
    trained_with = mode.extractor(names[-1])
    if settings.extractor is not None or settings.input == "map":
        chosen = mode.extractor(settings.extractor or names[-1])
    else:
        at_hand = [name for name in names if mode.extractor(name).at_hand()]
        chosen = mode.extractor(at_hand[0] if at_hand else names[0])
        if at_hand and chosen.name != names[0]:
            better = mode.extractors[names[0]]
            size = f" ({better.download.megabytes} MB)" if better.download is not None else ""
            notes.append(
                f"{mode.name} maps by {chosen.name}: {chosen.summary}. "
                f"Better ones are not on this machine; --extractor {better.name} gets one{size}"
            )
        settings.check_taken(chosen)
    download = chosen.download
    needs = settings.input == "photo" and settings.extracting.weights is None
    if needs and download is not None and not chosen.at_hand():
        notes.append(
            f"extractor {chosen.name}: its weights, {download.repository} "
            f"({download.megabytes} MB), come from the model hub unless they are there"
        )
    return Choice(mode=mode, extractor=chosen, style=trained_with.style, notes=tuple(notes))

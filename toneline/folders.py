"""Where the settings put things on this host."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from config.settings import Settings

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Folders:
    """The files and folders of one installation, absolute.

    `asterisk_sounds` is the sounds folder as Asterisk's host sees it.
    """

    var: Path
    sounds: Path
    asterisk_sounds: str
    database_url: str
    directories: Path
    branches: Path
    messages: Path
    language: str

    @classmethod
    def of(cls, settings: Settings) -> Folders:
        """Return the folders the settings name."""
        var = Path(settings.paths.var).absolute()
        sounds = var / "sounds"
        return cls(
            var=var,
            sounds=sounds,
            asterisk_sounds=settings.agi.sounds or str(sounds),
            database_url=settings.database.url or f"sqlite:///{var / 'toneline.db'}",
            directories=Path(settings.paths.directories),
            branches=Path(settings.paths.branches),
            messages=Path(settings.paths.messages),
            language=settings.line.language,
        )

    @property
    def kept(self) -> Path:
        """Where requests wait that the store could not take."""
        return self.var / "kept"

    @property
    def prompts_file(self) -> Path:
        """The language's prompts: texts and sentences."""
        return self.messages / self.language / "prompts.toml"

    @property
    def texts_file(self) -> Path:
        """The language's SMS texts."""
        return self.messages / self.language / "sms.toml"

    @property
    def recorded_prompts(self) -> Path:
        """Where an operator puts recorded prompts; they win over the rendered ones."""
        return self.messages / self.language / "recorded"

    def speech(self, language: str) -> Path:
        """Return the rendered prompts and titles that come with the program."""
        return ROOT / "audio" / "speech" / language

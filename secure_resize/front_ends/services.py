"""Chat services: what their pages say about sizes. None says by which filter it scales."""

from __future__ import annotations

from collections.abc import Callable

from .rows import FRONT_ENDS, NOT_PUBLISHED, PLAUSIBLE, FrontEnd
from .rules import largest_of_patches, patches, tiles_of_short_side, token_budget, within

__all__: list[str] = []

Size = tuple[int, int]
DATE = "2026-11"
CLAUDE = "https://platform.claude.com/docs/en/build-with-claude/vision"
OPENAI = "https://developers.openai.com/api/docs/guides/images-vision"
GEMINI = "https://ai.google.dev/gemini-api/docs/media-resolution"


def _service(
    name: str, versions: str, rule: str, sizes: Callable[[int, int], list[Size]], evidence: str, *, own: bool
) -> None:
    FRONT_ENDS.add(
        FrontEnd(name, versions, rule, sizes, PLAUSIBLE, NOT_PUBLISHED, None, evidence, DATE, own)
    )  # fmt: skip


_service(
    "claude:3-4",
    "Claude 3 to 4, the web and the API",
    "longest edge at most 1568 pixels, and about 1600 tokens of 750 pixels",
    lambda h, w: [token_budget(h, w, 1568, 1600, 750)],
    CLAUDE,
    own=True,
)
_service(
    "claude:newer",
    "models with high-resolution pictures, from Claude Opus 4.7 on",
    "longest edge at most 2576 pixels, and 4784 tokens, patches of 28 pixels",
    lambda h, w: [largest_of_patches(h, w, 4784, 28, 2576)],
    f"{CLAUDE}-coordinates says that both limits hold; the numbers are secondary",
    own=False,
)
_service(
    "claude-code:sharp",
    "Claude Code",
    "fit into 2000×2000 by sharp, whose own default is Lanczos 3 with antialiasing",
    lambda h, w: [within(h, w, 2000, 2000)],
    "an issue of another project",
    own=False,
)
_service(
    "gpt:4o",
    "GPT-4o, 4.1, detail=high",
    "fit into 2048×2048, then the shorter edge at most 768; tiles of 512",
    lambda h, w: [_high(h, w)],
    f"{OPENAI}; the sizes as others quote it",
    own=False,
)
_service(
    "gpt:4o-low",
    "GPT-4o, 4.1: detail=low, and the overview that detail=high begins with",
    "fit into 512×512",
    lambda h, w: [within(h, w, 512, 512)],
    OPENAI,
    own=True,
)
_service(
    "gpt:5-mini",
    "GPT-5 mini, o4-mini, 4.1 mini and nano",
    "at most 1536 patches of 32 pixels",
    lambda h, w: [patches(h, w, 1536, 32)],
    OPENAI,
    own=True,
)
_service(
    "gpt:5.4-high",
    "GPT-5.4 and 5.5, detail=high",
    "at most 2500 patches of 32 pixels, longest edge at most 2048",
    lambda h, w: [patches(h, w, 2500, 32, 2048)],
    f"{OPENAI}; the numbers as others quote it",
    own=False,
)
_service(
    "gpt:5.4-original",
    "GPT-5.4 and 5.5, detail=original",
    "at most 10000 patches of 32 pixels, longest edge at most 6000",
    lambda h, w: [patches(h, w, 10_000, 32, 6000)],
    f"{OPENAI}; the numbers as others quote it",
    own=False,
)
_service(
    "gpt:5.6",
    "GPT-5.6, 6",
    "not resized; above 30000 patches of 32 pixels refused",
    lambda h, w: [(h, w)],
    f"{OPENAI}; as others quote it",
    own=False,
)
_service(
    "gemini:2",
    "Gemini 2 and 2.5",
    "up to 384 pixels a side as it is; else tiles of 768, the shorter edge being one and a half of them",
    lambda h, w: [tiles_of_short_side(h, w, 384, 768)],
    "https://ai.google.dev/gemini-api/docs/tokens; how tiles are cut is secondary",
    own=False,
)
_service(
    "gemini:overview",
    "Gemini 2 and later, low media_resolution: one tile",
    "one picture of 768×768, or of 384 where it is no larger",
    lambda h, w: [(h, w) if max(h, w) <= 384 else within(h, w, 768, 768)],
    f"{GEMINI}; the tile's size is secondary",
    own=False,
)
_service(
    "codex-cli:2048",
    "Codex CLI 0e862925",
    "fit into 2048×768 by the image crate's Triangle, before the service's own rule",
    lambda h, w: [within(h, w, 768, 2048)],
    "codex-rs/utils/image/src/lib.rs",
    own=True,
)


def _high(height: int, width: int) -> Size:
    height, width = within(height, width, 2048, 2048)
    scale = 768 / min(height, width)
    return (height, width) if scale >= 1 else (max(round(height * scale), 1), max(round(width * scale), 1))

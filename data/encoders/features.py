"""Features of images, an image encoder's output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Features:
    """The features of n images: ``content`` float32 [n, d] in unit rows; ``style`` float32 [n, s]; ``crops``
    float32 [n, c, s], the style of each image's crops."""

    content: NDArray[np.float32]
    style: NDArray[np.float32]
    crops: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.content)

    def __getitem__(self, rows: Any) -> Features:
        return Features(self.content[rows], self.style[rows], self.crops[rows])

    @classmethod
    def concatenate(cls, parts: Sequence[Features]) -> Features:
        """Joins batches."""
        import numpy as np

        content, style, crops = zip(*((part.content, part.style, part.crops) for part in parts), strict=True)
        return cls(np.concatenate(content), np.concatenate(style), np.concatenate(crops))

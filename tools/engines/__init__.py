"""Real engines that run on a machine without a GPU, built or installed once from pinned sources."""

from engines.programs import Engines

__all__ = ["Engines"]

"""All audited networks by name."""

from __future__ import annotations

from tests.flatness import attention, dense, sequences, spatial

NETWORKS = {each.name: each for part in (dense, spatial, attention, sequences) for each in part.NETWORKS}
"""In the order of the published table."""

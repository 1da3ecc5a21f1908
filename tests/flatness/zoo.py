"""All audited networks by name."""

from __future__ import annotations

from tests.flatness import attention, dense, linear, norms, sequences, spatial, streams

PARTS = (linear, dense, norms, spatial, attention, streams, sequences)

NETWORKS = {each.name: each for part in PARTS for each in part.NETWORKS}
"""In the order of the published table."""

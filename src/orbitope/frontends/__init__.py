"""Front ends: a traced program in, a Graph out. Only they know the tracer."""

from orbitope.frontends.graphs import graphs
from orbitope.frontends.torch_export import lower
from orbitope.frontends.tracing import trace

__all__ = ["graphs", "lower", "trace"]

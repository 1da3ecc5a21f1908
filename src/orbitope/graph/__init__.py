"""Axis terms, nodes and graphs: the vocabulary shared by front ends, primitives and analyses."""

from orbitope.graph.index import Axes, Indexing, Label, Product, Sum, Term, labels
from orbitope.graph.program import Attributes, Graph, Node, Parameter

__all__ = [
    "Attributes",
    "Axes",
    "Graph",
    "Indexing",
    "Label",
    "Node",
    "Parameter",
    "Product",
    "Sum",
    "Term",
    "labels",
]

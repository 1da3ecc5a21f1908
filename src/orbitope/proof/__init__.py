"""Proofs of non-convexity: witnesses, certificates, and the checker that stands alone in ``check.py``."""

from orbitope.proof.certificate import Certificate
from orbitope.proof.prover import Claim, NotProven, certify, prove
from orbitope.proof.verdict import check as check_certificate

__all__ = ["Certificate", "Claim", "NotProven", "certify", "check_certificate", "prove"]

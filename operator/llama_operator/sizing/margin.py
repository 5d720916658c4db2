"""How far an estimate may be off for what has not been measured."""

from typing import Final

from llama_operator.sizing.engine_budget import Budgeting, EngineRules
from llama_operator.units import GIB, format_gib

UNMEASURED_MARGIN_BYTES: Final = GIB
"""Error per GPU that is stated for engine versions without measured rows. Estimate: three starts of
one model under vLLM 0.23 left 0.9 GiB more than the rules of 0.19 say, where 95 of 100 measured
rows are within 0.26 GiB (docs/accuracy.md)."""
FIRST_MEASURED: Final = (0, 5)
BELOW_MEASURED: Final = (0, 20)
"""Versions of vLLM with measured rows; memory model, section 9."""


def is_measured(rules: EngineRules) -> bool:
    """Whether starts of this version of vLLM were compared with what is computed."""
    of_vllm = rules.budgeting is Budgeting.UTILIZATION
    return of_vllm and FIRST_MEASURED <= rules.version < BELOW_MEASURED


def margin_text(rules: EngineRules, version: str) -> str:
    """What is not measured of an engine version, in a clause; empty for measured ones.

    Args:
        rules: of the engine version.
        version: as people write it.
    """
    margin = format_gib(UNMEASURED_MARGIN_BYTES)
    name = f"{rules.engine} {version}".rstrip()
    if rules.budgeting is not Budgeting.UTILIZATION:
        return (
            f"no profile of {rules.engine} is published; all but weights and KV cache are guesses"
        )
    if is_measured(rules):
        return ""
    return f"{name} has not been measured: the KV cache may differ by {margin} per GPU"

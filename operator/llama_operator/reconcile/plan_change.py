"""What a new plan changes, in one sentence for people. Pure."""

from llama_operator.api.plan import Plan


def planned_note(old: Plan | None, new: Plan) -> str:
    """What was planned, after what became different.

    Args:
        old: the plan before; None for the first one.
        new: the plan that takes its place.
    """
    if old is None:
        return new.summary
    before, after = _facts(old), _facts(new)
    changes = [
        f"{name} {before[name]} -> {after[name]}" for name in after if before[name] != after[name]
    ]
    return "; ".join([*changes, new.summary])


def _facts(plan: Plan) -> dict[str, str]:
    """What pods are started with, by the words of people."""
    return {
        "model": f"{plan.model} {plan.size}",
        "format": f"{plan.format} ({plan.quantization})",
        "repository": plan.repository,
        "engine": f"{plan.engine} {plan.engine_version}",
        "image": plan.image,
        "GPUs": plan.gpus,
        "context": f"{plan.max_model_len:,}",
        "concurrency": f"{plan.concurrency:,}",
        "KV cache dtype": plan.kv_cache_dtype,
        "utilization": f"{plan.utilization_percent} %",
        "sequences": f"{plan.max_num_seqs:,}",
        "tokens a step": f"{plan.max_num_batched_tokens:,}",
    }

"""llama-operator: one LlamaDeployment becomes a sized, placed and served LLM."""

__version__ = "0.1.0"

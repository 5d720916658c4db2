"""Models as tensors: from a Hugging Face `config.json` to the shape of everything it holds."""

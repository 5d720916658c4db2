"""Model facts from Hugging Face and ModelScope: what a repository holds, without its weights."""

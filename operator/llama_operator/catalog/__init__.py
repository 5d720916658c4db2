"""Tables of models, publications, GPUs, schemes and engine versions, with typed readers."""

"""From spec, catalog and inventory to a plan or a refusal. Pure."""

"""A plan as files of other tools: one exporter, one file, one line in ``registry.EXPORTERS``."""

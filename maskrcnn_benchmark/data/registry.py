"""The classes of data sets by name; docs/EXTENDING.md shows how to add one."""

from maskrcnn_benchmark.config.registry import Registry

# A ``factory`` of the paths catalog, or a FACTORY of DATASETS.CUSTOM; an ``AnnotatedImages``
DATASETS = Registry("FACTORY")

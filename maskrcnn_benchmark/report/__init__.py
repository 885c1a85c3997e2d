"""Self-contained HTML reports on predictions: pages, pictures of instances, files to compare."""

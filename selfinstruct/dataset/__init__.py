"""Datasets in files: read, export, deduplicate, decontaminate, import, describe."""

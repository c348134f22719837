"""Datasets in runs and files: read, filter, export, deduplicate, decontaminate, import, describe."""

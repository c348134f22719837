"""Writes an export's dataset card: a README.md that helps people decide whether to use the data.

    card_of(facts_of(run), exported, terms) → Card(text="---…", missing=("the dataset's licence: …",))

The card takes its facts from the run. The user supplies the licences and the model's terms; the card lists
whatever is missing. Model names, file names and generated texts are untrusted: none of them can break the
front matter, a table or a fenced code block.

A card depends only on the run and the export: it contains no times, costs, addresses or directories. The same
run and the same options produce the same bytes. This package writes no files.
"""

"""The dataset card of an export: a README.md that helps people decide whether to use the data. Pure.

    card_of(facts_of(run), exported, terms) → Card(text="---…", missing=("the licence of the dataset: …",))

The card takes its facts from the run. A person gives licences and the terms of the model; the card says what
is missing. Names of models and files and all generated text are hostile: none of it can break the front
matter, a table or a fence.

A card depends on the run and the export only: it has no times, costs, addresses or folders. The same run and
the same options give the same bytes.
"""

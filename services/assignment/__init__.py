"""assignment: who looks at what, and when.

Reads items, predictions, escalations, labels, relabels, quality and erasures; projects, guidelines, models and gold
items as references. Writes routes, annotations, refreshes, quality (what leads decide of people), gold
items that experts decided, and the labels of what it accepts without a person. Owns the state of every item (DESIGN
section 3), the queue, the leases, the people and their tokens, and the HTTP API that they work with.
"""

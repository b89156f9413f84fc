"""qc: from what people answered to a label with a known basis.

Reads annotations, labels, quality, erasures, projects, guidelines and gold answers; writes labels, escalations,
quality, relabels, and the gold answers that experts gave. Owns the raw annotations, the rounds that people answered,
the integer counts of what annotators answered when what was true, scores of gold answers, how people work and who is
trusted, and numbered snapshots: batches fitted to recent answers. It judges the records of annotations and gold
answers.

Facts (annotations, live labels, ends of rounds, gold scores, counts) come out the same for any interleaving of the
topics and any repeats. A decision uses the newest snapshot, is made once, and names it; a rebuilt qc reads its own
output first and decides nothing again.
"""

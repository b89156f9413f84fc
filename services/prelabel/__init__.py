"""prelabel: proposes a label for every item, or says why it cannot.

Reads `items.v1` and `refreshes.v1` in batches; `projects.v1`, `models.v1` and `erasures.v1` as references; and, by the
project files alone, any topic of yours as a source.
Writes `predictions.v1`; of a model on trial `shadow_predictions.v1`; from sources `items.v1` and `predictions.v1`; the
dead letters of sources and of refreshes.
Owns no database: ids are derived, so publishing twice after a crash has one effect. Its only state is the directory of
model files by content hash, and the offsets that Kafka keeps for its groups.

Fresh items come first. Both topics share one inference worker, first come first served; a batch of refreshes holds a
tenth of the records of a batch of items, so under load refreshes get about a tenth of the capacity, and all of it when
nothing fresh arrives.
"""

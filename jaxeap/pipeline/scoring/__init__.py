"""Edge scores of one model on a list of texts, made batch by batch and kept shard by shard.

texts         what is scored
mean          the mean of the sources, for the ablation that takes it
score         the scores, in batches
scores        their shards on disk
score_means   means over them, shard by shard
score_stream  as the metrics read them
"""

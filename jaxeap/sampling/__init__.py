"""Generation with a key/value cache: from questions, or plain token lists, to answers.

options         how answers are drawn, when they end, and how much memory that may take
generate        the driver for lists of prompts of any lengths
continuous      continuous batching: rows whose answers have ended take the next prompts
step            the compiled programs: prompts into the cache, and several tokens for every row
paged_cache     the cache of blocks; block_pool says which are free, cache_form how it lies on a kind of device
block_attention attention over the cache
draw            the next token: greedy, temperature, top-k, top-p
stop_strings    texts that end an answer
throughput      the progress bar with tokens a second
respond         from questions to responses
batching        prompts of like length together, padded to few different lengths
complete        a batch of padded prompts answered in one jitted call, with log-probabilities: what RL rolls out with
"""

from jaxeap.sampling.complete import Completions, complete
from jaxeap.sampling.continuous import Answer
from jaxeap.sampling.generate import answers, generate
from jaxeap.sampling.options import SamplingOptions
from jaxeap.sampling.respond import respond

__all__ = ["Answer", "Completions", "SamplingOptions", "answers", "complete", "generate", "respond"]

"""Generation with a key/value cache: from questions, or plain token lists, to answers.

complete   the jitted core: padded prompts in, tokens with their log-probabilities out; also what RL rolls out with
generate   the driver for lists of prompts of any lengths
batching   prompts of like length together, padded to few different lengths
respond    from questions to responses
"""

from jaxeap.sampling.complete import Completions, complete
from jaxeap.sampling.generate import generate
from jaxeap.sampling.respond import respond

__all__ = ["Completions", "complete", "generate", "respond"]

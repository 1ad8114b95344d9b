"""The main job: from two models and questions to a table of what changed, stage by stage, in a work directory.

settings    every setting with its default; `default_config`
validation  which values cannot be run
runner      walks the stages: reuses, continues, repairs or makes each; `run_pipeline`
stage       what a stage is, and the manifest in its folder
link        finished stages taken over from other work directories
provenance  what a run was made of, by hashes
stages/     respond, grade, select, attribute, ..., contrast, controls, report
planning/   what a run takes, before any weight is read
inputs/     questions, prompts, the two models
scoring/    edge scores of one model on a list of texts
execution/  batches, memory that runs out, rates, signals
storage/    the work directory: whole files, checksums, the lock
grid        many runs as one; `compare` sets finished ones side by side
null_pair   a control's own run
summary     what a run says at its end
"""

from jaxeap.pipeline.runner import StageOutcome, run_pipeline
from jaxeap.pipeline.settings import default_config

__all__ = ["StageOutcome", "default_config", "run_pipeline"]

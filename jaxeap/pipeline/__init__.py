"""The main job: from two models and questions to a table of what changed, stage by stage, in a work directory.

settings      every setting with its default; `default_config`
runner        walks the stages: reuses, continues, repairs or makes each; `run_pipeline`
summary       what a run says at its end
stages/       respond, grade, select, attribute, contrast, circuits, weights, exports, report
stage         what a stage is, and the manifest in its folder
fingerprint   what a result depends on, as one hash
workdir       the lock, and where superseded results go
artifacts     files that are there whole or not at all
scores        edge scores on disk
"""

from jaxeap.pipeline.runner import StageOutcome, run_pipeline
from jaxeap.pipeline.settings import default_config

__all__ = ["StageOutcome", "default_config", "run_pipeline"]

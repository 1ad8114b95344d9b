"""The stages, in their order."""

from jaxeap.pipeline.stage import Stage
from jaxeap.pipeline.stages.attribute import ATTRIBUTE
from jaxeap.pipeline.stages.audit import AUDIT_STAGE
from jaxeap.pipeline.stages.bands import BANDS
from jaxeap.pipeline.stages.circuits import CIRCUIT_CONTRAST
from jaxeap.pipeline.stages.contrast import CONTRAST
from jaxeap.pipeline.stages.controls import CONTROL
from jaxeap.pipeline.stages.correlates import CORRELATES_STAGE
from jaxeap.pipeline.stages.divergence import DIVERGENCE
from jaxeap.pipeline.stages.exports import EXPORTS
from jaxeap.pipeline.stages.grade import GRADE
from jaxeap.pipeline.stages.report import REPORT
from jaxeap.pipeline.stages.respond import RESPOND
from jaxeap.pipeline.stages.select import SELECT
from jaxeap.pipeline.stages.truncations import TRUNCATIONS
from jaxeap.pipeline.stages.weights import WEIGHTS

STAGES: tuple[Stage, ...] = (
    RESPOND,
    GRADE,
    SELECT,
    ATTRIBUTE,
    AUDIT_STAGE,
    TRUNCATIONS,
    BANDS,
    DIVERGENCE,
    CONTRAST,
    CIRCUIT_CONTRAST,
    WEIGHTS,
    CONTROL,
    CORRELATES_STAGE,
    EXPORTS,
    REPORT,
)

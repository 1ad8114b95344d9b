"""The mean of two gradients, against the published code and against the two ends taken one by one."""

import numpy as np
import pytest

import jaxeap
from jaxeap.attribution.batch import Batch
from tests.attribution.closeness import assert_scores_close
from tests.attribution.reference_data import REFERENCE_SAMPLE, ReferenceModel
from tests.attribution.tiny import TinyModel


@pytest.mark.parametrize("reference", REFERENCE_SAMPLE, indirect=True)
def test_reference_code(reference: ReferenceModel):
    result = jaxeap.attribute(
        reference.model, reference.batch, method="clean_corrupted", level="head", ablation="corrupted"
    )
    assert_scores_close(result.scores, reference.head_array("clean_corrupted"), 2e-5)


def test_is_the_mean_of_both_ends(tiny: TinyModel, batch: Batch):
    both = jaxeap.attribute(tiny.model, batch, method="clean_corrupted", ablation="corrupted")
    ends = [
        jaxeap.attribute(tiny.model, batch, method="eap_ig_inputs", ablation="corrupted", steps=1, rule=rule)
        for rule in ("left", "right")
    ]
    assert_scores_close(both.scores, np.mean([end.scores for end in ends], axis=0), 2e-6)

import json
import shutil

import pytest

from jaxeap.pipeline.inputs.pair import ROLES, require_same_architecture


def test_roles_are_in_the_order_of_training():
    assert ROLES == ("base", "tuned")


def test_same_shape_passes_and_another_is_refused(pair_folder, tmp_path):
    require_same_architecture(pair_folder / "base", pair_folder / "tuned")
    other = shutil.copytree(pair_folder / "tuned", tmp_path / "other")
    attributes = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(attributes | {"vocab_size": 64, "rms_norm_eps": 1e-5}))
    require_same_architecture(pair_folder / "base", other)
    (other / "config.json").write_text(json.dumps(attributes | {"intermediate_size": 48}))
    with pytest.raises(ValueError, match=r"not two states of one model: mlp_dim 24 and 48"):
        require_same_architecture(pair_folder / "base", other)

from jaxeap.report.page.strip import Strip, common_limit, own_strip, strip


def test_places_by_hand():
    assert strip(1.0, {"low": -1.0, "high": 2.0}, limit=4.0) == Strip(50.0, 37.5, 37.5, 62.5, apart=False)
    assert strip(-2.0, [-4.0, -1.0], limit=4.0) == Strip(50.0, 0.0, 37.5, 25.0, apart=True)


def test_what_lies_beyond_the_limits_is_cut_and_what_is_missing_is_not_drawn():
    assert strip(9.0, [-9.0, 9.0], limit=1.0) == Strip(50.0, 0.0, 100.0, 100.0, apart=False)
    assert strip(None, None, limit=1.0) == Strip(50.0, None, None, None, apart=False)
    assert strip(0.0, [0.0, 0.0], limit=1.0).width == 0.5, "a point remains to be seen"


def test_an_interval_that_ends_at_zero_holds_it():
    assert not own_strip(1.0, [0.0, 2.0]).apart
    assert own_strip(1.0, [1e-9, 2.0]).apart


def test_common_limit_holds_everything():
    assert common_limit([(1.0, (-3.0, 2.0)), (None, None)]) == 1.08 * 3
    assert common_limit([]) == common_limit([(0.0, (0.0, 0.0))]) == 1.0

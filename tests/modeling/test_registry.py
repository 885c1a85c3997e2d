"""Config names and the entries registered under them."""

import pytest

from maskrcnn_benchmark.config import make_default_config
from maskrcnn_benchmark.config.registry import Registry


def make_registry():
    heads = Registry("MODEL.RPN.RPN_HEAD", facts=("size",))

    def check(cfg):
        if cfg.MODEL.MASK_ON:
            yield "MODEL.MASK_ON must be False"

    @heads.register("SingleConvRPNHead", size=3, check=check)
    def build_single(cfg, channels):
        return cfg.MODEL.RPN.RPN_HEAD, channels

    @heads.register("DeepRPNHead", "lib:", size=5)
    def build_deep(cfg):
        return cfg.MODEL.RPN.RPN_HEAD

    return heads, build_single, build_deep


def test_registered_entries_are_found_built_and_checked():
    heads, build_single, build_deep = make_registry()
    assert heads.names() == ["SingleConvRPNHead", "DeepRPNHead", "lib:"]
    assert heads["SingleConvRPNHead"] is build_single
    assert heads.entry("SingleConvRPNHead").facts == {"size": 3}
    assert heads["lib:some_name"] is build_deep
    cfg = make_default_config()
    assert heads.build(cfg, 8) == ("SingleConvRPNHead", 8)
    assert list(heads.check(cfg)) == []
    cfg.MODEL.MASK_ON = True
    assert list(heads.check(cfg)) == ["MODEL.MASK_ON must be False"]
    cfg.MODEL.RPN.RPN_HEAD = "lib:some_name"
    assert heads.build(cfg) == "lib:some_name"
    assert list(heads.check(cfg)) == []


def test_an_unknown_name_is_reported_with_the_nearest():
    heads, _, _ = make_registry()
    message = "MODEL.RPN.RPN_HEAD is 'DeepRPN', which is not registered; known: DeepRPNHead, "
    with pytest.raises(ValueError, match=message):
        heads["DeepRPN"]
    cfg = make_default_config()
    for unknown in ("DeepRPN", "lib", "other:name", ""):
        assert not heads.has(unknown)
        cfg.MODEL.RPN.RPN_HEAD = unknown
        (problem,) = heads.check(cfg)
        assert problem.startswith(f"MODEL.RPN.RPN_HEAD is {unknown!r}")


def test_names_are_unique_and_entries_are_complete():
    heads, _, _ = make_registry()

    def build_other(cfg):
        return cfg

    with pytest.raises(
        ValueError, match=r"'DeepRPNHead' is already registered .*build_deep: choose another"
    ):
        heads.register("DeepRPNHead", size=1)(build_other)
    with pytest.raises(TypeError, match="needs the keyword arguments .'size'., got .."):
        heads.register("OtherHead")
    heads.register("OtherHead", size=1)(build_other)
    heads.register("OtherHead", size=2)(build_other)  # a notebook's cell is run again
    assert heads.entry("OtherHead").facts == {"size": 2}


def test_optional_facts_have_defaults():
    bodies = Registry("MODEL.BACKBONE.CONV_BODY", facts=("size",), optional={"scale": 2})
    bodies.register("one", size=1)(make_registry)
    bodies.register("two", size=1, scale=3)(make_registry)
    found = [bodies.optional_fact(name, "scale") for name in ("one", "two", "unknown")]
    assert found == [2, 3, 2]
    with pytest.raises(TypeError, match="needs the keyword arguments .'size'., got .'shape', 'si"):
        bodies.register("three", size=1, shape=3)

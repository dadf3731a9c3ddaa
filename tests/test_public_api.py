"""The names that `gemtune` itself offers: these, sorted, and no others."""

from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files

import pytest

import gemtune

NAMES = [
    "Config",
    "GemtuneError",
    "compare_models",
    "evaluate_model",
    "finetune_model",
    "finetune_with_best_params",
    "load_config",
    "optimize_hyperparameters",
    "setup_peft_model",
]


def test_the_public_names_are_exactly_these() -> None:
    assert gemtune.__all__ == NAMES
    assert sorted(NAMES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_the_object_of_its_home_module(name: str) -> None:
    value = getattr(gemtune, name)
    assert value.__name__ == name
    assert value.__doc__
    assert getattr(gemtune, name) is value


def test_dir_shows_the_public_names_before_they_are_used() -> None:
    assert set(NAMES) <= set(dir(gemtune))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'gemtune' has no attribute 'finetune'"):
        gemtune.__getattr__("finetune")


def test_an_installed_package_has_the_version_of_the_source() -> None:
    try:
        installed = version("gemtune")
    except PackageNotFoundError:
        pytest.skip("gemtune is not installed, it runs from the source tree")
    assert installed == gemtune.__version__


def test_the_package_says_that_it_is_typed() -> None:
    assert files("gemtune").joinpath("py.typed").is_file()

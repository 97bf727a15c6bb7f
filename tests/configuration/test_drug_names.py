"""A name of a drug is part of columns, keys and legends: it can be mistaken for nothing else."""

import pytest

from abx_amr.checks import antibiotic_names
from abx_amr.configuration.drug_names import check_drug_names
from abx_amr.errors import InputError


@pytest.mark.parametrize(
    "name",
    ["none", "None", "NULL", "nil", "NaN", "NA", "N/A", "no_treatment", "treat none", "~", "never"],
)
def test_a_drug_that_reads_as_no_drug_is_refused(name: str) -> None:
    with pytest.raises(InputError) as refused:
        antibiotic_names(["A", name])
    assert f"must not be named {name!r}: it means giving none" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("-B", "write B"),
        ("B, C", "write B_C"),
        ("B.c", "write B_c"),
        (" B", "write B"),
        ("B\n", "write B"),
        ("B=1", "write B_1"),
        ("\u202eB", "write B"),
        ("1e3", "name it drug_1e3"),
        (".5", "name it drug_5"),
    ],
)
def test_a_name_that_keys_or_tables_would_take_apart_is_refused(name: str, cure: str) -> None:
    with pytest.raises(InputError) as refused:
        check_drug_names(["A", name])
    assert str(refused.value).endswith(cure)


@pytest.mark.parametrize(("one", "other"), [("a", "A"), ("co amox", "Co_Amox"), ("ß", "SS")])
def test_two_names_that_differ_in_capitals_alone_are_refused(one: str, other: str) -> None:
    with pytest.raises(InputError, match="have the same name but for capitals"):
        antibiotic_names([one, other])


def test_names_of_drugs_as_they_are_written_are_kept_to_the_letter() -> None:
    names = ("A", "piperacillin/tazobactam", "co-trimoxazole", "amoxicillin clavulanate", "青霉素")
    assert antibiotic_names(names) == names
    check_drug_names(names)

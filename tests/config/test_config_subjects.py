"""The group `subject` against MMLU's own taxonomy, written down here a second time."""

import json
from collections import Counter

import pytest

from probe.config.subjects import CATEGORIES, RENAMED, SAMPLE, SUBCATEGORIES, subject_options
from tests.config.compositions import TEXT

# Subject to subcategory, as in `categories.py` of Hendrycks et al. 2021.
TAXONOMY = {
    "abstract_algebra": "math",
    "anatomy": "health",
    "astronomy": "physics",
    "business_ethics": "business",
    "clinical_knowledge": "health",
    "college_biology": "biology",
    "college_chemistry": "chemistry",
    "college_computer_science": "computer_science",
    "college_mathematics": "math",
    "college_medicine": "health",
    "college_physics": "physics",
    "computer_security": "computer_science",
    "conceptual_physics": "physics",
    "econometrics": "economics",
    "electrical_engineering": "engineering",
    "elementary_mathematics": "math",
    "formal_logic": "philosophy",
    "global_facts": "other",
    "high_school_biology": "biology",
    "high_school_chemistry": "chemistry",
    "high_school_computer_science": "computer_science",
    "high_school_european_history": "history",
    "high_school_geography": "geography",
    "high_school_government_and_politics": "politics",
    "high_school_macroeconomics": "economics",
    "high_school_mathematics": "math",
    "high_school_microeconomics": "economics",
    "high_school_physics": "physics",
    "high_school_psychology": "psychology",
    "high_school_statistics": "math",
    "high_school_us_history": "history",
    "high_school_world_history": "history",
    "human_aging": "health",
    "human_sexuality": "culture",
    "international_law": "law",
    "jurisprudence": "law",
    "logical_fallacies": "philosophy",
    "machine_learning": "computer_science",
    "management": "business",
    "marketing": "business",
    "medical_genetics": "health",
    "miscellaneous": "other",
    "moral_disputes": "philosophy",
    "moral_scenarios": "philosophy",
    "nutrition": "health",
    "philosophy": "philosophy",
    "prehistory": "history",
    "professional_accounting": "other",
    "professional_law": "law",
    "professional_medicine": "health",
    "professional_psychology": "psychology",
    "public_relations": "politics",
    "security_studies": "politics",
    "sociology": "culture",
    "us_foreign_policy": "politics",
    "virology": "health",
    "world_religions": "philosophy",
}
CATEGORY = {
    "stem": {"physics", "chemistry", "biology", "computer_science", "math", "engineering"},
    "humanities": {"history", "philosophy", "law"},
    "social_sciences": {"politics", "culture", "economics", "geography", "psychology"},
    "other": {"other", "business", "health"},
}
OPTIONS = subject_options()


def mmlu(option: str) -> set[str]:
    """Return the subjects of MMLU that an option means."""
    return set(OPTIONS[option]["mmlu"])


def test_there_are_57_subjects_17_subcategories_and_4_categories() -> None:
    assert len(TAXONOMY) == 57
    assert mmlu("all") == set(TAXONOMY)
    assert len(SUBCATEGORIES) == 17
    assert len(CATEGORIES) == 4


@pytest.mark.parametrize("subject", TAXONOMY)
def test_a_subjects_own_name_means_that_subject(subject: str) -> None:
    assert OPTIONS[subject]["mmlu"] == [subject]


@pytest.mark.parametrize("subcategory", sorted(set(TAXONOMY.values())))
def test_a_subcategory_means_its_subjects(subcategory: str) -> None:
    option = {"philosophy": "philosophy_all", "other": "other_misc"}.get(subcategory, subcategory)
    assert mmlu(option) == {name for name, part in TAXONOMY.items() if part == subcategory}


def test_subcategories_partition_the_subjects() -> None:
    members = [name for part in SUBCATEGORIES for name in mmlu(RENAMED.get(part, part))]
    assert sorted(members) == sorted(TAXONOMY)


@pytest.mark.parametrize("category", CATEGORY)
def test_a_category_is_the_union_of_its_subcategories(category: str) -> None:
    expected = {name for name, part in TAXONOMY.items() if part in CATEGORY[category]}
    assert mmlu(category) == expected


def test_categories_partition_the_subjects() -> None:
    members = [name for category in CATEGORIES for name in mmlu(category)]
    assert sorted(members) == sorted(TAXONOMY)


def test_psychology_means_high_school_and_professional_psychology() -> None:
    assert OPTIONS["psychology"]["mmlu"] == ["high_school_psychology", "professional_psychology"]


def test_a_name_of_a_subject_or_category_wins_over_a_subcategorys() -> None:
    assert mmlu("philosophy") == {"philosophy"}
    assert len(mmlu("philosophy_all")) == 6
    assert mmlu("other") > mmlu("other_misc") > {"miscellaneous"}


def test_disputes_is_short_for_moral_disputes() -> None:
    assert OPTIONS["disputes"] == OPTIONS["moral_disputes"]
    assert mmlu("disputes") == {"moral_disputes"}


def test_no_name_stands_for_two_things() -> None:
    subcategories = {RENAMED.get(name, name) for name in SUBCATEGORIES}
    claimed = Counter([*TAXONOMY, *subcategories, *CATEGORIES, "all", "disputes"])
    assert [name for name, times in claimed.items() if times > 1] == []
    assert set(OPTIONS) == set(claimed) | set(SAMPLE)


def test_a_name_of_the_sample_that_mmlu_has_too_means_the_same_there() -> None:
    for name, about in SAMPLE.items():
        if name in TAXONOMY:
            assert about.split() == [name]
        elif name in SUBCATEGORIES and name not in RENAMED:
            assert set(about.split()) == {s for s, part in TAXONOMY.items() if part == name}


def test_every_option_means_known_subjects_sorted_and_once() -> None:
    for option, meaning in OPTIONS.items():
        assert meaning["mmlu"], option
        assert meaning["mmlu"] == sorted(set(meaning["mmlu"])), option
        assert set(meaning["mmlu"]) <= set(TAXONOMY), option
        assert meaning["sample"] == sorted(set(meaning["sample"])), option
        assert set(meaning["sample"]) <= set(SAMPLE), option


def test_the_samples_subjects_are_those_in_its_file() -> None:
    lines = TEXT.read_text(encoding="utf-8").splitlines()
    assert {json.loads(line)["subject"] for line in lines} == set(SAMPLE)


@pytest.mark.parametrize("name", SAMPLE)
def test_a_subject_of_the_sample_finds_itself(name: str) -> None:
    assert name in OPTIONS[name]["sample"]


def test_all_and_the_categories_find_the_samples_subjects() -> None:
    assert OPTIONS["all"]["sample"] == sorted(SAMPLE)
    assert OPTIONS["stem"]["sample"] == ["biology", "computing", "mathematics"]
    assert OPTIONS["virology"]["sample"] == []


def test_options_are_names_that_the_command_line_can_take() -> None:
    assert [option for option in OPTIONS if not option.isidentifier()] == []


PRO = {
    *("biology", "business", "chemistry", "computer science", "economics", "engineering", "health"),
    *("history", "law", "math", "other", "philosophy", "physics", "psychology"),
}


def mmlu_pro(option: str) -> list[str]:
    """Return the categories of MMLU-Pro that an option means."""
    return OPTIONS[option]["mmlu_pro"]


@pytest.mark.parametrize("category", sorted(PRO))
def test_every_category_of_mmlu_pro_has_an_option_of_its_own(category: str) -> None:
    option = "other_misc" if category == "other" else category.replace(" ", "_")
    assert mmlu_pro(option) == [category]


def test_groups_of_mmlu_mean_the_same_groups_in_mmlu_pro() -> None:
    assert mmlu_pro("all") == sorted(PRO)
    assert mmlu_pro("humanities") == ["history", "law", "philosophy"]
    assert mmlu_pro("social_sciences") == ["economics", "psychology"]
    assert mmlu_pro("other") == ["business", "health", "other"]
    groups = [name for group in CATEGORY for name in mmlu_pro(group)]
    assert sorted(groups) == sorted(PRO)


def test_names_for_the_same_subjects_mean_the_same_in_mmlu_pro() -> None:
    assert mmlu_pro("philosophy") == mmlu_pro("philosophy_all") == ["philosophy"]
    assert mmlu_pro("mathematics") == mmlu_pro("math")
    assert mmlu_pro("computing") == mmlu_pro("computer_science")


@pytest.mark.parametrize(
    "option",
    ["politics", "culture", "geography", "disputes", "electrical_engineering", "macroeconomics"],
)
def test_what_mmlu_pro_has_no_category_for_means_nothing_there(option: str) -> None:
    assert mmlu_pro(option) == []


def test_no_single_subject_of_mmlu_but_philosophy_is_a_category_of_mmlu_pro() -> None:
    assert [subject for subject in TAXONOMY if mmlu_pro(subject)] == ["philosophy"]

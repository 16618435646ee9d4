"""The options of `subject=`: MMLU's taxonomy, mapped to the other data sets.

Subjects, subcategories and categories are those of Hendrycks et al. 2021 (arXiv:2009.03300,
`categories.py` of the authors' code). MMLU-Pro (Wang et al. 2024, arXiv:2406.01574) has 14 of the
subcategories as its categories, with more questions, and no single subjects.
"""

SUBCATEGORIES: dict[str, str] = {
    "physics": "astronomy college_physics conceptual_physics high_school_physics",
    "chemistry": "college_chemistry high_school_chemistry",
    "biology": "college_biology high_school_biology",
    "computer_science": "college_computer_science computer_security "
    "high_school_computer_science machine_learning",
    "math": "abstract_algebra college_mathematics elementary_mathematics "
    "high_school_mathematics high_school_statistics",
    "engineering": "electrical_engineering",
    "history": "high_school_european_history high_school_us_history "
    "high_school_world_history prehistory",
    "philosophy": "formal_logic logical_fallacies moral_disputes moral_scenarios philosophy "
    "world_religions",
    "law": "international_law jurisprudence professional_law",
    "politics": "high_school_government_and_politics public_relations security_studies "
    "us_foreign_policy",
    "culture": "human_sexuality sociology",
    "economics": "econometrics high_school_macroeconomics high_school_microeconomics",
    "geography": "high_school_geography",
    "psychology": "high_school_psychology professional_psychology",
    "other": "global_facts miscellaneous professional_accounting",
    "business": "business_ethics management marketing",
    "health": "anatomy clinical_knowledge college_medicine human_aging medical_genetics nutrition "
    "professional_medicine virology",
}
CATEGORIES: dict[str, str] = {
    "stem": "physics chemistry biology computer_science math engineering",
    "humanities": "history philosophy law",
    "social_sciences": "politics culture economics geography psychology",
    "other": "other business health",
}
# Subcategories that share their name with a subject or a category.
RENAMED = {"philosophy": "philosophy_all", "other": "other_misc"}
# Categories of MMLU-Pro by the subcategory of that name. Its `other` is thus `subject=other_misc`,
# while `subject=other` is a category of MMLU in both: business, health and other.
MMLU_PRO = {
    name: name.replace("_", " ")
    for name in SUBCATEGORIES
    if name not in ("culture", "geography", "politics")
}
# The subjects of the bundled sample, each with the matching part of MMLU.
SAMPLE: dict[str, str] = {
    "psychology": SUBCATEGORIES["psychology"],
    "mathematics": SUBCATEGORIES["math"],
    "macroeconomics": "high_school_macroeconomics",
    "moral_disputes": "moral_disputes",
    "biology": SUBCATEGORIES["biology"],
    "history": SUBCATEGORIES["history"],
    "law": SUBCATEGORIES["law"],
    "computing": SUBCATEGORIES["computer_science"],
}


def subject_options() -> dict[str, dict[str, list[str]]]:
    """Return every option of the group `subject`, with the subjects it selects in each data set.

    Returns
    -------
    dict
        From the option's name to `{"mmlu": [...], "mmlu_pro": [...], "sample": [...]}`, each sorted
        and empty where the option selects nothing in that data set.

    Examples
    --------
    >>> subject_options()["psychology"]["mmlu"]
    ['high_school_psychology', 'professional_psychology']
    >>> subject_options()["computer_science"]["mmlu_pro"]
    ['computer science']
    """
    subcategory = {name: set(members.split()) for name, members in SUBCATEGORIES.items()}
    category = {
        name: set().union(*(subcategory[member] for member in members.split()))
        for name, members in CATEGORIES.items()
    }
    subjects = set().union(*category.values())
    sample = {name: set(members.split()) for name, members in SAMPLE.items()}

    options: dict[str, set[str]] = {"all": subjects, "disputes": {"moral_disputes"}}
    options |= {RENAMED.get(name, name): members for name, members in subcategory.items()}
    options |= category | {name: {name} for name in subjects} | sample
    return {
        option: {
            "mmlu": sorted(members),
            "mmlu_pro": sorted(
                category
                for name, category in MMLU_PRO.items()
                # A single subject is not a category, even if it is alone in its subcategory.
                if (option == name if option in subjects else subcategory[name] <= members)
            ),
            "sample": sorted(name for name, about in sample.items() if about <= members),
        }
        for option, members in sorted(options.items())
    }

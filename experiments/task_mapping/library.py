"""nilearn, which makes the designs and whose conventions all statistics follow."""

from types import ModuleType

from probe.api import UserError


def nilearn_glm() -> ModuleType:
    """Return `nilearn.glm`, imported when it is needed, as that takes seconds.

    Raises
    ------
    UserError
        If nilearn is not installed.
    """
    try:
        import nilearn.glm
        import nilearn.glm.first_level
    except ImportError:
        raise UserError(
            "nilearn is not installed; pip install -c constraints.txt -e '.[task_mapping]' "
            "installs it"
        ) from None
    module: ModuleType = nilearn.glm
    return module

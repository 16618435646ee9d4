"""Build the workspace and the report, and save them if there is a login."""

import logging
import os
from typing import Any

from experiments.dashboard.logged import Logged, logged_names
from probe.api import Config, UserError, plural

logger = logging.getLogger(__name__)
NAME = "Neural topologies"
# Seconds; W&B's own limit would block for minutes.
_TIMEOUT = 15


def make_dashboard(config: Config) -> None:
    """Build a workspace and a report, check them, and save them unless that is not possible.

    Raises
    ------
    UserError
        If wandb-workspaces or the entity is missing, there are no runs, or W&B refuses.
    """
    try:
        import wandb_workspaces  # noqa: F401
    except ImportError:
        raise UserError(
            "a dashboard needs wandb-workspaces; install it with pip install '.[dashboard]'"
        ) from None
    if not config.tracking.entity:
        raise UserError("tracking.entity is missing; give the W&B user or team of the project")
    logged = logged_names(config)
    workspace, report = build(config.tracking.entity, config.tracking.project, logged)
    panels = sum(len(section.panels) for section in workspace.sections)
    logger.info(
        "built a workspace and a report of %d sections and %d panels on %s; their panels and "
        "settings are valid", len(workspace.sections), panels, plural(logged.runs, "run"),
    )  # fmt: skip
    reason = _why_not_saved(config)
    if reason is not None:
        logger.info("not saved: %s", reason)
        return
    _save(workspace, report)


def build(entity: str, project: str, logged: Logged) -> tuple[Any, Any]:
    """Build the workspace and the report; wandb-workspaces checks every name and type in them."""
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    from experiments.dashboard.panels import sections

    workspace = ws.Workspace(
        entity=entity,
        project=project,
        name=NAME,
        sections=[
            ws.Section(name=section.name, panels=section.panels, is_open=place == 0)
            for place, section in enumerate(sections(logged))
        ],
    )
    runs = wr.Runset(entity=entity, project=project, name="runs")
    blocks: list[Any] = [wr.TableOfContents()]
    for section in sections(logged):
        grid = wr.PanelGrid(runsets=[runs], panels=section.panels)
        blocks += [wr.H1(text=section.name), wr.P(text=section.help), grid]
    about = "Made by python -m experiments.dashboard."
    report = wr.Report(
        entity=entity, project=project, title=NAME, description=about, blocks=blocks, width="fluid"
    )
    return workspace, report


def _why_not_saved(config: Config) -> str | None:
    """Return why saving is impossible, or None; without prompts or long waits."""
    import wandb

    mode = config.tracking.mode.value
    if mode == "offline" or os.environ.get("WANDB_MODE", "online") != "online":
        return "W&B is offline by tracking.mode or WANDB_MODE"
    if mode == "online":
        return None
    try:
        logged_in = wandb.login(prompt=False, timeout=_TIMEOUT)
    except Exception as error:  # noqa: BLE001 - no network and a bad key raise many kinds
        return f"W&B cannot be reached ({error})"
    return None if logged_in else "there is no W&B login (wandb login)"


def _save(workspace: Any, report: Any) -> None:
    for name, document in (("workspace", workspace), ("report", report)):
        try:
            document.save()
        except Exception as error:
            raise UserError(
                f"W&B did not accept the {name} ({error}); check the login, tracking.entity and "
                "tracking.project"
            ) from error
        logger.info("%s: %s", name, document.url)

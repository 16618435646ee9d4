"""Configuration: the schema, the options in conf/, checks, and the name of a run."""

from probe.config.checks import check
from probe.config.choices import (
    RESIDUALS,
    Coefficient,
    Cut,
    DensityRule,
    DType,
    FigureFormat,
    Figures,
    InitKind,
    Matmul,
    Mode,
    Scheme,
    Selection,
    Side,
    Sinks,
    Site,
    Weight,
)
from probe.config.data import DataConfig, SubjectConfig
from probe.config.key import key
from probe.config.model import ModelConfig
from probe.config.plain import from_plain, leaves, to_plain
from probe.config.reads import SOURCES, SWEPT, Unread, typed_mistakes, unread
from probe.config.run_name import (
    BUNDLED,
    JOINT,
    average_name,
    data_name,
    layer_numbers,
    layers_name,
    model_name,
    old_study_folder,
    run_folder,
    series_folder,
    study_folder,
)
from probe.config.schema import (
    AverageConfig,
    Config,
    FiguresConfig,
    InitConfig,
    LaunchConfig,
    LayersConfig,
    MeasuresConfig,
    NullConfig,
    RuntimeConfig,
    StudyConfig,
    TrackingConfig,
)
from probe.config.store import CONF, group_options, registered

"""Building blocks for figures in the program's style: colours, axes, labels, values."""

from probe.plots.style import (
    BLUE,
    COLOURS,
    GREY,
    ORANGE,
    SHARES,
    SIGNED,
    about,
    grid,
    legend_below,
    log_scale,
    mark_beyond,
    name_rows_and_columns,
    single,
    write_values,
)

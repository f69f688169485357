"""The report's tables: rows of text, worked out from the run's numbers."""

from taskct.report.tables.auc import (
    arm_table,
    efficiency_table,
    frozen_table,
    group_table,
    key_table,
    limit_paired_table,
    limit_table,
    paired_table,
    retraining_table,
)
from taskct.report.tables.cells import NONE, Table
from taskct.report.tables.effects import (
    convention_table,
    false_positive_table,
    hallucination_table,
    harm_table,
    physics_table,
    resolution_table,
    strata_table,
)
from taskct.report.tables.records import (
    duration_text,
    flat_settings,
    provenance_table,
    regularization_table,
    settings_table,
    stage_table,
    trial_table,
    validation_table,
)
from taskct.report.tables.task_path import correction_table, currency_table
from taskct.report.tables.tradeoff import front_table, path_curve_table, tradeoff_table

__all__ = [
    "NONE",
    "Table",
    "arm_table",
    "convention_table",
    "correction_table",
    "currency_table",
    "duration_text",
    "efficiency_table",
    "false_positive_table",
    "flat_settings",
    "front_table",
    "frozen_table",
    "group_table",
    "hallucination_table",
    "harm_table",
    "key_table",
    "limit_paired_table",
    "limit_table",
    "paired_table",
    "path_curve_table",
    "physics_table",
    "provenance_table",
    "regularization_table",
    "resolution_table",
    "retraining_table",
    "settings_table",
    "stage_table",
    "strata_table",
    "tradeoff_table",
    "trial_table",
    "validation_table",
]

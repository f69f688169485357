"""The settings of arms whose images were denoised elsewhere."""

from typing import Annotated, Self

from annotated_types import Gt, Lt
from pydantic import AfterValidator, model_validator

from taskct.config.fields import Section, setting
from taskct.names import check_import_name

ImportName = Annotated[str, AfterValidator(check_import_name)]
Share = Annotated[float, Gt(0), Lt(1)]


class ImportedSettings(Section):
    """Denoisers elsewhere, whose images `taskct import` brings."""

    names: tuple[ImportName, ...] = setting((), "what they are called; `taskct import` adds them")
    blend_alphas: tuple[Share, ...] = setting((0.5,), "their share in blends with the low-dose images")
    path_of: ImportName | None = setting(
        None, "the one whose images the task path starts from, in place of the control's; null for none"
    )

    @model_validator(mode="after")
    def _they_differ(self) -> Self:
        for name, values in (("names", self.names), ("blend_alphas", self.blend_alphas)):
            if len(set(values)) != len(values):
                raise ValueError(f"imported.{name} must differ, and {list(values)} do not")
        if self.path_of is not None and self.path_of not in self.names:
            raise ValueError(f"imported.path_of is {self.path_of}: give one of imported.names {list(self.names)}")
        return self

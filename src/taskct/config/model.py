"""The settings of what a model's card says of its use; no training depends on them."""

from taskct.config.fields import Section, setting


class ModelSettings(Section):
    """What the cards of a study's models say of their use."""

    licence: str | None = setting(None, "under which others may use the models, such as CC-BY-4.0", max_length=200)
    intended_use: str | None = setting(
        None, "what they are meant for and what not; by default research, not diagnosis", max_length=1000
    )

    @property
    def use(self) -> str:
        """The intended use in words."""
        return self.intended_use or "research on the denoising of low-dose CT; no medical device, not for diagnosis"

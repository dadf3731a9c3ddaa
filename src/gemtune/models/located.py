"""Making sure that a model is there before anything is done with another one."""

from gemtune.models.adapter_files import adapter_record_of
from gemtune.models.source import find_source, model_folder


def require_model(model: str, revision: str | None) -> None:
    """Find a model, and fetch it if it is on a hub; nothing is loaded.

    Raises:
        ArtefactError: there is no such model, or its adapter is damaged.
        PrerequisiteError: it is on a hub that cannot be reached.
    """
    record = adapter_record_of(model)
    name, revision = (record.base_model, record.revision) if record else (model, revision)
    if find_source(name).kind == "hub":
        model_folder(name, revision, with_weights=True)

"""`finetune_to_bucket`: fine-tuning on this machine, with the run in a bucket."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gemtune.config.schema import Config
from gemtune.fine_tuning.train import FinetuneResult, finetune_model
from gemtune.runs.files import make_folder
from gemtune.runs.lock import exclusive_lock
from gemtune.runs.signals import StopSignal, accept_stop, stop_age_seconds
from gemtune.vertex.bucket import BucketMirror
from gemtune.vertex.clients import open_bucket
from gemtune.vertex.folder import BucketFolder, Limits
from gemtune.vertex.lease import hold_lease
from gemtune.vertex.restore import restore_run
from gemtune.vertex.work_folder import default_work_dir, open_link, split_url

# After a signal: so long that the process still ends before it is ended, at 24 seconds.
_DRAIN_UNTIL_SECONDS = 20.0
_DRAIN_AFTER_ERROR_SECONDS = 600.0


def finetune_to_bucket(
    data_dir: str | Path,
    url: str,
    config: Config | None = None,
    *,
    work_dir: Path | None = None,
    overwrite: bool = False,
    allow_changed_data: bool = False,
    show_progress: bool = False,
) -> FinetuneResult:
    """Fine-tune as `finetune_model` does, with a bucket as the home of the run.

    The run happens in a folder of this machine; its checkpoints follow into the bucket in the
    background, its result at the end. The same call on another machine goes on with the newest
    checkpoint that the bucket has.

    Args:
        data_dir: Folder with train.jsonl and, if there is one, val.jsonl.
        url: `gs://BUCKET/FOLDER`.
        config: Everything else; the defaults where it is missing.
        work_dir: The local folder; by default one in the cache that belongs to `url`.
        overwrite: Start over, and replace an earlier run in both places.
        allow_changed_data: Go on with a run though its data is not what it was.
        show_progress: Report on stderr while it runs.

    Returns:
        The result; `output_dir` is the local folder.

    Raises:
        GemtuneError: what `finetune_model` raises.
        UsageError: `url` names no folder of a bucket, or the run there is another one.
        RunLockedError: a process here or on another machine works on the run.
        PrerequisiteError: no credentials, no permission, or no such bucket.
        RemoteError: the bucket did not answer as it should, after all repetitions.
    """
    bucket_name, prefix = split_url(url)
    url = f"gs://{bucket_name}/{prefix}"
    run_dir = work_dir or default_work_dir(url)
    make_folder(run_dir)
    with exclusive_lock(run_dir / "bucket.lock"), open_bucket(bucket_name) as handle:
        bucket = BucketFolder(handle, prefix, Limits())
        link = open_link(run_dir, url)
        with hold_lease(bucket, link.holder) as lease:
            if not overwrite:
                link = restore_run(bucket, run_dir, link, with_checkpoints=allow_changed_data)
            mirror = BucketMirror(bucket, run_dir, link, lease)
            if not overwrite:
                mirror.catch_up()
            with _draining(mirror):
                result = finetune_model(
                    data_dir,
                    run_dir,
                    config,
                    overwrite=overwrite,
                    allow_changed_data=allow_changed_data,
                    show_progress=show_progress,
                    mirror=mirror,
                )
                mirror.publish()
    return result


@contextmanager
def _draining(mirror: BucketMirror) -> Iterator[None]:
    """Let a block that fails end only when what it had handed over is in the bucket."""
    try:
        yield
    except KeyboardInterrupt as stop:
        if isinstance(stop, StopSignal):
            accept_stop()
        mirror.drain(_DRAIN_UNTIL_SECONDS - (stop_age_seconds() or 0))
        raise
    except Exception:
        mirror.drain(_DRAIN_AFTER_ERROR_SECONDS)
        raise

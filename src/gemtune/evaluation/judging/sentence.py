"""What a judge found, in one line for a terminal."""

from gemtune.evaluation.judging.judgement import JudgeFinding


def judge_sentence(finding: JudgeFinding) -> str:
    """Say who won how often, how steady the judge was, and what it took."""
    found = finding.outcomes
    parts = [
        f"judge {finding.judge}: won {found.win}, tied {found.tie}, lost {found.loss} of "
        f"{finding.n_rows}{_share_won(finding)}"
    ]
    if finding.n_failed:
        parts.append(f"no judgement on {finding.n_failed}")
    if finding.inconsistent_share is not None:
        parts.append(
            f"changed its mind on {_percent(finding.inconsistent_share)} % when the answers "
            "swapped places"
        )
    n_tokens = f"{finding.n_input_tokens:,} + {finding.n_output_tokens:,} tokens"
    parts.append(f"{finding.n_calls:,} calls, {n_tokens}")
    return "; ".join(parts)


def _share_won(finding: JudgeFinding) -> str:
    if finding.win_share is None or finding.low is None or finding.high is None:
        return ""
    return (
        f" ({_percent(finding.win_share)} % of the decided, {_percent(finding.low)} to "
        f"{_percent(finding.high)}; p {finding.p:.2g})"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f}"

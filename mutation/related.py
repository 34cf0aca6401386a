"""Which tests answer for which module: those without servers, the quickest first. Paths in `tests/` and `src/backstream/`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

WINDOW = ["model/test_starts_and_gaps.py", "operations/test_gaps_grow.py", "operations/test_batch_in_time.py"]
WINDOW += ["operations/test_absence.py"]
FOLD = ["model/test_fold.py", "engines/test_partition.py", "engines/test_engine_contract.py"]
LOG = ["layouts/test_segments.py", "layouts/test_positions.py", "layouts/test_chains.py", "layouts/test_writer_chains.py"]
COMPACTED = ["layouts/test_compacted.py", "operations/test_compact_plan.py", "operations/test_compact_cases.py"]
CHAINS = ["properties/test_lost_in_random_lives.py", "operations/test_lost_changes.py", "operations/test_check_lost.py"]
TAIL = ["operations/test_children.py", "operations/test_tail_segments.py", "operations/test_tail_gaps.py"]
TAIL += ["operations/test_witness.py", "operations/test_tail.py", "operations/test_clocks_off.py"]
IN_PLACE = ["operations/test_absence_evidence.py", "operations/test_unknown_rows.py", "operations/test_missing_segment.py"]
IN_PLACE += ["operations/test_lost_changes.py"]
WRITING = [*IN_PLACE, "operations/test_restore_in_place.py", "properties/test_in_place.py"]

# Of these modules the tests are known that answer for them. The order is the order in which they are taken.
RELATED: Mapping[str, Sequence[str]] = {
    "model/window.py": WINDOW,
    "model/changes/fold.py": FOLD,
    "model/changes/entry.py": [*FOLD, *LOG, "model/test_kinds.py", "layouts/test_scanned_rows.py", "layouts/test_bases.py"],
    "operations/restore/states/deletes.py": IN_PLACE,
    "operations/restore/states/evidence.py": IN_PLACE,
    "operations/restore/states/row_states.py": IN_PLACE,
    "vault/coverage.py": [*WINDOW, "operations/test_compact_beside.py"],
    "engine/local/partition.py": FOLD,
    "model/changes/item_chain.py": CHAINS,
    "vault/gaps/gaps.py": [*WINDOW, "operations/test_redrive.py"],
    "operations/capture/outage.py": ["operations/test_absence.py", "operations/test_gaps_grow.py"],
    "operations/capture/children.py": TAIL,
    "operations/capture/batch.py": ["operations/test_batch_in_time.py", "properties/test_plain_batches.py", *WINDOW],
    "operations/capture/shards.py": TAIL,
    "operations/capture/tail.py": TAIL,
    "operations/capture/sink.py": TAIL,
    "operations/capture/witness_sink.py": TAIL,
    "operations/capture/log_index.py": TAIL,
    "operations/restore/targets/undo.py": WRITING,
    "operations/restore/targets/kept.py": WRITING,
    "operations/restore/targets/conditional_writer.py": WRITING,
    "operations/restore/states/state_source.py": IN_PLACE,
    "engine/local/state.py": [*FOLD, *CHAINS, "operations/test_planted.py", "operations/test_planted_plans.py"],
    "engine/local/log_decoder.py": [*FOLD, "operations/test_planted.py", "engines/test_hostile_folder.py"],
    "engine/local/broken.py": CHAINS,
    "engine/local/whole_log.py": CHAINS,
    "model/changes/broken_chain.py": CHAINS,
    "model/changes/comparison.py": [*CHAINS, "operations/test_diff.py"],
    "model/changes/timestamp_collisions.py": [*CHAINS, *FOLD],
    "model/changes/merge.py": ["model/test_merge.py", "properties/test_revert_merges.py"],
    "model/changes/kinds.py": ["model/test_kinds.py"],
    "model/moment.py": ["model/test_moment.py"],
    "vault/log/log.py": [*LOG, *TAIL],
    "vault/log/segments.py": LOG,
    "vault/log/naming/name_fields.py": LOG,
    "vault/log/heads.py": [*LOG, *TAIL],
    "vault/log/links.py": LOG,
    "vault/log/chains.py": [*LOG, *COMPACTED],
    "vault/log/writer_chains.py": LOG,
    "vault/log/positions.py": LOG,
    "vault/log/inventory.py": [*LOG, *COMPACTED],
    "vault/log/sources.py": COMPACTED,
    "vault/log/generation.py": [*COMPACTED, "operations/test_planted.py"],
    "vault/log/compacted.py": [*COMPACTED, "operations/test_compact.py"],
    "vault/log/taken_names.py": ["operations/test_taken_names.py"],
}

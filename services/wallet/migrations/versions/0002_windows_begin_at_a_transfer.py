"""Windows of limits begin at a transfer, not at a time that several transfers may share."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# The first transfer of the window's first batch that could count: a deposit (4, 5) for a limit
# of deposits (1), else a bet (9), which counts as a loss (3) by its cash alone.
_OPENER = """
SELECT min(t.seq) FROM transfer AS t JOIN batch AS b
ON t.shard = b.shard AND t.seq BETWEEN b.first_seq AND b.last_seq
WHERE b.create_time = limit_counter.window_seq AND t.player_id = limit_counter.player_id
AND t.currency_code = limit_counter.currency_code AND t.outcome = 1 AND t.amount > 0
AND (CASE limit_counter.kind WHEN 1 THEN t.kind IN (4, 5)
WHEN 3 THEN t.kind = 9 AND t.amount > t.bonus_amount ELSE t.kind = 9 END)
"""


def upgrade() -> None:
    op.alter_column("limit_counter", "window_start", new_column_name="window_seq")
    op.execute(f"UPDATE limit_counter SET window_seq = coalesce(({_OPENER}), 0)")  # noqa: S608 (a constant)
